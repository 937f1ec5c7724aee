package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"chaosgate/pkg/proc"
)

// Copy is what an experiment's own project is made of: with ports that the engine chooses, networks and volumes of its own, and gone after the experiment.
type Copy struct {
	File string // the Compose file's absolute path
	// Variables are added to a service's environment or replace its own: service -> name -> value. They are a weakened variant's.
	Variables map[string]map[string]string
}

// CopyName is the name of an experiment's own project. No other experiment has it, of this run or another, nor one that begins with it.
func CopyName(run, experiment string) string {
	const most = 40
	h := fnv.New32a()
	_, _ = h.Write([]byte(experiment)) // never fails
	name := normalize(experiment)
	return fmt.Sprintf("chaos-%s-%s-%08x", run, name[:min(most, len(name))], h.Sum32())
}

const (
	// copyTimeout bounds starting a project: images may have to be built first.
	copyTimeout = 10 * time.Minute
	// composeOutput is how much of what Compose says is kept, in bytes.
	composeOutput = 4 << 20
)

// startCopy starts the experiment's own project. Its undo has been recorded: after an error some of it may be there.
func (e *Environment) startCopy(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, copyTimeout, fmt.Errorf("the project was not started within %v", copyTimeout))
	defer cancel()
	s := Stack{Endpoint: e.opts.Endpoint, File: e.opts.Copy.File, Project: e.opts.Project}
	compose, err := s.composer(ctx)
	if err != nil {
		return err
	}
	asks := []string{"-f", s.File, "config"}
	if len(compose) > 1 { // docker-compose shows the services of all profiles by itself
		asks = append([]string{"--profile", "*"}, asks...)
	}
	text, err := e.composed(ctx, s, compose, nil, asks...)
	if err != nil {
		return err
	}
	text, err = ownFile(text, slices.Collect(maps.Keys(e.opts.Spec.Services)), e.opts.Copy.Variables)
	if err != nil {
		return fmt.Errorf("%s cannot be started once for each experiment:\n%w", filepath.Base(s.File), err)
	}
	e.unsettled = quiet
	if _, err := e.composed(ctx, s, compose, text, "-f", "-", "up", "-d"); err != nil { // by its input: secrets may be in it by now
		return err
	}
	e.unsettled = 0
	return nil
}

// composed runs Compose for the experiment's own project and answers what it prints. It ends with this process; what that leaves is ended by the undo, by its mark.
func (e *Environment) composed(ctx context.Context, s Stack, compose []string, stdin []byte, args ...string) ([]byte, error) {
	command := append(append(slices.Clone(compose), "--project-directory", filepath.Dir(s.File), "-p", s.Project), args...)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Env = filepath.Dir(s.File), append(s.environ(), proc.Marker(e.id))
	cmd.Stdin = bytes.NewReader(stdin)
	r, err := proc.Run(ctx, cmd, composeOutput)
	e.keepComposed(r.Stderr)
	said := strings.TrimSpace(e.opts.Secrets.Text(r.Stderr))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w%s", strings.Join(command, " "), err, lastOf(said))
	case r.ExitCode != 0:
		return nil, fmt.Errorf("%s: exit code %d%s", strings.Join(command, " "), r.ExitCode, lastOf(said))
	case r.Truncated:
		return nil, fmt.Errorf("%s printed more than %d MiB", strings.Join(command, " "), composeOutput>>20)
	}
	return []byte(r.Stdout), nil
}

// lastOf is the last lines of what a command said, for an error.
func lastOf(said string) string {
	const most = 12
	if said == "" {
		return ""
	}
	lines := strings.Split(said, "\n")
	return ":\n    " + strings.Join(lines[max(0, len(lines)-most):], "\n    ")
}

// keepComposed keeps what Compose said beside the logs of the services. The verdict does not hang on it.
func (e *Environment) keepComposed(said string) {
	if said == "" || os.MkdirAll(e.opts.LogDir, 0o755) != nil {
		return
	}
	f, err := os.OpenFile(filepath.Join(e.opts.LogDir, "compose.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	_, _ = f.WriteString(e.opts.Secrets.Text(said))
	_ = f.Close()
}

// quiet is how long nothing that a run has asked for may come to be, after it was killed in the middle, until all of it is gone: the engine still carries out what it was asked
// for last.
const quiet = 3 * time.Second

// endCopy ends what starts a project and removes all that it has made, and verifies that: nothing of it may come to be for a time, 0 if it was started to the end. It is
// idempotent, and safe if nothing was ever started.
func endCopy(ctx context.Context, engine *client.Client, id, project string, unsettled time.Duration) error {
	if err := proc.KillMarked(ctx, proc.Marker(id)); err != nil {
		return fmt.Errorf("end what starts the Compose project %q: %w", project, err)
	}
	for since := time.Now(); ; {
		n, err := removeProject(ctx, engine, project)
		if n > 0 || err != nil { // a network that cannot go may have got a container meanwhile
			since = time.Now()
		} else if time.Since(since) >= unsettled {
			return nil
		}
		if over := breathe(ctx); over != nil {
			return fmt.Errorf("remove the Compose project %q: %d of its parts were still there: %w", project, n, errors.Join(over, err))
		}
	}
}

// removeProject removes what there is of a project, and answers how much that was.
func removeProject(ctx context.Context, engine *client.Client, project string) (n int, err error) {
	var errs []error
	for _, remove := range []func(context.Context, *client.Client, string) (int, error){removeContainers, removeNetworks, removeVolumes, removeBuilt} {
		removed, err := remove(ctx, engine, project)
		n += removed
		errs = append(errs, err)
	}
	return n, errors.Join(errs...)
}

// unlessGoing leaves out an error that means that what was to be removed is gone, or going.
func unlessGoing(err error) error {
	if err != nil && goes(err) {
		return nil
	}
	return err
}

func byProject(project string) filters.Args {
	return filters.NewArgs(filters.Arg("label", labelProject+"="+project))
}

func removeContainers(ctx context.Context, engine *client.Client, project string) (int, error) {
	all, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: byProject(project)})
	return len(all), errors.Join(err, together(len(all), func(n int) error {
		return unlessGoing(engine.ContainerRemove(ctx, all[n].ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}))
}

func removeNetworks(ctx context.Context, engine *client.Client, project string) (int, error) {
	all, err := engine.NetworkList(ctx, network.ListOptions{Filters: byProject(project)})
	errs := []error{err}
	for _, n := range all {
		errs = append(errs, unlessGoing(engine.NetworkRemove(ctx, n.ID)))
	}
	return len(all), errors.Join(errs...)
}

func removeVolumes(ctx context.Context, engine *client.Client, project string) (int, error) {
	all, err := engine.VolumeList(ctx, volume.ListOptions{Filters: byProject(project)})
	errs := []error{err}
	for _, v := range all.Volumes {
		errs = append(errs, unlessGoing(engine.VolumeRemove(ctx, v.Name, false)))
	}
	return len(all.Volumes), errors.Join(errs...)
}

// removeBuilt removes the images that Compose has built and named after the project, because the Compose file does not name them.
func removeBuilt(ctx context.Context, engine *client.Client, project string) (int, error) {
	all, err := engine.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", project+"_*"), filters.Arg("reference", project+"-*"))})
	errs := []error{err}
	for _, i := range all {
		for _, tag := range i.RepoTags {
			if strings.HasPrefix(tag, project) {
				_, err := engine.ImageRemove(ctx, tag, image.RemoveOptions{PruneChildren: true})
				errs = append(errs, unlessGoing(err))
			}
		}
	}
	return len(all), errors.Join(errs...)
}
