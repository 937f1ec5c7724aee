package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chaosgate/pkg/target"
)

// newKill makes service.kill: with a duration the instance stays down for it, without one its restart policy decides.
func newKill(r Request) (Fault, error) {
	signal := r.Params.Text("signal")
	return eachInstance(r, func(i instance) (subject, error) {
		if r.OneShot {
			killer, err := able[target.Killer](r.Runtime, target.CanKill)
			starter, err2 := able[target.Starter](r.Runtime, target.CanStart)
			return &kill{instance: i, killer: killer, starter: starter, signal: signal}, errors.Join(err, err2)
		}
		o, err := newOutage(r, i, "service.kill", "killed by "+signal)
		o.down = func(ctx context.Context) error {
			if err := o.killer.Hold(ctx, o.Target); err != nil {
				return fmt.Errorf("keep it down: %w", err)
			}
			return o.killer.Kill(ctx, o.Target, signal)
		}
		return o, err
	})
}

// kill is a kill whose recovery is left to the restart policy.
type kill struct {
	instance
	killer  target.Killer
	starter target.Starter
	signal  string
	gone    bool // the process that got the signal was seen to have ended
}

// Prepare implements Fault. There is nothing to undo.
func (k *kill) Prepare(ctx context.Context) ([]target.Undo, error) {
	if err := k.look(ctx); err != nil {
		return nil, err
	}
	if a, ok := k.killer.(target.Armer); ok {
		return nil, a.Arm(ctx, k.Target, k.signal)
	}
	return nil, nil
}

// Inject implements Fault. The state is read again first: the instance may have been restarted since it was armed.
func (k *kill) Inject(ctx context.Context) (Effect, error) {
	if err := k.look(ctx); err != nil {
		return Effect{}, err
	}
	k.touched = true
	began := time.Now()
	if err := k.killer.Kill(ctx, k.Target, k.signal); err != nil {
		return Effect{}, err
	}
	gone, now, err := k.ended(ctx)
	if err != nil {
		return Effect{}, err
	}
	k.gone = gone
	e := k.effect(gone, now)
	e.Readings = map[string]float64{"took_ms": milliseconds(time.Since(began))}
	return e, nil
}

func (k *kill) effect(gone bool, now target.Status) Effect {
	e := Effect{Proven: gone, Summary: fmt.Sprintf("%s (pid %d) was killed by %s", k.Instance, k.before.PID, k.signal)}
	switch {
	case !k.touched:
		e.Summary = fmt.Sprintf("%s (pid %d) was not sent %s", k.Instance, k.before.PID, k.signal)
	case !gone:
		e.Summary = fmt.Sprintf("%s (pid %d) got %s but still runs", k.Instance, k.before.PID, k.signal)
	case now.Running:
		e.Summary += fmt.Sprintf(" and runs again (pid %d)", now.PID)
	default:
		e.Summary += " and is down"
	}
	return e
}

// Check implements Fault: a kill cannot be lost again, so it says what has become of the instance.
func (k *kill) Check(ctx context.Context) (Effect, error) {
	now, err := k.inspect(ctx)
	if err != nil {
		return Effect{}, err
	}
	return k.effect(k.touched && !k.same(now), now), nil
}

// Revert implements Fault. What got the signal and still runs may yet end of it, when nobody looks any more, so it is ended and started anew.
func (k *kill) Revert(ctx context.Context) (Effect, error) {
	if !k.touched || k.gone {
		return k.left(), nil
	}
	began := time.Now()
	now, err := k.inspect(ctx)
	if err != nil {
		return Effect{}, err
	}
	if !k.same(now) {
		return k.left(), nil
	}
	if now, err = startAnew(ctx, k.instance, k.starter, 0); err != nil {
		return Effect{}, err
	}
	return started(k.instance, now, time.Since(began)), nil
}

// left is the revert of a kill that has come to its end.
func (k *kill) left() Effect {
	return Effect{Proven: true, Summary: k.Instance + ": nothing to revert, its restart policy decides whether it comes back"}
}
