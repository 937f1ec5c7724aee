package executor

import (
	"context"
	"sync"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/verdict"
)

// recovery looks at the whole steady state, round after round, until it holds again or its time is over. It starts at the end of the last fault.
func (x *experiment) recovery(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	end := x.lastFaultOver()
	x.startPhase(journal.Recovery)
	defer x.endPhase(journal.Recovery)
	x.flush(ctx)
	r := recoverer{x: x, end: end}
	result := r.watch(ctx)
	x.recoveredAt, x.recovered = time.Now(), result.State == verdict.Pass
	if x.recovered {
		x.recoveryTook = time.Duration(result.Took)
	}
	if ctx.Err() == nil {
		x.note(journal.Recovered, "", 0, journal.RecoveryResult{Held: x.recovered, Took: result.Took, Reason: result.Reason})
		x.tell(ctx)
	}
}

// tellWithin bounds how long is waited for a server that is to see how the recovery ended: one that scrapes more rarely may miss it.
const tellWithin = time.Second

// tell gives a server that scrapes often the time to see how the recovery ended, before what tells it is taken away.
func (x *experiment) tell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	x.flush(ctx)
}

func (x *experiment) lastFaultOver() time.Time {
	var last time.Time
	for _, f := range x.faults {
		if f.over.After(last) {
			last = f.over
		}
	}
	if last.IsZero() {
		return time.Now()
	}
	return last
}

type recoverer struct {
	x     *experiment
	end   time.Time
	looks []verdict.RecoveryLook
}

// watch takes a round of looks every scrape interval, and one exactly when the first can be complete.
func (r *recoverer) watch(ctx context.Context) verdict.Recovery {
	p := r.x.plan
	every, takes := time.Duration(p.Interval), time.Duration(p.Recovery.Takes)
	last := time.Duration(p.Recovery.Within) + takes + every
	for at := time.Duration(0); at <= last; at = nextRound(at, every, takes, time.Since(r.end)) {
		if sleep(ctx, r.end.Add(at)) != nil {
			break
		}
		offset := r.round(ctx)
		if _, ok := verdict.RecoveredAt(p, r.looks, offset); ok {
			break
		}
	}
	return verdict.JudgeRecovery(p, r.looks)
}

// nextRound is the next multiple of every, unless takes lies before it.
func nextRound(at, every, takes, elapsed time.Duration) time.Duration {
	next := (max(at, elapsed)/every + 1) * every
	if at < takes && takes < next {
		return takes
	}
	return next
}

// round looks at all steady-state checks at once; metric checks only once their window lies wholly after the end of the fault.
func (r *recoverer) round(ctx context.Context) time.Duration {
	now := time.Now()
	offset := now.Sub(r.end)
	if offset >= time.Duration(r.x.plan.Recovery.Takes) {
		r.x.flush(ctx)
	}
	to := time.Now()
	looks := make([]*verdict.RecoveryLook, len(r.x.plan.Steady))
	var looking sync.WaitGroup
	for i, c := range r.x.plan.Steady {
		c.Window = max(c.Window, r.x.plan.Recovery.For)
		if c.Probe.Metric() && offset < time.Duration(c.Window) {
			continue
		}
		looking.Go(func() {
			o := r.x.look(ctx, c, r.x.window(journal.Recovery, r.end, to), r.end)
			o.Offset = plan.Duration(offset)
			looks[i] = &verdict.RecoveryLook{Check: c.ID, Observation: o}
		})
	}
	looking.Wait()
	for _, l := range looks {
		if l != nil && ctx.Err() == nil {
			r.looks = append(r.looks, *l)
			r.x.note(journal.Looked, l.Check, 1, l.Observation)
		}
	}
	return offset
}
