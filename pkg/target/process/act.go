package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/proc"
	"chaosgate/pkg/target"
)

// readbackTimeout bounds how long the kernel may take until a signal shows.
const readbackTimeout = 2 * time.Second

// Kill implements target.Killer. It returns when a SIGKILL is seen to have taken effect; any other signal may be handled by the service.
func (e *Environment) Kill(ctx context.Context, t target.Target, signal string) error {
	s, err := e.service(t)
	if err != nil {
		return err
	}
	sig := unix.SignalNum(signal)
	if sig == 0 {
		return fmt.Errorf("there is no signal %q; SIGKILL, SIGTERM, SIGINT and SIGHUP are usual", signal)
	}
	now, _ := s.look()
	if !now.alive() {
		return fmt.Errorf("%s is not running, so it cannot get %s", s.instance, signal)
	}
	s.strike(now.process, sig)
	err = now.process.Signal(sig)
	if errors.Is(err, proc.ErrExited) {
		return fmt.Errorf("%s has just exited, so it cannot get %s", s.instance, signal)
	}
	if err != nil {
		return fmt.Errorf("send %s to %s: %w", signal, s.instance, err)
	}
	if sig != syscall.SIGKILL {
		return nil
	}
	return s.gone(ctx, now.process)
}

// strike notes that a fault sends a signal to a process, before it is sent.
func (s *service) strike(p *proc.Process, sig syscall.Signal) {
	s.change(func(st *state) {
		if st.process == p {
			st.hit = hit{signal: sig, at: time.Now()}
		}
	})
}

// gone waits until a killed process is no longer there.
func (s *service) gone(ctx context.Context, p *proc.Process) error {
	ctx, cancel := context.WithTimeout(ctx, readbackTimeout)
	defer cancel()
	_, _ = p.Wait(ctx) // its end is looked up, not believed
	if p.ID().Alive() {
		return fmt.Errorf("process %d of %s still lives %v after SIGKILL", p.PID(), s.instance, readbackTimeout)
	}
	return s.recorded(ctx, p)
}

// recorded waits until the supervisor has noted the end of a process that has ended: until then the state is that of a service that runs.
func (s *service) recorded(ctx context.Context, p *proc.Process) error {
	return s.await(ctx, func(st state) bool { return !st.running || st.process != p })
}

// Hold implements target.Killer.
func (e *Environment) Hold(_ context.Context, t target.Target) error {
	return e.change(t, func(st *state) { st.held = true })
}

// Release implements target.Killer. A service whose policy never starts it again stays down: use Start.
func (e *Environment) Release(_ context.Context, t target.Target) error {
	return e.change(t, func(st *state) { st.held = false })
}

func (e *Environment) change(t target.Target, f func(*state)) error {
	s, err := e.service(t)
	if err != nil {
		return err
	}
	s.change(f)
	return nil
}

// Stop implements target.Starter. A grace of zero or less is the service's own.
func (e *Environment) Stop(ctx context.Context, t target.Target, grace time.Duration) error {
	s, err := e.service(t)
	if err != nil {
		return err
	}
	if grace <= 0 {
		grace = s.settings.grace
	}
	s.change(func(st *state) { st.held, st.asked = true, false })
	now, _ := s.look()
	if !now.running {
		return nil
	}
	s.strike(now.process, syscall.SIGTERM)
	if err := now.process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, proc.ErrExited) {
		return fmt.Errorf("stop %s: %w", s.instance, err)
	}
	waiting, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if _, err := now.process.Wait(waiting); err == nil {
		return s.await(ctx, func(st state) bool { return !st.running })
	}
	s.strike(now.process, syscall.SIGKILL)
	if err := now.process.Kill(); err != nil {
		return fmt.Errorf("stop %s: %w", s.instance, err)
	}
	if err := s.gone(ctx, now.process); err != nil {
		return err
	}
	return s.await(ctx, func(st state) bool { return !st.running })
}

// Start implements target.Starter. It ends a Hold. A start that the restart policy is making is waited for.
func (e *Environment) Start(ctx context.Context, t target.Target) error {
	s, err := e.service(t)
	if err != nil {
		return err
	}
	before, _ := s.look()
	if before.running && !before.alive() {
		if err := s.recorded(ctx, before.process); err != nil {
			return fmt.Errorf("start %s: %w", s.instance, err)
		}
		before, _ = s.look()
	}
	s.ask()
	return s.waitReady(ctx, before.exits)
}

// ask makes the supervisor start the service if it does not run.
func (s *service) ask() {
	s.change(func(st *state) {
		st.held, st.gaveUp = false, false
		st.asked = !st.running
	})
}

// waitReady waits until the service is ready. It is an error if it exits first (more often than it had at the time of the call), or is not ready in time.
func (s *service) waitReady(ctx context.Context, exits int) error {
	limit, cancel := context.WithTimeout(ctx, s.settings.within)
	defer cancel()
	err := s.await(limit, func(st state) bool { return st.ready || st.exits > exits || st.ending })
	now, _ := s.look()
	switch {
	case err == nil && now.ready:
		return nil
	case now.exits > exits && now.failed != nil:
		return fmt.Errorf("%s could not be started: %w", s.instance, now.failed)
	case now.exits > exits:
		return fmt.Errorf("%s exited before it was ready, with exit code %d; %s", s.instance, now.lastExit, tail(s.logPath, now.logFrom))
	case now.ending:
		return fmt.Errorf("%s was not started: the environment ends", s.instance)
	case ctx.Err() != nil:
		return fmt.Errorf("wait until %s is ready: %w", s.instance, context.Cause(ctx))
	}
	reason := "it does not run"
	if tried := s.probeReady(ctx); tried != nil {
		reason = tried.Error()
	}
	return fmt.Errorf("%s was not ready within %v: tried %s, the last time: %s; %s", s.instance, s.settings.within, s.readyTried(), reason, tail(s.logPath, now.logFrom))
}

// Pause implements target.Pauser: every process of the instance, also one that has left its group, is stopped, and seen to be.
func (e *Environment) Pause(ctx context.Context, t target.Target) error {
	s, err := e.service(t)
	if err != nil {
		return err
	}
	now, _ := s.look()
	if !now.alive() {
		return fmt.Errorf("%s is not running, so it cannot be paused", s.instance)
	}
	return freeze(ctx, s.instance, s.everything, syscall.SIGSTOP)
}

// Resume implements target.Pauser. An instance that does not run has nothing to resume.
func (e *Environment) Resume(ctx context.Context, t target.Target) error {
	s, err := e.service(t)
	if err != nil {
		return err
	}
	return freeze(ctx, s.instance, s.everything, syscall.SIGCONT)
}

// freeze sends SIGSTOP or SIGCONT to all processes that a search finds until all of their threads are stopped, or none is.
func freeze(ctx context.Context, instance string, find func() ([]proc.ID, error), sig syscall.Signal) error {
	ctx, cancel := context.WithTimeout(ctx, readbackTimeout)
	defer cancel()
	for {
		ids, err := find()
		if err != nil {
			return err
		}
		if len(ids) == 0 && sig == syscall.SIGSTOP {
			return fmt.Errorf("%s has just exited, so it cannot be paused", instance)
		}
		others := withThreads(ids, sig != syscall.SIGSTOP)
		if len(others) == 0 {
			return nil
		}
		for _, id := range others {
			_ = id.Signal(sig) // what came of it is read next
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not follow %s: processes %s", instance, unix.SignalName(sig), pids(others))
		case <-time.After(time.Millisecond):
		}
	}
}

// withThreads answers those processes that have a thread that is stopped, or one that is not.
func withThreads(ids []proc.ID, stopped bool) []proc.ID {
	return slices.DeleteFunc(slices.Clone(ids), func(id proc.ID) bool {
		threads, err := proc.Threads(id.PID)
		return err != nil || !slices.ContainsFunc(threads, func(t proc.Stat) bool { return !t.Dead() && t.Stopped() == stopped })
	})
}

func pids(ids []proc.ID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = fmt.Sprint(id.PID)
	}
	return strings.Join(names, ", ")
}

// ByHand implements target.ByHand: what was paused can go on; whatever else was done, its services end with the run.
func (e *Environment) ByHand(_ context.Context, t target.Target, what target.Capability) string {
	s, err := e.service(t)
	if err != nil || what != target.CanPause {
		return ""
	}
	now, _ := s.look()
	if now.process == nil {
		return ""
	}
	return fmt.Sprintf("kill -s CONT -- -%d", now.process.PID()) // as every shell takes it
}

// Inspect implements target.Inspector. It asks the kernel for the process and the service itself for its readiness.
func (e *Environment) Inspect(ctx context.Context, t target.Target) (target.Status, error) {
	s, err := e.service(t)
	if err != nil {
		return target.Status{}, err
	}
	now, _ := s.look()
	kills := now.oomKills
	if s.group != nil {
		var err error
		if kills, err = s.group.oomKills(); err != nil {
			return target.Status{}, fmt.Errorf("inspect %s: %w", s.instance, err)
		}
	}
	st := target.Status{Restarts: now.restarts, OOMKilled: kills > 0, OOMKills: kills, ExitCode: now.lastExit, Started: now.started}
	if !now.alive() {
		return st, nil
	}
	st.Running, st.PID = true, now.process.PID()
	st.Paused = len(withThreads([]proc.ID{now.process.ID()}, false)) == 0
	st.Ready = !st.Paused && s.probeReady(ctx) == nil
	return st, nil
}

// service finds the service of a target.
func (e *Environment) service(t target.Target) (*service, error) {
	s, ok := e.services[t.Service]
	if !ok || t.Instance != "" && t.Instance != s.instance {
		return nil, fmt.Errorf("there is no %s/%s here; there are %s", t.Service, t.Instance, strings.Join(slices.Sorted(maps.Keys(e.services)), ", "))
	}
	return s, nil
}
