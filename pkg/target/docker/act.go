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

// Hold implements target.Killer.
func (e *Environment) Hold(_ context.Context, t target.Target) error { return e.hold(t, true) }

// Release implements target.Killer. A container that was killed while it was held stays down: use Start.
func (e *Environment) Release(_ context.Context, t target.Target) error { return e.hold(t, false) }

func (e *Environment) hold(t target.Target, held bool) error {
	i, err := e.mayHit(t)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.held = held
	return nil
}

// Kill implements target.Killer. One that is held is killed by the engine, which then leaves it down, whatever its restart policy. Any other gets the signal from a
// helper, so that to the engine it ends by itself, and its restart policy applies.
func (e *Environment) Kill(ctx context.Context, t target.Target, signal string) error {
	i, err := e.mayHit(t)
	if err != nil {
		return err
	}
	i.mu.Lock()
	held := i.held
	i.hit = time.Now()
	i.mu.Unlock()
	if held {
		return i.kill(ctx, signal)
	}
	h, err := e.signaller(ctx, i, signal)
	if err != nil {
		return err
	}
	if _, err := h.Call(ctx, "inject"); err != nil {
		return fmt.Errorf("send %s to %s: %w", signal, i.name, err)
	}
	return e.disarm(ctx, i, signal)
}

// kill has the engine send a signal.
func (i *instance) kill(ctx context.Context, signal string) error {
	err := i.engine.ContainerKill(ctx, i.id, signal)
	if cerrdefs.IsNotFound(err) {
		return i.gone()
	}
	if err != nil {
		return fmt.Errorf("send %s to %s: %w", signal, i.name, err)
	}
	return nil
}

// Arm implements target.Armer.
func (e *Environment) Arm(ctx context.Context, t target.Target, signal string) error {
	i, err := e.mayHit(t)
	if err != nil {
		return err
	}
	_, err = e.signaller(ctx, i, signal)
	return err
}

// signaller is the helper that sends a signal to an instance once; it is started if there is none.
func (e *Environment) signaller(ctx context.Context, i *instance, signal string) (*helper, error) {
	key := i.name + " " + signal
	e.mu.Lock()
	h := e.armed[key]
	e.mu.Unlock()
	if h != nil {
		return h, nil
	}
	job, config := e.opts.Helpers.Jobs.Signal(i.id, signal)
	h, err := e.hosts.start(ctx, job, config, seesProcesses)
	if err != nil {
		return nil, fmt.Errorf("start the helper for %s: %w", i.name, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.armed[key] = h
	return h, nil
}

// disarm ends a helper that has done its work.
func (e *Environment) disarm(ctx context.Context, i *instance, signal string) error {
	key := i.name + " " + signal
	e.mu.Lock()
	h := e.armed[key]
	delete(e.armed, key)
	e.mu.Unlock()
	if h == nil {
		return nil
	}
	return h.Close(ctx)
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
	ended, failed := i.engine.ContainerWait(ctx, i.id, container.WaitConditionNotRunning)
	if err := i.kill(ctx, signal); err != nil {
		return i.unlessDown(ctx, err)
	}
	select {
	case <-ended:
		return nil
	case err := <-failed:
		return fmt.Errorf("wait until %s has stopped: %w", i.name, err)
	case <-time.After(grace):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return i.unlessDown(ctx, i.kill(ctx, "SIGKILL"))
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
	info, err := i.inspect(ctx)
	if err != nil {
		return err
	}
	i.mu.Lock()
	i.held = false
	if runs(info) != nil { // the engine counts restarts anew after a start that was asked for
		i.counted += info.RestartCount - i.baseline
		i.baseline = 0
	}
	i.mu.Unlock()
	if err := start(ctx, i.engine, i.id); err != nil {
		return fmt.Errorf("start %s: %w", i.name, err)
	}
	if info, err = i.inspect(ctx); err != nil {
		return err
	}
	i.moved(info)
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
		return "docker unpause " + i.id[:12]
	case target.CanStart:
		return "docker start " + i.id[:12]
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
	info, err := engine.ContainerInspect(ctx, id)
	switch {
	case err != nil:
		return errors.Join(paused, err)
	case info.State.Paused:
		return nil // also if it was before
	case paused != nil:
		return paused
	}
	return fmt.Errorf("the engine says that it is %s", info.State.Status)
}

// resume thaws a container and reads back that it is.
func resume(ctx context.Context, engine *client.Client, id string) error {
	resumed := engine.ContainerUnpause(ctx, id)
	info, err := engine.ContainerInspect(ctx, id)
	switch {
	case cerrdefs.IsNotFound(err):
		return target.ErrGone
	case err != nil:
		return errors.Join(resumed, err)
	case !info.State.Paused:
		return nil // also if it never was, or does not run
	case resumed != nil:
		return resumed
	}
	return errors.New("the engine says that it is still paused")
}

// reference is what a target.Ref's ID holds: enough to find the container again, from another process.
type reference struct {
	Endpoint  Endpoint `json:"endpoint"`
	Container string   `json:"container"`
	Ready     string   `json:"ready,omitempty"` // a URL that answers 2xx when it is
}

func (r reference) String() string {
	text, _ := json.Marshal(r) // of strings and booleans: it cannot fail
	return string(text)
}
