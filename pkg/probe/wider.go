package probe

import (
	"context"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
)

// lookWider looks again, over a window that begins with the last scrape before that of a look. The narrow one may have lost what happened before its first
// scrape; the wide one has it, and up to a scrape interval of what was before. What is to be shown must hold in both.
func lookWider(ctx context.Context, source metrics.Paced, look looker, d Deps, c plan.Check, w Window, narrow journal.Observation) journal.Observation {
	from, err := source.Before(ctx, narrow.From)
	if err != nil {
		return journal.Observation{From: narrow.From, At: narrow.At, Source: d.Source.Describe(), Error: explain(ctx, time.Now(), err).Error()}
	}
	w.From, w.To = from, narrow.At
	c.Window = 0 // all of it
	if upperBound(c) {
		c.Probe = undiluted(c.Probe, narrow.At.Sub(narrow.From), narrow.At.Sub(from))
	}
	wide := look(ctx, d, c, w)
	wide.Phase = w.Phase
	if total, ok := narrow.Events[eventsTotal]; ok && upperBound(c) {
		wide.Events[eventsTotal] = min(total, wide.Events[eventsTotal])
	}
	return wide
}

// upperBound says whether all that is expected is a largest value. Then the calm before a phase must not count: of a ratio, the part of the wide window is compared
// with the total of the narrow one.
func upperBound(c plan.Check) bool {
	for _, e := range c.Expect {
		if e.Op != plan.Max {
			return false
		}
	}
	return true
}

// undiluted asks for a higher quantile, beyond which there are as many events of the wide window as beyond the one that was asked for in the narrow.
func undiluted(p plan.Probe, narrow, wide time.Duration) plan.Probe {
	if p.Quantile == nil || wide <= 0 {
		return p
	}
	q := *p.Quantile
	q.Q = 1 - (1-q.Q)*float64(narrow)/float64(wide)
	p.Quantile = &q
	return p
}
