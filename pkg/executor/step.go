package executor

import (
	"context"
	"fmt"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/probe"
	"chaosgate/pkg/verdict"
)

// visitStep carries out a step that is not a fault, as often as the plan allows.
func (x *experiment) visitStep(ctx context.Context, s plan.Step, needs []outcome) outcome {
	if r, ok := start(ctx, s, needs); !ok {
		return x.endStep(s.ID, 0, r)
	}
	if x.late(s) {
		return x.endStep(s.ID, 0, journal.StepResult{Status: journal.Failed, Error: "the active phase of " + s.During + " was over before it could start"})
	}
	for attempt := 1; ; attempt++ {
		x.note(journal.StepStarted, s.ID, attempt, nil)
		r := x.carryOut(ctx, s, attempt)
		good := r.Status == journal.Done && (r.State == "" || r.State == verdict.Pass.String())
		if good || attempt > s.Retry.Times || sleep(ctx, time.Now().Add(time.Duration(s.Retry.Every))) != nil {
			return x.endStep(s.ID, attempt, r)
		}
	}
}

func (x *experiment) carryOut(ctx context.Context, s plan.Step, attempt int) journal.StepResult {
	ctx, cancel := stepContext(ctx, s)
	defer cancel()
	var err error
	switch {
	case s.Check != nil:
		return x.check(ctx, s, attempt)
	case s.Action != nil:
		err = x.act(ctx, s)
	default:
		err = sleep(ctx, time.Now().Add(time.Duration(s.Wait)))
	}
	if err != nil {
		return stepFailure(ctx, err)
	}
	return journal.StepResult{Status: journal.Done}
}

// act carries out an action. One during a fault is given up when the active phase ends: the fault is not to last longer because of it.
func (x *experiment) act(ctx context.Context, s plan.Step) error {
	ctx, cancel := x.stageOf(s, time.Now()).bound(ctx)
	defer cancel(nil)
	x.touched.begin()
	err := x.parts.Act(ctx, x.deps, *s.Action)
	if err != nil && isOver(context.Cause(ctx)) {
		return fmt.Errorf("not done when the active phase of %s ended: %w", s.During, err)
	}
	return err
}

// stepFailure is failure for a context that carries the step's own timeout.
func stepFailure(ctx context.Context, err error) journal.StepResult {
	if timeout, ok := context.Cause(ctx).(stepTimeout); ok {
		return journal.StepResult{Status: journal.TimedOut, Error: timeout.Error()}
	}
	return failure(ctx, err)
}

// stage is the stretch of the run that a check belongs to.
type stage struct {
	from  time.Time
	ended <-chan struct{} // closed when the stage is over; nil: never
	fault *faultRun       // whose active phase it is, if any
}

func (x *experiment) stageOf(s plan.Step, now time.Time) stage {
	if f := x.faults[s.During]; f != nil {
		return stage{from: f.from, ended: f.ended, fault: f}
	}
	return stage{from: now}
}

// bound answers a context that ends with the stage, and then has errOver as its cause. The cancel function lets go of it.
func (s stage) bound(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if s.ended != nil {
		go func() {
			select {
			case <-s.ended:
				cancel(errOver{})
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}

// late says whether the active phase that a step belongs to ended before the step could start. A check that looks at the end of the phase is never late.
func (x *experiment) late(s plan.Step) bool {
	f := x.faults[s.During]
	if f == nil || s.Check != nil && s.Check.Mode == plan.AtEnd {
		return false
	}
	select {
	case <-f.ended:
		return true
	default:
		return false
	}
}

// check looks as its mode says and judges with the function that judges the journal.
func (x *experiment) check(ctx context.Context, s plan.Step, attempt int) journal.StepResult {
	began := time.Now()
	l := looker{x: x, check: *s.Check, attempt: attempt, stage: x.stageOf(s, began), began: began}
	var err error
	switch s.Check.Mode {
	case plan.Continuous:
		err = l.continuously(ctx)
	case plan.Eventually:
		err = l.eventually(ctx)
	default:
		err = l.once(ctx)
	}
	if s.Check.Probe.Metric() && l.stage.fault == nil {
		x.outside.add(s.ID, journal.Stretch{From: began, To: time.Now()})
	}
	if err != nil {
		return stepFailure(ctx, err)
	}
	j := verdict.Judge(verdict.Over(*s.Check, time.Since(began)), l.looks)
	r := journal.StepResult{Status: journal.Done, State: j.State.String(), Reason: j.Reason}
	if at, ok := verdict.Held(*s.Check, l.looks); ok && s.Check.Mode == plan.Eventually {
		r.Elapsed = plan.Duration(at)
	}
	return r
}

// looker takes the looks of one attempt.
type looker struct {
	x       *experiment
	check   plan.Check
	attempt int
	stage   stage
	began   time.Time
	looks   []journal.Observation
}

func (l *looker) look(ctx context.Context, from, to time.Time) {
	begun := time.Now()
	o := l.x.look(ctx, l.check, l.x.window(journal.Method, from, to), l.began)
	if cutShort(ctx, o) {
		hung := time.Since(begun)
		if !l.overdue(ctx, hung) {
			return
		}
		o = probe.Unanswered(l.check, o, hung)
	}
	l.looks = append(l.looks, o)
	l.x.note(journal.Looked, l.check.ID, l.attempt, o)
}

// overdue says whether a look that the end of its phase cut short tells something: the next one was due, and there was no answer to this one. Cut sooner it says
// nothing.
func (l *looker) overdue(ctx context.Context, hung time.Duration) bool {
	return isOver(context.Cause(ctx)) && l.check.Every > 0 && hung > time.Duration(l.check.Every)
}

func (x *experiment) window(phase journal.PhaseName, from, to time.Time) probe.Window {
	return probe.Window{Phase: phase, From: from, To: to, BaselineFrom: x.steadyFrom, BaselineTo: x.steadyTo}
}

// once looks once: during a fault at the end of its phase, which is now; else a metric check makes a phase of its own, as long as its window.
func (l *looker) once(ctx context.Context) error {
	if !l.check.Probe.Metric() {
		l.look(ctx, l.began, l.began)
		return context.Cause(ctx)
	}
	if f := l.stage.fault; f != nil {
		l.look(ctx, f.from, f.to)
		return context.Cause(ctx)
	}
	l.x.flush(ctx)
	if err := sleep(ctx, l.began.Add(time.Duration(l.check.Window))); err != nil {
		return err
	}
	l.x.flush(ctx)
	l.look(ctx, l.began, time.Now())
	return context.Cause(ctx)
}

// continuously looks every Every, for For or until the stage ends.
func (l *looker) continuously(ctx context.Context) error {
	ctx, cancel := l.within(ctx, time.Duration(l.check.For))
	defer cancel()
	for {
		l.lookSliding(ctx)
		if err := sleep(ctx, l.next()); err != nil {
			return over(err)
		}
	}
}

// eventually looks every Every until the check held for For, or its time or the stage is over.
func (l *looker) eventually(ctx context.Context) error {
	ctx, cancel := l.within(ctx, time.Duration(l.check.Within+l.check.For))
	defer cancel()
	for {
		l.lookSliding(ctx)
		if _, ok := verdict.Held(l.check, l.looks); ok {
			return nil
		}
		if err := sleep(ctx, l.next()); err != nil {
			return over(err)
		}
	}
}

// errOver is the cause when a check's own time or its stage is over: no failure.
type errOver struct{}

func (errOver) Error() string { return "its phase is over" }

func isOver(cause error) bool { return cause == error(errOver{}) }

func over(err error) error {
	if isOver(err) {
		return nil
	}
	return err
}

// within bounds looking by a time (0: none) and by the end of the stage.
func (l *looker) within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := l.stage.bound(ctx)
	if limit == 0 {
		return ctx, func() { cancel(nil) }
	}
	timer := time.AfterFunc(time.Until(l.began.Add(limit)), func() { cancel(errOver{}) })
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

func (l *looker) next() time.Time {
	every := time.Duration(l.check.Every)
	elapsed := time.Since(l.began)
	return l.began.Add((elapsed/every + 1) * every)
}

// lookSliding looks now. A metric check looks at the stage so far, of which the probe takes the last window if it has one, and not before that is long enough to
// mean something: the window lies wholly inside the stage.
func (l *looker) lookSliding(ctx context.Context) {
	now := time.Now()
	if !l.check.Probe.Metric() {
		l.look(ctx, now, now)
		return
	}
	if need := max(l.check.Window, 2*l.x.plan.Interval); now.Sub(l.stage.from) >= time.Duration(need) {
		l.look(ctx, l.stage.from, now)
	}
}
