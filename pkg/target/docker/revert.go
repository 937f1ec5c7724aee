package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"chaosgate/pkg/target"
)

// RevertEnvironment ends what a run has added to an engine, from a fresh process, given the data of the undo that Up recorded. It is idempotent, and safe if Up never
// came to add anything. Only containers and images with the run's own label are removed, and the project that was started for the experiment; only what ran before is started.
func RevertEnvironment(ctx context.Context, data json.RawMessage) error {
	var l leftover
	if err := json.Unmarshal(data, &l); err != nil {
		return fmt.Errorf("read the undo of an environment: %w", err)
	}
	run, experiment, ok := strings.Cut(l.ID, "/")
	if !ok || run == "" || experiment == "" {
		return fmt.Errorf("the undo of an environment is for %q, expected RUN/EXPERIMENT: nothing was done", l.ID)
	}
	if own := CopyName(run, experiment); l.Project != "" && l.Project != own {
		return fmt.Errorf("the undo of an environment is to remove the Compose project %q, expected %q: nothing was done", l.Project, own)
	}
	engine, err := l.Endpoint.connect()
	if err != nil {
		return err
	}
	errs := []error{endOurs(ctx, engine, l.ID, 0)}
	for _, id := range l.Ran {
		if _, err := runAgain(ctx, engine, id); err != nil && !errors.Is(err, target.ErrGone) {
			errs = append(errs, fmt.Errorf("the container %.12s ran before: %w", id, err))
		}
	}
	return errors.Join(append(errs, l.settle(ctx, engine), engine.Close())...)
}

// settle ends what may still come to be of what was asked for last.
func (l leftover) settle(ctx context.Context, engine *client.Client) error {
	ends := []func() error{func() error { return endOurs(ctx, engine, l.ID, quiet) }}
	if l.Project != "" {
		ends = append(ends, func() error { return endCopy(ctx, engine, l.ID, l.Project, quiet) })
	}
	return together(len(ends), func(n int) error { return ends[n]() })
}

// runAgain lets a container run that ran before, and verifies that it does or that its restart policy is about to start it. It says whether it had to be started.
func runAgain(ctx context.Context, engine *client.Client, id string) (started bool, err error) {
	info, err := engine.ContainerInspect(ctx, id)
	switch {
	case cerrdefs.IsNotFound(err):
		return false, target.ErrGone
	case err != nil:
		return false, err
	case info.State.Paused:
		return false, resume(ctx, engine, id)
	case info.State.Running || info.State.Restarting:
		return false, nil
	}
	if err := start(ctx, engine, id); err != nil {
		return false, err
	}
	return true, staysUp(ctx, engine, id)
}

// staysUp says why a container that was started does not run, right after that or a little later.
func staysUp(ctx context.Context, engine *client.Client, id string) error {
	since := time.Now()
	return poll(ctx, func() (bool, error) {
		info, err := engine.ContainerInspect(ctx, id)
		if err == nil && !info.State.Running {
			err = fmt.Errorf("it was started and has ended again, with exit code %d", info.State.ExitCode)
		}
		return time.Since(since) >= settled, err
	})
}

// endOurs removes the helpers of an environment and their image, and verifies that: none of them may come to be for a time, 0 if nothing that was asked for was cut short.
func endOurs(ctx context.Context, engine *client.Client, id string, unsettled time.Duration) error {
	since := time.Now()
	return poll(ctx, func() (bool, error) {
		for _, gone := range []func(context.Context, *client.Client, string) (bool, error){removeHelpers, removeImages} { // an image in use cannot go
			none, err := gone(ctx, engine, id)
			if err != nil {
				return false, err
			}
			if !none {
				since = time.Now()
				return false, nil
			}
		}
		return time.Since(since) >= unsettled, nil
	})
}

// removeHelpers answers whether there was none left to remove.
func removeHelpers(ctx context.Context, engine *client.Client, id string) (bool, error) {
	left, err := ours(ctx, engine, id)
	for _, c := range left {
		err := engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true})
		if err != nil && !goes(err) {
			return false, fmt.Errorf("remove the helper %.12s: %w", c.ID, err)
		}
	}
	return len(left) == 0, err
}

// goes says whether an error in removing something means that it is gone, or going.
func goes(err error) bool { return cerrdefs.IsNotFound(err) || cerrdefs.IsConflict(err) }

func breathe(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(10 * time.Millisecond):
		return nil
	}
}

func ours(ctx context.Context, engine *client.Client, id string) ([]container.Summary, error) {
	found, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelOurs+"="+mark(id)))})
	if err != nil {
		return nil, fmt.Errorf("list the helpers: %w", err)
	}
	return found, nil
}

// removeImages answers whether there was none left to remove.
func removeImages(ctx context.Context, engine *client.Client, id string) (bool, error) {
	left, err := engine.ImageList(ctx, image.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelOurs+"="+mark(id)))})
	if err != nil {
		return false, fmt.Errorf("list the helpers' image: %w", err)
	}
	for _, i := range left {
		_, err := engine.ImageRemove(ctx, i.ID, image.RemoveOptions{Force: true, PruneChildren: true})
		if err != nil && !goes(err) {
			return false, fmt.Errorf("remove the helpers' image: %w", err)
		}
	}
	return len(left) == 0, nil
}
