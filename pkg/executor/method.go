package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"chaosgate/pkg/dag"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/verdict"
)

// outcome is what a node of the graph came to, for the nodes that need it.
type outcome struct {
	status journal.Status
	passed bool // ended well: `when: pass` of a dependent
	failed bool // ended badly: `when: fail` of a dependent
}

// A fault is three nodes of the graph. What runs during it comes between begin and revert; what needs it comes after the revert, which
// carries the step's own id.
func beginNode(id string) string { return id + "/begin" }
func holdNode(id string) string  { return id + "/hold" }

// node is a visit of the graph.
type node func(context.Context, []outcome) outcome

// method walks the steps while it watches the abort conditions, and sees the recovery to its end.
func (x *experiment) method(ctx context.Context, abort context.CancelCauseFunc) {
	x.startPhase(journal.Method)
	guarded, unguard := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { x.watchAbort(guarded, abort) })
	faults := new(sync.WaitGroup)
	faults.Add(max(1, len(x.faults)))
	recovered := make(chan struct{})
	go func() {
		defer close(recovered)
		faults.Wait()
		x.recovery(ctx)
	}()
	x.walk(ctx, faults)
	if len(x.faults) == 0 {
		faults.Done()
	}
	<-recovered
	unguard()
	watching.Wait()
}

// walk visits the graph of the steps.
func (x *experiment) walk(ctx context.Context, faults *sync.WaitGroup) {
	nodes, visits := x.graph(faults)
	g, err := dag.New(nodes)
	if err != nil { // the plan has been checked for this
		x.failRun(fmt.Errorf("experiment %s: %w", x.plan.Name, err))
		return
	}
	dag.Walk(g, func(id string, needs []outcome) outcome { return visits[id](ctx, needs) })
	x.endPhase(journal.Method)
}

func (x *experiment) graph(faults *sync.WaitGroup) ([]dag.Node, map[string]node) {
	var nodes []dag.Node
	visits := map[string]node{}
	during := map[string][]string{} // fault -> the final nodes of what runs in it
	for _, s := range x.plan.Steps {
		if s.During != "" {
			during[s.During] = append(during[s.During], s.ID)
		}
	}
	for _, s := range x.plan.Steps {
		if s.Fault == nil {
			nodes = append(nodes, dag.Node{ID: s.ID, Needs: x.needsOf(s)})
			visits[s.ID] = func(ctx context.Context, needs []outcome) outcome { return x.visitStep(ctx, s, needs) }
			continue
		}
		f := x.faults[s.ID]
		nodes = append(nodes,
			dag.Node{ID: beginNode(s.ID), Needs: x.needsOf(s)},
			dag.Node{ID: holdNode(s.ID), Needs: []string{beginNode(s.ID)}},
			dag.Node{ID: s.ID, Needs: append([]string{holdNode(s.ID), beginNode(s.ID)}, during[s.ID]...)})
		visits[beginNode(s.ID)] = func(ctx context.Context, needs []outcome) outcome { return x.visitBegin(ctx, f, needs) }
		visits[holdNode(s.ID)] = func(ctx context.Context, needs []outcome) outcome { return x.visitHold(ctx, f, needs[0]) }
		visits[s.ID] = func(ctx context.Context, needs []outcome) outcome {
			defer faults.Done()
			return x.visitRevert(ctx, f, needs[1])
		}
	}
	return nodes, visits
}

// needsOf answers the nodes a step waits for. The first is that of the fault it is during, if any: the fault's begin, or its hold if the step only
// looks at the end of the phase.
func (x *experiment) needsOf(s plan.Step) []string {
	var needs []string
	if s.During != "" {
		if s.Check != nil && s.Check.Mode == plan.AtEnd {
			needs = append(needs, holdNode(s.During))
		} else {
			needs = append(needs, beginNode(s.During))
		}
	}
	return append(needs, s.Needs...)
}

// start says whether a step is to be started, and if not, why.
func start(ctx context.Context, s plan.Step, needs []outcome) (journal.StepResult, bool) {
	if ctx.Err() != nil {
		return journal.StepResult{Status: journal.Cancelled, Error: "not started: " + context.Cause(ctx).Error()}, false
	}
	if s.During != "" {
		if !needs[0].passed {
			return journal.StepResult{Status: journal.Skipped, Reason: fmt.Sprintf("%s, which it is during, was not active", s.During)}, false
		}
		needs = needs[1:]
	}
	failed, passed := false, true
	for _, n := range needs {
		failed = failed || n.failed
		passed = passed && n.passed
	}
	switch {
	case s.When == plan.WhenAlways, s.When == plan.WhenFail && failed:
		return journal.StepResult{}, true
	case s.When == plan.WhenFail:
		return journal.StepResult{Status: journal.Skipped, Reason: "what it needs did not fail, and it has when: fail"}, false
	case passed:
		return journal.StepResult{}, true
	default:
		return journal.StepResult{Status: journal.Skipped, Reason: "what it needs did not pass"}, false
	}
}

// endStep records how a step ended and answers what its dependents see.
func (x *experiment) endStep(id string, attempt int, r journal.StepResult) outcome {
	x.note(journal.StepEnded, id, attempt, r)
	good := r.Status == journal.Done && (r.State == "" || r.State == verdict.Pass.String())
	return outcome{status: r.Status, passed: good, failed: !good && r.Status != journal.Skipped}
}

func (x *experiment) visitBegin(ctx context.Context, f *faultRun, needs []outcome) outcome {
	if r, ok := start(ctx, f.step, needs); !ok {
		x.revert(ctx, f) // it may have been armed early
		return x.endStep(f.step.ID, 0, r)
	}
	effect, err := x.inject(ctx, f)
	f.from = time.Now()
	f.to, f.over = f.from, f.from
	switch {
	case err != nil:
		return x.failFault(ctx, f, err)
	case !effect.Proven:
		reverted := x.revert(ctx, f)
		if reverted != nil {
			return x.failFault(ctx, f, reverted)
		}
		return x.endStep(f.step.ID, f.attempts, journal.StepResult{Status: journal.Done, State: verdict.Inconclusive.String(), Reason: "no proven effect: " + effect.Summary})
	}
	x.flush(ctx)
	return outcome{status: journal.Done, passed: true}
}

// failFault reverts whatever was done and records why the fault failed.
func (x *experiment) failFault(ctx context.Context, f *faultRun, err error) outcome {
	err = errors.Join(err, x.revert(ctx, f))
	return x.endStep(f.step.ID, f.attempts, failure(ctx, err))
}

// failure says how a step that could not be carried out ended.
func failure(ctx context.Context, err error) journal.StepResult {
	r := journal.StepResult{Status: journal.Failed, Error: err.Error()}
	switch {
	case ctx.Err() != nil:
		r.Status = journal.Cancelled
	case errors.As(err, new(stepTimeout)) || errors.Is(err, context.DeadlineExceeded):
		r.Status = journal.TimedOut
	}
	return r
}

// visitHold lets the active phase last.
func (x *experiment) visitHold(ctx context.Context, f *faultRun, begun outcome) outcome {
	defer f.end()
	if !begun.passed {
		return begun
	}
	err := sleep(ctx, f.from.Add(time.Duration(f.step.Fault.Duration)))
	if err == nil && f.step.Fault.Duration > 0 {
		x.flush(ctx)
	}
	f.to = time.Now()
	x.note(journal.FaultEnding, f.step.ID, f.attempts, nil)
	if err != nil {
		return outcome{status: journal.Cancelled, failed: true}
	}
	return begun
}

// visitRevert reads the effect a last time, reverts and verifies. It runs whatever happened to the steps in between.
func (x *experiment) visitRevert(ctx context.Context, f *faultRun, begun outcome) outcome {
	if !begun.passed { // visitBegin has reverted and recorded the end
		return begun
	}
	x.checkEffect(ctx, f)
	cancelled := ctx.Err() != nil
	if err := x.revert(ctx, f); err != nil {
		return x.endStep(f.step.ID, f.attempts, journal.StepResult{Status: journal.Failed, Error: err.Error()})
	}
	if f.step.Fault.Duration > 0 {
		f.over = time.Now()
	}
	if cancelled {
		return x.endStep(f.step.ID, f.attempts, journal.StepResult{Status: journal.Cancelled, Error: context.Cause(ctx).Error()})
	}
	return x.endStep(f.step.ID, f.attempts, journal.StepResult{Status: journal.Done})
}

// checkEffect asks whether the fault was felt to its end. A one-shot fault has no end.
func (x *experiment) checkEffect(ctx context.Context, f *faultRun) {
	if f.step.Fault.Duration == 0 || ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, revertTimeout)
	defer cancel()
	effect, err := f.fault.Check(ctx)
	if err != nil {
		effect.Proven = false
		effect.Summary = "the effect could not be read back before the revert: " + err.Error()
	}
	x.note(journal.FaultChecked, f.step.ID, f.attempts, effect)
}
