package probe

import (
	"context"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
)

// lookQuantile keeps beside the quantile how many observations it is made of, and whether it lies in the histogram's last bucket, where it means "at least".
func lookQuantile(ctx context.Context, d Deps, c plan.Check, w Window) journal.Observation {
	p := *c.Probe.Quantile
	query := func(s stretch) (string, error) {
		e, err := metrics.Quantile(p.Q, p.Of, s.window())
		return e.Value, err
	}
	return inquire(ctx, d, c, w, query, func(ctx context.Context, q *inquiry) {
		e, err := metrics.Quantile(p.Q, p.Of, q.window())
		if err != nil {
			return
		}
		q.count(ctx, eventsCount, e.Count)
		buckets := q.ask(ctx, e.Buckets, q.to)
		bound, beyond := metrics.LastBound(p.Q, buckets)
		q.seen.Events[eventsBound], q.seen.Events[eventsLast] = bound, number(beyond)
		q.await(ctx, p.Of)
		q.awaitSlowest(ctx, p.Q, p.Of, buckets)
		q.expect(ctx, selectorsOf(e.Buckets)...)
		q.trace(ctx, selectorsOf(e.Buckets)...)
		q.missing("nothing is selected by " + p.Of)
	})
}

// selectorsOf answers the selectors of a query that was made by us.
func selectorsOf(query string) []string {
	var texts []string
	all, _ := metrics.Selectors(query)
	for _, s := range all {
		texts = append(texts, s.Text)
	}
	return texts
}
