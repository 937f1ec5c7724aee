package probe

import (
	"context"
	"slices"

	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
)

// await keeps how many requests the callers were still waiting for when the window ended, of those that some selectors count once they are answered: no counter holds
// them yet, and a window that ends while a service hangs looks better than it was.
func (q *inquiry) await(ctx context.Context, selectors ...string) {
	for _, s := range selectors {
		waiting := ofCallers(s)
		if waiting == "" {
			continue
		}
		n := lone(q.ask(ctx, q.render("sum(last_over_time("+waiting+"["+metrics.WindowVariable+"]))"), q.to))
		if n != nil && *n > q.seen.Events[eventsWaiting] {
			q.seen.Events[eventsWaiting] = *n
		}
	}
}

// ofCallers is the selector of the requests that hang, for one of those that are answered; "" if those are not the callers'.
func ofCallers(selector string) string {
	all, err := metrics.Selectors(selector)
	if err != nil || len(all) != 1 {
		return ""
	}
	known := []string{plan.CallersRequests, plan.CallersLatency, plan.CallersLatency + "_bucket", plan.CallersLatency + "_count", plan.CallersLatency + "_sum"}
	if !slices.Contains(known, all[0].Name) {
		return ""
	}
	return all[0].Beside(plan.CallersWaiting, "status", "le")
}

// awaitSlowest keeps the quantile as it would be if those that the callers still wait for took longer than all others: the higher quantile of the others that has as
// many beyond it. There is none if too many are waited for, or if nobody knows how far it is.
func (q *inquiry) awaitSlowest(ctx context.Context, quantile float64, of string, buckets []metrics.Series) {
	waiting, count := q.seen.Events[eventsWaiting], q.seen.Events[eventsCount]
	if waiting == 0 || count == 0 {
		return
	}
	higher := quantile * (count + waiting) / count
	if _, beyond := metrics.LastBound(higher, buckets); beyond || higher >= 1 {
		return
	}
	e, err := metrics.Quantile(higher, of, q.window())
	if err != nil {
		q.err = err
		return
	}
	q.count(ctx, eventsSlowest, e.Value)
}
