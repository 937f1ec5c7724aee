package fault

import (
	"context"
	"encoding/json"
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
	return o.undo(o.kind, nil, o.byHand(ctx, target.CanStart))
}

// Inject implements Fault.
func (o *outage) Inject(ctx context.Context) (Effect, error) {
	if err := o.look(ctx); err != nil { // it may have been started anew since it was armed
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
		return Effect{Summary: fmt.Sprintf("%s (pid %d) still runs %v after it was %s", o.Instance, o.before.PID, endLimit, o.did)}, nil
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
	now, err := start(ctx, o.instance, o.starter)
	if err != nil {
		return Effect{}, err
	}
	return started(o.Instance, now, time.Since(began)), nil
}

// startLimit bounds how long an instance is started anew that is not ready afterwards.
const startLimit = time.Second

// start starts an instance and reads back what came of it. One that has ended just now may still be taken for one that runs, so what is not ready is started anew.
func start(ctx context.Context, i instance, s target.Starter) (target.Status, error) {
	var now target.Status
	_, err := until(ctx, startLimit, func(ctx context.Context) (_ bool, err error) {
		if err := s.Start(ctx, i.Target); err != nil {
			return false, fmt.Errorf("start it again: %w", err)
		}
		now, err = i.inspect(ctx)
		return now.Running && now.Ready, err
	})
	return now, err
}

func started(name string, now target.Status, took time.Duration) Effect {
	e := Effect{Proven: now.Running && now.Ready, Readings: map[string]float64{"start_ms": milliseconds(took)}}
	switch {
	case e.Proven:
		e.Summary = fmt.Sprintf("%s runs again (pid %d) and is ready", name, now.PID)
	case now.Running:
		e.Summary = fmt.Sprintf("%s runs again (pid %d) but is not ready", name, now.PID)
	default:
		e.Summary = fmt.Sprintf("%s was started but does not run", name)
	}
	return e
}

// revertOutage starts a service whose runner has died.
func revertOutage(ctx context.Context, rt target.Runtime, _ json.RawMessage, ref target.Ref) error {
	starter, err := able[target.Starter](rt, target.CanStart)
	if err != nil {
		return err
	}
	i, err := newInstance(Request{Runtime: rt}, target.Target{Ref: ref})
	if err != nil {
		return err
	}
	if killer, ok := rt.(target.Killer); ok {
		if err := killer.Release(ctx, i.Target); err != nil {
			return fmt.Errorf("let %s be started again: %w", ref.Instance, err)
		}
	}
	now, err := start(ctx, i, starter)
	if err == nil && !(now.Running && now.Ready) {
		err = fmt.Errorf("%s was started but is not ready", ref.Instance)
	}
	return err
}
