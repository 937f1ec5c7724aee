package executor

import (
	"context"
	"sync"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/probe"
	"chaosgate/pkg/verdict"
)

// steadyState observes the steady state and says whether all of its required checks pass. Meanwhile the faults that start first are armed, but for those that take a service down for a while.
func (x *experiment) steadyState(ctx context.Context) bool {
	x.startPhase(journal.Steady)
	defer x.endPhase(journal.Steady)
	x.steadyFrom = time.Now()
	x.flush(ctx)
	var arming sync.WaitGroup
	if x.mode != DryRun {
		arming.Go(func() { x.armEarly(ctx) })
	}
	met := x.lookSteady(ctx, func(c plan.Check) bool { return !c.Probe.Metric() }, x.steadyFrom)
	err := sleep(ctx, x.steadyFrom.Add(time.Duration(x.plan.SteadyFor)))
	arming.Wait()
	if err != nil {
		return false
	}
	x.flush(ctx)
	x.steadyTo = time.Now()
	return x.lookSteady(ctx, func(c plan.Check) bool { return c.Probe.Metric() }, x.steadyTo) && met && ctx.Err() == nil
}

// lookSteady looks at the chosen checks side by side and says whether those that are required pass.
func (x *experiment) lookSteady(ctx context.Context, chosen func(plan.Check) bool, at time.Time) bool {
	var looking sync.WaitGroup
	met := make([]bool, len(x.plan.Steady))
	for i, c := range x.plan.Steady {
		met[i] = true
		if !chosen(c) {
			continue
		}
		looking.Go(func() {
			o := x.look(ctx, c, probe.Window{Phase: journal.Steady, From: x.steadyFrom, To: at}, x.steadyFrom)
			if cutShort(ctx, o) {
				met[i] = false
				return
			}
			x.note(journal.Looked, c.ID, 1, o)
			j := verdict.JudgeLook(c, o)
			x.note(journal.CheckEnded, c.ID, 0, journal.CheckResult{Phase: journal.Steady, State: j.State.String(), Reason: j.Reason})
			met[i] = j.State == verdict.Pass || !c.Required
		})
	}
	looking.Wait()
	for _, m := range met {
		if !m {
			return false
		}
	}
	return true
}

// cutShort is whether a look was ended by the end of what it belongs to: it says nothing of what was looked at.
func cutShort(ctx context.Context, o journal.Observation) bool {
	return ctx.Err() != nil && o.Error != ""
}

// warnOfJump spoils what a metric check has seen once the clock has jumped: nothing is shown by it, neither good nor bad.
func (x *experiment) warnOfJump(c plan.Check, o *journal.Observation) {
	if !c.Probe.Metric() {
		return
	}
	jumped, isNew := x.clock.look()
	if isNew {
		x.note(journal.FindingNoted, "", 0, journal.Finding{Kind: journal.ClockJump, Subject: "clock", Message: jumped, At: time.Now(), Closes: verdict.Inconclusive.String()})
	}
	if jumped != "" {
		o.Warnings = append(o.Warnings, jumped)
	}
}

// look looks once. since is what the offset counts from.
func (x *experiment) look(ctx context.Context, c plan.Check, w probe.Window, since time.Time) journal.Observation {
	limit := c.Timeout
	if limit == 0 {
		limit = plan.LookTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(limit))
	defer cancel()
	offset := time.Since(since)
	o := x.parts.Look(ctx, x.deps, c, w)
	x.warnOfJump(c, &o)
	o.Phase = w.Phase
	o.Offset = plan.Duration(offset)
	return o
}
