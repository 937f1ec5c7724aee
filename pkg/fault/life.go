package fault

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"chaosgate/pkg/target"
)

// life is the undo's data of a fault that takes an instance down: which of its lives is to end, and how long that may take. An undo without it is of an earlier version.
type life struct {
	PID     int             `json:"pid"`
	Started time.Time       `json:"started"`
	Grace   target.Duration `json:"grace,omitempty,omitzero"` // of the step; 0: it says nothing
}

func (i *instance) life(grace time.Duration) life {
	return life{PID: i.before.PID, Started: i.before.Started, Grace: target.Duration(grace)}
}

// startLimit bounds how long an instance is started anew that is not ready afterwards.
const startLimit = time.Second

// startAnew starts an instance that was to end, and reads back what came of it. That it runs and is ready is no proof as long as it runs as it did before the fault: it may be on
// its way down, and say so to nobody.
func startAnew(ctx context.Context, i instance, s target.Starter, grace time.Duration) (target.Status, error) {
	if err := i.finish(ctx, s, grace); err != nil {
		return target.Status{}, fmt.Errorf("let it end first: %w", err)
	}
	return start(ctx, i, s)
}

// finish ends the life that was to end, if it has not ended yet. It cannot be seen whether the order to end has reached it, so it is given once more, and as long for it as the step
// gave.
func (i *instance) finish(ctx context.Context, s target.Starter, grace time.Duration) error {
	now, err := i.inspect(ctx)
	if err != nil || !i.same(now) {
		return err
	}
	return s.Stop(ctx, i.Target, cmp.Or(grace, EndLimit))
}

// start starts an instance and reads back what came of it. One that has ended just now may still be taken for one that runs, so what is not ready is started anew.
func start(ctx context.Context, i instance, s target.Starter) (target.Status, error) {
	var now target.Status
	_, err := until(ctx, startLimit, func(ctx context.Context) (_ bool, err error) {
		if err := s.Start(ctx, i.Target); err != nil {
			return false, fmt.Errorf("start it again: %w", err)
		}
		now, err = i.inspect(ctx)
		return i.back(now), err
	})
	return now, err
}

// back says whether an instance that was to end runs again and is ready.
func (i *instance) back(now target.Status) bool { return now.Running && now.Ready && !i.same(now) }

func started(i instance, now target.Status, took time.Duration) Effect {
	e := Effect{Proven: i.back(now), Readings: map[string]float64{"start_ms": milliseconds(took)}}
	switch {
	case e.Proven:
		e.Summary = fmt.Sprintf("%s runs again (pid %d) and is ready", i.Instance, now.PID)
	case i.same(now):
		e.Summary = fmt.Sprintf("%s still runs as pid %d, which was to end and may yet", i.Instance, now.PID)
	case now.Running:
		e.Summary = fmt.Sprintf("%s runs again (pid %d) but is not ready", i.Instance, now.PID)
	default:
		e.Summary = fmt.Sprintf("%s was started but does not run", i.Instance)
	}
	return e
}

// revertOutage starts a service whose runner has died. What was to end and still runs is ended before: whether the runner came to do that cannot be known.
func revertOutage(ctx context.Context, rt target.Runtime, data json.RawMessage, ref target.Ref) error {
	var l life
	if len(data) > 0 {
		if err := json.Unmarshal(data, &l); err != nil {
			return fmt.Errorf("read the undo of an outage: %w", err)
		}
	}
	starter, err := able[target.Starter](rt, target.CanStart)
	if err != nil {
		return err
	}
	i, err := newInstance(Request{Runtime: rt}, target.Target{Ref: ref})
	if err != nil {
		return err
	}
	i.before = target.Status{Running: true, PID: l.PID, Started: l.Started}
	if killer, ok := rt.(target.Killer); ok {
		if err := killer.Release(ctx, i.Target); err != nil {
			return fmt.Errorf("let %s be started again: %w", ref.Instance, err)
		}
	}
	now, err := startAnew(ctx, i, starter, time.Duration(l.Grace))
	if err != nil {
		return fmt.Errorf("%s: %w", ref.Instance, err)
	}
	if e := started(i, now, 0); !e.Proven {
		return fmt.Errorf("%s", e.Summary)
	}
	return nil
}
