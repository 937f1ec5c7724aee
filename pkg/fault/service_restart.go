package fault

import (
	"context"
	"fmt"
	"time"

	"chaosgate/pkg/target"
)

// restart is service.restart: an orderly stop and a start, as a deployment does it.
type restart struct {
	instance
	starter target.Starter
	grace   time.Duration
	done    bool // it was started again
}

func newRestart(r Request) (Fault, error) {
	grace := r.Params.Duration("grace")
	return eachInstance(r, func(i instance) (subject, error) {
		starter, err := able[target.Starter](r.Runtime, target.CanStart)
		return &restart{instance: i, starter: starter, grace: grace}, err
	})
}

// Prepare implements Fault. The undo is for a runner that dies between the stop and the start.
func (s *restart) Prepare(ctx context.Context) ([]target.Undo, error) {
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	return s.undo("service.restart", s.life(s.grace), s.byHand(ctx, target.CanStart))
}

// Inject implements Fault.
func (s *restart) Inject(ctx context.Context) (Effect, error) {
	if err := s.lookAgain(ctx); err != nil {
		return Effect{}, err
	}
	s.touched = true
	began := time.Now()
	if err := s.starter.Stop(ctx, s.Target, s.grace); err != nil {
		return Effect{}, err
	}
	now, err := start(ctx, s.instance, s.starter)
	if err != nil {
		return Effect{}, err
	}
	s.done = s.back(now)
	e := s.effect(now)
	e.Readings = map[string]float64{"took_ms": milliseconds(time.Since(began))}
	return e, nil
}

func (s *restart) effect(now target.Status) Effect {
	switch {
	case s.same(now):
		return Effect{Summary: fmt.Sprintf("%s still runs as pid %d: it was not restarted", s.Instance, now.PID)}
	case !s.done:
		return Effect{Summary: fmt.Sprintf("%s (pid %d) was stopped and started again, but is not ready", s.Instance, s.before.PID)}
	case !now.Running:
		return Effect{Proven: true, Summary: fmt.Sprintf("%s (pid %d) was restarted and has ended since, with exit code %d", s.Instance, s.before.PID, now.ExitCode)}
	}
	return Effect{Proven: true, Summary: fmt.Sprintf("%s (pid %d) was restarted and runs again (pid %d)", s.Instance, s.before.PID, now.PID)}
}

// Check implements Fault.
func (s *restart) Check(ctx context.Context) (Effect, error) {
	now, err := s.inspect(ctx)
	if err != nil {
		return Effect{}, err
	}
	return s.effect(now), nil
}

// Revert implements Fault: it starts what was stopped and not started again.
func (s *restart) Revert(ctx context.Context) (Effect, error) {
	switch {
	case !s.touched:
		return s.untouched(), nil
	case s.done:
		return Effect{Proven: true, Summary: s.Instance + ": nothing to revert, it was started again"}, nil
	}
	began := time.Now()
	now, err := startAnew(ctx, s.instance, s.starter, s.grace)
	if err != nil {
		return Effect{}, err
	}
	s.done = s.back(now)
	return started(s.instance, now, time.Since(began)), nil
}
