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
	errs := []error{endOurs(ctx, engine, l.ID)}
	if l.Project != "" {
		errs = append(errs, endCopy(ctx, engine, l.ID, l.Project, copyQuiet))
	}
	for _, id := range l.Ran {
		if err := runAgain(ctx, engine, id); err != nil && !errors.Is(err, target.ErrGone) {
			errs = append(errs, fmt.Errorf("the container %.12s ran before: %w", id, err))
		}
	}
	return errors.Join(append(errs, engine.Close())...)
}

// runAgain lets a container run that ran before, and verifies that it does or that its restart policy is about to start it.
func runAgain(ctx context.Context, engine *client.Client, id string) error {
	info, err := engine.ContainerInspect(ctx, id)
	switch {
	case cerrdefs.IsNotFound(err):
		return target.ErrGone
	case err != nil:
		return err
	case info.State.Paused:
		return resume(ctx, engine, id)
	case info.State.Running || info.State.Restarting:
		return nil
	}
	return start(ctx, engine, id)
}

// endOurs removes the helpers of an environment and their image, and verifies that.
func endOurs(ctx context.Context, engine *client.Client, id string) error {
	if err := poll(ctx, func() (bool, error) { return removeHelpers(ctx, engine, id) }); err != nil {
		return err
	}
	return poll(ctx, func() (bool, error) { return removeImages(ctx, engine, id) })
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
