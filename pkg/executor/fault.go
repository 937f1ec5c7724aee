package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

// faultRun is one fault step on its way. Its fields are written by the step's own visits, which the graph puts in order; ended is closed when the
// active phase is over, so that what runs during it can stop.
type faultRun struct {
	step  plan.Step
	fault fault.Fault
	undos []string

	struck   time.Time // when the injection began
	from, to time.Time // the active phase
	over     time.Time // from when on the steady state should return
	ended    chan struct{}
	endOnce  sync.Once
	attempts int
}

func newFaultRun(s plan.Step) *faultRun {
	return &faultRun{step: s, ended: make(chan struct{})}
}

func (f *faultRun) end() { f.endOnce.Do(func() { close(f.ended) }) }

// armEarly prepares the faults that wait for nothing, while the steady state is being measured, so that their onset is one message.
func (x *experiment) armEarly(ctx context.Context) {
	var arming sync.WaitGroup
	for _, s := range x.plan.Steps {
		if s.Fault == nil || len(s.Needs) > 0 || s.During != "" || x.armsLate(s.Fault) {
			continue
		}
		arming.Go(func() {
			// An error here is not lost: the step prepares again when its turn comes, and reports what it meets then.
			if err := x.prepare(ctx, x.faults[s.ID]); err != nil {
				x.faults[s.ID].fault = nil
			}
		})
	}
	arming.Wait()
}

// armsLate says whether a fault is prepared only right before it is injected: the undo of one that takes a service down may have to start anew what was not hit yet, if the runner
// dies, and there is nothing to make ready for it.
func (x *experiment) armsLate(f *plan.Fault) bool {
	kind, ok := x.parts.Fault(f.Kind)
	return ok && kind.StartsAgain(time.Duration(f.Duration))
}

// disarm lets go of faults that were prepared and will not be injected.
func (x *experiment) disarm(ctx context.Context) {
	for _, f := range x.faults {
		if f.fault != nil {
			x.revert(ctx, f)
		}
		f.end()
	}
}

// spare is an error if one of the targets must not be hit.
func (x *experiment) spare(targets []target.Target) error {
	p, ok := x.env.(target.Protector)
	if !ok {
		return nil
	}
	var errs []error
	for _, t := range targets {
		errs = append(errs, p.Protected(t))
	}
	return errors.Join(errs...)
}

// prepare resolves the targets, builds the fault and puts its undos on disk. After an error nothing was changed and nothing is armed.
func (x *experiment) prepare(ctx context.Context, f *faultRun) error {
	spec := f.step.Fault
	kind, ok := x.parts.Fault(spec.Kind)
	if !ok {
		return fmt.Errorf("there is no fault %q", spec.Kind)
	}
	targets, err := x.env.Resolve(ctx, spec.Selection)
	if err != nil {
		return fmt.Errorf("find the targets: %w", err)
	}
	if err := x.spare(targets); err != nil {
		return err
	}
	built, err := kind.New(fault.Request{
		ID: f.step.ID, Origin: x.parts.Run + "/" + x.plan.Name, Runtime: x.env, Targets: targets, To: spec.To, Port: spec.Port, Params: spec.Params, OneShot: spec.Duration == 0,
	})
	if err != nil {
		return err
	}
	undos, err := built.Prepare(ctx)
	if err == nil {
		err = x.recordUndos(f, undos)
	}
	f.fault = built
	if err != nil {
		return errors.Join(fmt.Errorf("prepare: %w", err), x.revert(ctx, f))
	}
	x.note(journal.FaultArmed, f.step.ID, f.attempts, journal.FaultInfo{Targets: targets, Undos: f.undos})
	return nil
}

func (x *experiment) recordUndos(f *faultRun, undos []target.Undo) error {
	for i, u := range undos {
		u.ID, u.Ready = fmt.Sprintf("%s/%s/%d.%d", x.plan.Name, f.step.ID, f.attempts, i+1), f.step.Fault.Ready
		if err := x.recordUndo(f.step.ID, u); err != nil {
			x.failRun(err)
			return err
		}
		f.undos = append(f.undos, u.ID)
	}
	return nil
}

// inject prepares (if that is not done yet) and injects, as often as the plan allows. After an error everything is reverted.
func (x *experiment) inject(ctx context.Context, f *faultRun) (fault.Effect, error) {
	for {
		f.attempts++
		x.note(journal.StepStarted, f.step.ID, f.attempts, nil)
		effect, err := x.tryInject(ctx, f)
		if err == nil && effect.Proven || ctx.Err() != nil || f.attempts > f.step.Retry.Times {
			return effect, err
		}
		if reverted := x.revert(ctx, f); reverted != nil {
			return effect, errors.Join(err, reverted)
		}
		if err := sleep(ctx, time.Now().Add(time.Duration(f.step.Retry.Every))); err != nil {
			return effect, err
		}
	}
}

func (x *experiment) tryInject(ctx context.Context, f *faultRun) (fault.Effect, error) {
	ctx, cancel := stepContext(ctx, f.step)
	defer cancel()
	if f.fault == nil {
		if err := x.prepare(ctx, f); err != nil {
			return fault.Effect{}, err
		}
	}
	// The journal may have failed since the fault was armed, and then nothing may be injected any more.
	if err := context.Cause(ctx); err != nil {
		return fault.Effect{}, err
	}
	// So may the guard have died: it may have been a minute since the undo was recorded.
	if err := x.parts.Guarded(); err != nil {
		x.failRun(err)
		return fault.Effect{}, err
	}
	apply := f.fault.Inject
	if x.mode == WithoutFault {
		apply = f.fault.Check
	}
	x.touched.begin()
	f.struck = time.Now()
	effect, err := apply(ctx)
	if err != nil {
		return effect, fmt.Errorf("inject: %w", err)
	}
	x.note(journal.FaultActive, f.step.ID, f.attempts, effect)
	return effect, nil
}

func stepContext(ctx context.Context, s plan.Step) (context.Context, context.CancelFunc) {
	if s.Timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, time.Duration(s.Timeout), stepTimeout{s.Timeout})
}

type stepTimeout struct{ limit plan.Duration }

func (e stepTimeout) Error() string {
	return fmt.Sprintf("not done within its timeout of %v", time.Duration(e.limit))
}

// revert takes the fault back, however the run stands: it has its own bounded time. It answers an error unless the readback shows that the fault is gone.
func (x *experiment) revert(ctx context.Context, f *faultRun) error {
	if f.fault == nil {
		return nil
	}
	var effect fault.Effect
	var err error
	for range revertTries {
		effect, err = revertOnce(ctx, f)
		if err == nil {
			break
		}
	}
	if err != nil && effect.Summary == "" {
		effect.Summary = err.Error()
	}
	x.note(journal.FaultReverted, f.step.ID, f.attempts, effect)
	for _, id := range f.undos {
		x.note(journal.UndoDone, f.step.ID, 0, undoResult(id, err))
	}
	f.undos = nil
	f.fault = nil
	return err
}

func revertOnce(ctx context.Context, f *faultRun) (fault.Effect, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), target.Patience(revertTimeout, time.Duration(f.step.Fault.Ready)))
	defer cancel()
	effect, err := f.fault.Revert(ctx)
	if err == nil && !effect.Proven {
		err = fmt.Errorf("the revert is not verified: %s", effect.Summary)
	}
	if err != nil {
		effect.Proven = false
	}
	return effect, err
}
