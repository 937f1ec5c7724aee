package executor

import (
	"context"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/probe"
)

// signalsTimeout bounds what is asked about the spread of all faults of an experiment: some hundred queries.
const signalsTimeout = 20 * time.Second

// keepSignals records, for each fault that was injected, how every place of the map fared before, during and after it.
func (x *experiment) keepSignals(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, signalsTimeout)
	defer cancel()
	for _, s := range x.plan.Steps {
		if f := x.faults[s.ID]; f != nil && !f.struck.IsZero() && x.steadyTo.After(x.steadyFrom) {
			x.note(journal.SignalsKept, s.ID, 0, probe.Signals(ctx, x.metrics, x.plan.Places, time.Duration(x.plan.Interval), x.stretches(f)))
		}
	}
}

// stretches are what is compared.
func (x *experiment) stretches(f *faultRun) journal.Signals {
	s := journal.Signals{Struck: f.struck, Before: journal.Stretch{From: x.steadyFrom, To: x.steadyTo}, During: journal.Stretch{From: f.struck, To: x.feltUntil(f)}}
	if again := latest(x.lastFaultOver().Add(x.recoveryTook), s.During.To); x.recovered && x.recoveredAt.After(again) {
		s.After = journal.Stretch{From: again, To: x.recoveredAt}
	}
	return s
}

// feltUntil is when a fault was over. What happens once is felt until the steady state holds again, or as long as that was waited for; at least for some scrapes.
func (x *experiment) feltUntil(f *faultRun) time.Time {
	switch least := f.struck.Add(fewScrapes * time.Duration(x.plan.Interval)); {
	case f.step.Fault.Duration > 0:
		return f.to
	case x.recovered:
		return latest(least, x.lastFaultOver().Add(x.recoveryTook))
	default:
		return latest(least, x.recoveredAt)
	}
}

// fewScrapes is the least that shows how something went.
const fewScrapes = 4

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
