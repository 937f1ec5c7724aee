package probe

import (
	"context"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
)

// lookRatio keeps beside the ratio how many events it is made of. A part that selects nothing is none of the total, unless its selector looks like a mistake.
func lookRatio(ctx context.Context, d Deps, c plan.Check, w Window) journal.Observation {
	r := *c.Probe.Ratio
	query := func(s stretch) (string, error) {
		e, err := metrics.Ratio(r.Part, r.Total, s.window())
		return e.Value, err
	}
	return inquire(ctx, d, c, w, query, func(ctx context.Context, q *inquiry) {
		if e, err := metrics.Ratio(r.Part, r.Total, q.window()); err == nil {
			q.count(ctx, eventsPart, e.Part)
			q.count(ctx, eventsTotal, e.Total)
		}
		q.await(ctx, r.Total)
		q.expect(ctx, r.Total, r.Part)
		q.trace(ctx, r.Total, r.Part)
		q.missing("nothing is selected by " + r.Total)
	})
}
