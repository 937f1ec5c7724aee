package docker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"

	"chaosgate/pkg/target"
)

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
	switch {
	case held:
		i.keep()
	case i.held:
		i.held, i.heldUntil = false, time.Now()
	}
	return nil
}

// keep notes that it is held from now on. Its mutex is locked.
func (i *instance) keep() {
	if !i.held {
		i.held, i.heldSince = true, time.Now()
	}
}

// strike notes that a fault hits it now.
func (i *instance) strike() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hit = time.Now()
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
	i.mu.Unlock()
	if held {
		i.strike()
		return i.killForGood(ctx, signal)
	}
	h, err := e.signaller(ctx, i, signal)
	if err != nil {
		return err
	}
	i.strike()
	if _, err = h.Call(ctx, "inject"); err != nil {
		err = fmt.Errorf("send %s to %s: %w", signal, i.name, err)
	}
	// Its work is done, or it cannot do it: another try has another one. What follows the kill is not to wait for the helper's end, which Down sees to.
	e.disarm(i, signal)
	return err
}

// killForGood kills a container so that the engine leaves it down. Where an image has a stop signal, the engine takes only that one for a wish to end it, and would let
// the restart policy follow any other: after SIGKILL it is told to stop what is dead already.
func (i *instance) killForGood(ctx context.Context, signal string) error {
	info, err := i.inspect(ctx)
	if err != nil {
		return err
	}
	own := info.Config.StopSignal
	same := own == "" || number(own) == number(signal)
	if !same && signal != "SIGKILL" {
		return fmt.Errorf("%s cannot be kept down after %s: its stop signal is %s, and the engine keeps down what got that or SIGKILL", i.name, signal, own)
	}
	if err := i.kill(ctx, signal); err != nil || same {
		return err
	}
	now := 0
	if err := i.engine.ContainerStop(ctx, i.id, container.StopOptions{Timeout: &now}); err != nil {
		return fmt.Errorf("keep %s down: %w", i.name, err)
	}
	return nil
}

// number is a signal's, however an image spells it: SIGQUIT, QUIT or 3.
func number(signal string) int {
	if n, err := strconv.Atoi(signal); err == nil {
		return n
	}
	name := strings.ToUpper(signal)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	return int(unix.SignalNum(name))
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

// disarm ends a helper that has done its work, without waiting for that.
func (e *Environment) disarm(i *instance, signal string) {
	key := i.name + " " + signal
	e.mu.Lock()
	h := e.armed[key]
	delete(e.armed, key)
	e.mu.Unlock()
	if h != nil {
		h.release()
	}
}
