package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"chaosgate/pkg/target"
)

// limited is a fault that lowers a limit of one instance, and gives it back.
type limited struct {
	instance
	limiter target.Limiter
	effect  limitEffect
	amount  float64
	was     target.Limit
	since   target.Strain // before the limit was lowered
}

// limitEffect is what one resource has of its own.
type limitEffect struct {
	kind     string
	resource target.Resource
	show     func(float64) string
	// met says whether the instance has met the limit since, and how; the readings are of this.
	met func(*limited, strained) (bool, string, map[string]float64)
}

// strained is an instance under a limit, with what its limits have done to it since they were lowered.
type strained struct {
	target.Strain
	kills int64 // of its processes by the kernel, for memory
}

func newLimit(r Request, amount float64, effect limitEffect) (Fault, error) {
	return eachInstance(r, func(i instance) (subject, error) {
		limiter, err := able[target.Limiter](r.Runtime, target.CanLimit)
		return &limited{instance: i, limiter: limiter, effect: effect, amount: amount}, err
	})
}

// Prepare implements Fault. What would be no fault, or could not be taken back, is refused here.
func (l *limited) Prepare(ctx context.Context) ([]target.Undo, error) {
	if err := l.look(ctx); err != nil {
		return nil, err
	}
	var err error
	if l.was, err = l.limiter.Limit(ctx, l.Target, l.effect.resource); err != nil {
		return nil, err
	}
	if err := l.lowers(); err != nil {
		return nil, err
	}
	manual := l.was.Manual
	if manual == "" {
		manual = rollback
	}
	return l.undo(l.effect.kind, l.was, manual)
}

// lowers is an error if the amount asked for is not less than what the instance may use, or if another fault decides on that now.
func (l *limited) lowers() error {
	switch {
	case l.was.Lowered:
		return fmt.Errorf("another fault has lowered its %s limit already, to %s", l.effect.resource, l.effect.show(l.was.Amount))
	case l.amount >= l.was.Amount:
		return fmt.Errorf("it may use %s as it is, so a limit of %s would be no fault", l.effect.show(l.was.Amount), l.effect.show(l.amount))
	case l.amount < l.was.Least:
		return fmt.Errorf("its limit cannot be lower than %s, and %s is asked for", l.effect.show(l.was.Least), l.effect.show(l.amount))
	}
	return nil
}

// Inject implements Fault. A limit that somebody has changed since it was read is left alone: its undo would not give back what there is.
func (l *limited) Inject(ctx context.Context) (Effect, error) {
	if err := l.look(ctx); err != nil {
		return Effect{}, err
	}
	now, err := l.limiter.Limit(ctx, l.Target, l.effect.resource)
	switch {
	case err != nil:
		return Effect{}, err
	case now.Lowered || !bytes.Equal(now.Exact, l.was.Exact):
		return Effect{}, fmt.Errorf("its %s limit was %s and is %s now: somebody else has changed it", l.effect.resource, l.effect.show(l.was.Amount), l.effect.show(now.Amount))
	}
	if l.since, err = l.limiter.Strain(ctx, l.Target); err != nil {
		return Effect{}, err
	}
	l.touched = true
	if err := l.limiter.LowerLimit(ctx, l.Target, l.was, l.amount); err != nil {
		return Effect{}, err
	}
	return l.holds(ctx)
}

// holds reads back whether the limit is as low as it was asked to be.
func (l *limited) holds(ctx context.Context) (Effect, error) {
	now, err := l.limiter.Limit(ctx, l.Target, l.effect.resource)
	if err != nil {
		return Effect{}, err
	}
	const rounding = 1.001 // an adapter counts in units of its own
	e := Effect{Proven: l.touched && now.Amount <= l.amount*rounding}
	show := l.effect.show
	switch {
	case e.Proven:
		e.Summary = fmt.Sprintf("%s may use %s instead of %s", l.Instance, show(now.Amount), show(l.was.Amount))
	case l.touched:
		e.Summary = fmt.Sprintf("%s may use %s: it is no longer limited to %s", l.Instance, show(now.Amount), show(l.amount))
	default:
		e.Summary = fmt.Sprintf("%s may use %s, as ever", l.Instance, show(now.Amount))
	}
	return e, nil
}

// Check implements Fault. A limit that the instance never met was not felt.
func (l *limited) Check(ctx context.Context) (Effect, error) {
	e, err := l.holds(ctx)
	if err != nil || !e.Proven {
		return e, err
	}
	s, err := l.strain(ctx)
	if err != nil {
		return Effect{}, err
	}
	met, how, readings := l.effect.met(l, s)
	e.Proven, e.Readings = met, readings
	e.Summary += ", " + how
	return l.withFate(ctx, e)
}

// strain is what has become of the instance under the limit. One that was started again meanwhile counts anew.
func (l *limited) strain(ctx context.Context) (strained, error) {
	st, err := l.inspect(ctx)
	if err != nil {
		return strained{}, err
	}
	now, err := l.limiter.Strain(ctx, l.Target)
	if l.same(st) {
		now.Throttled -= l.since.Throttled
		now.ThrottledFor -= l.since.ThrottledFor
		now.MemoryMet -= l.since.MemoryMet
	}
	return strained{Strain: now, kills: st.OOMKills - l.before.OOMKills}, err
}

// Revert implements Fault.
func (l *limited) Revert(ctx context.Context) (Effect, error) {
	if !l.touched {
		return l.untouched(), nil
	}
	if err := l.limiter.RestoreLimit(ctx, l.Target, l.was); err != nil {
		return Effect{}, err
	}
	return Effect{Proven: true, Summary: fmt.Sprintf("%s may use %s again", l.Instance, l.effect.show(l.was.Amount))}, nil
}

// revertLimit gives an instance of a dead runner its limit back.
func revertLimit(ctx context.Context, rt target.Runtime, data json.RawMessage, ref target.Ref) error {
	var was target.Limit
	if err := json.Unmarshal(data, &was); err != nil {
		return fmt.Errorf("read the undo: %w", err)
	}
	if was.Resource == "" || len(was.Exact) == 0 {
		return errors.New("the undo names no limit, so there is nothing to give back")
	}
	restorer, err := able[target.LimitRestorer](rt, target.CanLimit)
	if err != nil {
		return err
	}
	return restorer.RestoreLimit(ctx, target.Target{Ref: ref}, was)
}
