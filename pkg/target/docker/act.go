package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"chaosgate/pkg/target"
)

// Inspect implements target.Inspector: it asks the engine, and the service itself for its readiness.
func (e *Environment) Inspect(ctx context.Context, t target.Target) (target.Status, error) {
	i, err := e.instance(t)
	if err != nil {
		return target.Status{ExitCode: -1}, err
	}
	return i.status(ctx)
}

// defaultGrace is how long an engine lets a container end by itself if nobody says anything else.
const defaultGrace = 10 * time.Second

// Stop implements target.Starter. A grace of zero or less is the service's own: of chaos.yaml, else of the Compose file, else the engine's. The engine counts whole
// seconds, so the grace is kept here.
func (e *Environment) Stop(ctx context.Context, t target.Target, grace time.Duration) error {
	i, err := e.mayHit(t)
	if err != nil {
		return err
	}
	info, err := i.inspect(ctx)
	if err != nil {
		return err
	}
	if grace <= 0 {
		if grace, err = i.grace(info); err != nil {
			return err
		}
	}
	i.mu.Lock()
	i.held, i.hit = true, time.Now()
	i.mu.Unlock()
	signal := info.Config.StopSignal
	if signal == "" {
		signal = "SIGTERM"
	}
	if err := i.kill(ctx, signal); err != nil {
		return i.unlessDown(ctx, err)
	}
	waiting, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if i.awaitDown(waiting) == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	i.mu.Lock()
	i.hit = time.Now()
	i.mu.Unlock()
	if err := i.kill(ctx, "SIGKILL"); err != nil {
		return i.unlessDown(ctx, err)
	}
	return i.awaitDown(ctx)
}

// awaitDown waits until the container does not run.
func (i *instance) awaitDown(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		info, err := i.inspect(ctx)
		return err == nil && !info.State.Running, err
	})
}

// unlessDown is err, but nil if the instance does not run in the end.
func (i *instance) unlessDown(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if info, failed := i.inspect(ctx); failed == nil && !info.State.Running {
		return nil
	}
	return err
}

func (i *instance) grace(info container.InspectResponse) (time.Duration, error) {
	switch {
	case i.spec.Stop != "":
		return time.ParseDuration(i.spec.Stop)
	case info.Config.StopTimeout != nil && *info.Config.StopTimeout < 0:
		return math.MaxInt64, nil // it waits for ever
	case info.Config.StopTimeout != nil:
		return time.Duration(*info.Config.StopTimeout) * time.Second, nil
	}
	return defaultGrace, nil
}

// Start implements target.Starter. It ends a Hold.
func (e *Environment) Start(ctx context.Context, t target.Target) error {
	i, err := e.mayHit(t)
	if err != nil {
		return err
	}
	if err := e.hold(t, false); err != nil {
		return err
	}
	if err := start(ctx, i.engine, i.id); err != nil {
		return fmt.Errorf("start %s: %w", i.name, err)
	}
	info, err := i.inspect(ctx)
	if err != nil {
		return err
	}
	i.learn(info) // the engine counts anew from here
	return i.waitReady(ctx)
}

// Pause implements target.Pauser.
func (e *Environment) Pause(ctx context.Context, t target.Target) error {
	i, err := e.mayHit(t)
	if err != nil {
		return err
	}
	if err := pause(ctx, i.engine, i.id); err != nil {
		return fmt.Errorf("pause %s: %w", i.name, err)
	}
	return nil
}

// Resume implements target.Pauser. An instance that does not run has nothing to resume.
func (e *Environment) Resume(ctx context.Context, t target.Target) error {
	i, err := e.mayHit(t)
	if err != nil {
		return err
	}
	if err := resume(ctx, i.engine, i.id); err != nil {
		return fmt.Errorf("resume %s: %w", i.name, err)
	}
	return nil
}

// ByHand implements target.ByHand.
func (e *Environment) ByHand(_ context.Context, t target.Target, what target.Capability) string {
	i, err := e.instance(t)
	if err != nil {
		return ""
	}
	switch what {
	case target.CanPause:
		return e.opts.Endpoint.command() + " unpause " + i.id[:12]
	case target.CanStart:
		return e.opts.Endpoint.command() + " start " + i.id[:12]
	}
	return ""
}

// start starts a container that does not run.
func start(ctx context.Context, engine *client.Client, id string) error {
	err := engine.ContainerStart(ctx, id, container.StartOptions{})
	if cerrdefs.IsNotFound(err) {
		return target.ErrGone
	}
	return err
}

// pause freezes a container and reads back that it is.
func pause(ctx context.Context, engine *client.Client, id string) error {
	paused := engine.ContainerPause(ctx, id)
	var status container.ContainerState
	err := settled(ctx, func() (bool, error) {
		info, err := engine.ContainerInspect(ctx, id)
		if err != nil {
			return false, errors.Join(paused, err)
		}
		status = info.State.Status
		if !info.State.Paused { // also if it was before
			return false, paused
		}
		return true, nil
	})
	if errors.Is(err, errUnsettled) {
		return fmt.Errorf("the engine says that it is %s", status)
	}
	return err
}

// resume thaws a container and reads back that it is.
func resume(ctx context.Context, engine *client.Client, id string) error {
	resumed := engine.ContainerUnpause(ctx, id)
	err := settled(ctx, func() (bool, error) {
		info, err := engine.ContainerInspect(ctx, id)
		switch {
		case cerrdefs.IsNotFound(err):
			return false, target.ErrGone
		case err != nil:
			return false, errors.Join(resumed, err)
		case info.State.Paused:
			return false, resumed
		}
		return true, nil // also if it never was, or does not run
	})
	if errors.Is(err, errUnsettled) {
		return errors.New("the engine says that it is still paused")
	}
	return err
}

// settles is how long an engine may say of a container what it was before. It hears from below what it has done itself, and when a pause is followed by a resume at once, it may
// hear of the first after it has done the second, and take that for news until it hears of the second as well.
const settles = 3 * time.Second

var errUnsettled = errors.New("the engine has not settled")

// settled asks until the answer is yes, or an error.
func settled(ctx context.Context, ask func() (bool, error)) error {
	asking, cancel := context.WithTimeoutCause(ctx, settles, errUnsettled)
	defer cancel()
	return poll(asking, ask)
}

// reference is what a target.Ref's ID holds: enough to find the container again, from another process.
type reference struct {
	Endpoint  Endpoint `json:"endpoint"`
	Container string   `json:"container"`
	// Environment is its id: what is made for an undo belongs to it.
	Environment string `json:"environment"`
	Ready       string `json:"ready,omitempty"`  // a URL that answers 2xx when it is
	Within      string `json:"within,omitempty"` // how long it may take until then
	// Own means that the project is the experiment's own: when the container is gone, so is all that it had.
	Own bool `json:"own,omitempty"`
}

func (r reference) String() string {
	text, _ := json.Marshal(r) // of strings and booleans: it cannot fail
	return string(text)
}
