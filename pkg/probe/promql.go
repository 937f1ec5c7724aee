package probe

import (
	"context"

	"github.com/prometheus/prometheus/promql/parser"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
)

// lookPromql asks the author's query. A selector that finds no series of its name, or none with one of its labels, makes the evidence missing even if
// the query has an answer: `or vector(0)` would hide a typo for ever. The arguments of absent() are meant to be absent, and with noData: zero the author has
// named what must be present instead. Counters of which nobody can tell how much they rose spoil every answer.
func lookPromql(ctx context.Context, d Deps, c plan.Check, w Window) journal.Observation {
	p := *c.Probe.Promql
	query := func(s stretch) (string, error) { return s.render(p.Query), nil }
	return inquire(ctx, d, c, w, query, func(ctx context.Context, q *inquiry) {
		if p.NoData == "zero" {
			q.count(ctx, eventsPresence, q.render("count(last_over_time("+p.Presence+"["+metrics.WindowVariable+"]))"))
		}
		if part, total, ok := metrics.Proportion(q.seen.Query); ok && p.Proportion {
			q.count(ctx, eventsPart, part)
			q.count(ctx, eventsTotal, total)
		}
		selectors := q.standsOn()
		q.await(ctx, selectors...)
		if p.NoData != "zero" || len(q.seen.Series) == 0 {
			q.expect(ctx, selectors...)
		}
		q.trace(ctx, selectors...)
		q.missing("the query answered no series")
	})
}

// standsOn answers the selectors that must have data for the query to mean anything.
func (q *inquiry) standsOn() []string {
	if q.err != nil {
		return nil
	}
	all, err := metrics.Selectors(q.seen.Query)
	if err != nil {
		q.err = err
		return nil
	}
	mayBeAbsent := absentees(q.seen.Query)
	var texts []string
	for _, s := range all {
		if !mayBeAbsent[s.Text] && s.Name != "" {
			texts = append(texts, s.Text)
		}
	}
	return texts
}

// absentees are the selectors inside absent() and absent_over_time().
func absentees(query string) map[string]bool {
	found := map[string]bool{}
	expr, err := metrics.Parse(query)
	if err != nil {
		return found
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		call, ok := n.(*parser.Call)
		if !ok || call.Func.Name != "absent" && call.Func.Name != "absent_over_time" {
			return nil
		}
		inside, err := metrics.Selectors(call.String())
		for _, s := range inside {
			found[s.Text] = true
		}
		return err
	})
	return found
}
