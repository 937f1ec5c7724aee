package docker

import (
	"cmp"
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
	i.keep()
	i.mu.Unlock()
	return i.end(ctx, cmp.Or(info.Config.StopSignal, "SIGTERM"), grace)
}

// end has the engine send a signal and, if that does not end the container within the grace, SIGKILL. The engine leaves it down then.
func (i *instance) end(ctx context.Context, signal string, grace time.Duration) error {
	i.strike()
	if err := i.kill(ctx, signal); err != nil {
		return i.unlessDown(ctx, err)
	}
	waiting, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	switch err := i.awaitDown(waiting); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case waiting.Err() == nil:
		return err // it was not seen, and its grace is not over
	}
	i.strike()
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
	return i.comeUp(ctx)
}

// comeUp waits until an instance that was started is ready.
func (i *instance) comeUp(ctx context.Context) error {
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
		return e.opts.Endpoint.command() + " restart " + i.id[:12] // it may be on its way down, and a start would find that it runs
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
	return settle(ctx, engine, id, engine.ContainerPause, func(s *container.State) bool { return s.Paused })
}

// resume thaws a container and reads back that it is.
func resume(ctx context.Context, engine *client.Client, id string) error {
	return settle(ctx, engine, id, engine.ContainerUnpause, func(s *container.State) bool { return !s.Paused })
}

const (
	// settles is how long an engine may say of a container what it was before. It hears from below what it has done itself, and takes that for news: of a pause and a resume
	// right after it, it may hear of the first when it has done the second.
	settles = 3 * time.Second
	// settled is after how long it has heard all of it.
	settled = 300 * time.Millisecond
)

var errUnsettled = errors.New("the engine has not settled")

// settle does something to a container until the engine says that it is done, also if it was before. An engine that refuses, as where it takes it for done, may be wrong: it is
// believed when it says the same for a while, and else told once more.
func settle(ctx context.Context, engine *client.Client, id string, do func(context.Context, string) error, done func(*container.State) bool) error {
	asking, cancel := context.WithTimeoutCause(ctx, settles, errUnsettled)
	defer cancel()
	refused := do(ctx, id)
	var status container.ContainerState
	var since time.Time // it says so; zero: it does not
	err := poll(asking, func() (bool, error) {
		info, err := engine.ContainerInspect(ctx, id)
		switch {
		case cerrdefs.IsNotFound(err):
			return false, target.ErrGone
		case err != nil:
			return false, errors.Join(refused, err)
		case done(info.State) && (refused == nil || !info.State.Running):
			return true, nil
		case done(info.State) && since.IsZero():
			since = time.Now()
		case done(info.State):
			return time.Since(since) >= settled, nil
		case !info.State.Running:
			return false, cmp.Or(refused, errors.New("it is not running"))
		case refused != nil:
			since, refused = time.Time{}, do(ctx, id)
		}
		status = info.State.Status
		return false, nil
	})
	if errors.Is(err, errUnsettled) {
		return cmp.Or(refused, fmt.Errorf("the engine says that it is still %s", status))
	}
	return err
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
