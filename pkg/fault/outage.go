package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chaosgate/pkg/target"
)

// outage is a fault in which an instance is down for a while: service.kill with a duration and service.stop.
type outage struct {
	instance
	kind    string
	killer  target.Killer
	starter target.Starter
	did     string                      // "killed by SIGKILL", "stopped"
	down    func(context.Context) error // takes it down and keeps it down
	grace   time.Duration               // of the step; 0: it says nothing
}

func newOutage(r Request, i instance, kind, did string) (*outage, error) {
	killer, err := able[target.Killer](r.Runtime, target.CanKill)
	starter, err2 := able[target.Starter](r.Runtime, target.CanStart)
	return &outage{instance: i, kind: kind, killer: killer, starter: starter, did: did}, errors.Join(err, err2)
}

// Prepare implements Fault.
func (o *outage) Prepare(ctx context.Context) ([]target.Undo, error) {
	if err := o.look(ctx); err != nil {
		return nil, err
	}
	return o.undo(o.kind, o.life(o.grace), o.byHand(ctx, target.CanStart))
}

// Inject implements Fault.
func (o *outage) Inject(ctx context.Context) (Effect, error) {
	if err := o.lookAgain(ctx); err != nil {
		return Effect{}, err
	}
	o.touched = true
	began := time.Now()
	if err := o.down(ctx); err != nil {
		return Effect{}, err
	}
	gone, now, err := o.ended(ctx)
	if err != nil {
		return Effect{}, err
	}
	if !gone {
		return Effect{Summary: fmt.Sprintf("%s (pid %d) still runs %v after it was %s", o.Instance, o.before.PID, EndLimit, o.did)}, nil
	}
	e := o.effect(now)
	e.Readings["took_ms"] = milliseconds(time.Since(began))
	return e, nil
}

// effect tells whether it is down now.
func (o *outage) effect(now target.Status) Effect {
	e := Effect{Proven: !now.Running, Readings: map[string]float64{"exit_code": float64(now.ExitCode)}}
	switch {
	case e.Proven:
		e.Summary = fmt.Sprintf("%s (pid %d) was %s and is down", o.Instance, o.before.PID, o.did)
	case !o.touched:
		e.Summary = fmt.Sprintf("%s runs (pid %d): it was not %s", o.Instance, now.PID, o.did)
	default:
		e.Summary = fmt.Sprintf("%s (pid %d) was %s, but it runs again (pid %d): somebody started it", o.Instance, o.before.PID, o.did, now.PID)
	}
	return e
}

// Check implements Fault.
func (o *outage) Check(ctx context.Context) (Effect, error) {
	now, err := o.inspect(ctx)
	if err != nil {
		return Effect{}, err
	}
	return o.effect(now), nil
}

// Revert implements Fault.
func (o *outage) Revert(ctx context.Context) (Effect, error) {
	if !o.touched {
		return o.untouched(), nil
	}
	began := time.Now()
	if err := o.killer.Release(ctx, o.Target); err != nil {
		return Effect{}, fmt.Errorf("let it be started again: %w", err)
	}
	now, err := startAnew(ctx, o.instance, o.starter, o.grace)
	if err != nil {
		return Effect{}, err
	}
	return started(o.instance, now, time.Since(began)), nil
}
