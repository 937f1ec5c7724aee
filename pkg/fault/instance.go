package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"chaosgate/pkg/target"
)

// EndLimit bounds how long an instance may take to follow a signal or to end, where the step says nothing.
const EndLimit = 10 * time.Second

// rollback is what a person runs when nothing more direct is possible.
const rollback = "chaos rollback"

// instance is one target as faults see it: with its state before them.
type instance struct {
	target.Target
	inspector target.Inspector
	before    target.Status
	touched   bool // something was, or may have been, done to it
}

func newInstance(r Request, t target.Target) (instance, error) {
	i, err := able[target.Inspector](r.Runtime, target.CanInspect)
	return instance{Target: t, inspector: i}, err
}

func (i *instance) name() string { return i.Instance }

func (i *instance) inspect(ctx context.Context) (target.Status, error) {
	st, err := i.inspector.Inspect(ctx, i.Target)
	if err != nil {
		return st, fmt.Errorf("inspect: %w", err)
	}
	return st, nil
}

// look reads the state before the fault. A fault on something that is down or paused already would prove nothing.
func (i *instance) look(ctx context.Context) error {
	st, err := i.inspect(ctx)
	switch {
	case err != nil:
		return err
	case !st.Running:
		return fmt.Errorf("it is not running, so the fault would prove nothing")
	case st.Paused:
		return fmt.Errorf("it is paused already, so the fault would prove nothing")
	}
	i.before = st
	return nil
}

// lookAgain is look right before the change: what the undo says of the instance must still be so.
func (i *instance) lookAgain(ctx context.Context) error {
	recorded := *i
	if err := i.look(ctx); err != nil {
		return err
	}
	if !recorded.same(i.before) {
		return fmt.Errorf("it was started again since its undo was recorded (pid %d, now %d), so nothing was done", recorded.before.PID, i.before.PID)
	}
	return nil
}

// byHand is what a person runs to take back what was done to the instance.
func (i *instance) byHand(ctx context.Context, what target.Capability) string {
	if b, ok := i.inspector.(target.ByHand); ok {
		if command := b.ByHand(ctx, i.Target, what); command != "" {
			return command
		}
	}
	return rollback
}

// undo is one undo for this instance; data may be nil.
func (i *instance) undo(kind string, data any, manual string) ([]target.Undo, error) {
	text, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	return []target.Undo{{Kind: kind, Target: i.Ref, Data: text, Manual: manual}}, nil
}

// same says whether this is still the process that ran before the fault.
func (i *instance) same(now target.Status) bool {
	return now.Running && now.PID == i.before.PID && now.Started.Equal(i.before.Started)
}

// fate says in words what has become of the process that ran before the fault; "" if nothing has.
func (i *instance) fate(ctx context.Context) (string, error) {
	now, err := i.inspect(ctx)
	switch {
	case err != nil || i.same(now):
		return "", err
	case now.OOMKills > i.before.OOMKills && now.Running:
		return "it was killed for memory meanwhile and runs again", nil
	case now.OOMKills > i.before.OOMKills:
		return "it was killed for memory meanwhile", nil
	case now.Running:
		return fmt.Sprintf("it was started again meanwhile (%d restarts before, %d now)", i.before.Restarts, now.Restarts), nil
	}
	return fmt.Sprintf("it has ended meanwhile, with exit code %d", now.ExitCode), nil
}

// withFate adds to a summary what has become of the instance under the fault.
func (i *instance) withFate(ctx context.Context, e Effect) (Effect, error) {
	fate, err := i.fate(ctx)
	if fate != "" {
		e.Summary += "; " + fate
	}
	return e, err
}

// untouched is the revert of a fault that never came to be.
func (i *instance) untouched() Effect {
	return Effect{Proven: true, Summary: i.Instance + ": nothing was done, so there is nothing to revert"}
}

// ended waits until the process that ran before is gone, and answers how things are then.
func (i *instance) ended(ctx context.Context) (bool, target.Status, error) {
	var now target.Status
	gone, err := until(ctx, EndLimit, func(ctx context.Context) (_ bool, err error) {
		now, err = i.inspect(ctx)
		return !i.same(now), err
	})
	return gone, now, err
}

// eachInstance makes the subjects of a fault on instances.
func eachInstance(r Request, make func(instance) (subject, error)) (Fault, error) {
	var g group
	for _, t := range r.Targets {
		i, err := newInstance(r, t)
		if err != nil {
			return nil, err
		}
		s, err := make(i)
		if err != nil {
			return nil, err
		}
		g = append(g, s)
	}
	return g, nil
}
