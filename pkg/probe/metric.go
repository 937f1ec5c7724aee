package probe

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
)

// The keys of Observation.Events, as the verdict reads them.
const (
	eventsPart     = "part"
	eventsTotal    = "total"
	eventsCount    = "count"
	eventsLast     = "in_last_bucket"
	eventsBound    = "last_bound"
	eventsPresence = "presence"
	eventsWaiting  = "waiting"
	eventsSlowest  = "with_waiting_slowest"

	eventsAsked         = "samples_asked"
	eventsBaselineAsked = "baseline_samples_asked"
)

// stretch is what one look of a metric probe covers: its queries are evaluated at its end, over the whole of it. Its ends are whole milliseconds, which is
// as exactly as scrapes are timed.
type stretch struct{ from, to time.Time }

// stretchOf is a phase, or the last part of it if the check has a shorter window of its own. It begins and ends with a scrape where the source knows its
// scrapes, and never reaches out of the phase.
func stretchOf(source metrics.Source, from, to time.Time, own plan.Duration) stretch {
	aligner, aligned := source.(metrics.Aligner)
	if aligned {
		if end := aligner.AlignEnd(to); end.After(from) {
			to = end
		}
	}
	start := to.Add(-time.Duration(own))
	if aligned && own > 0 {
		start = aligner.AlignStart(start)
	}
	if own > 0 && start.After(from) {
		from = start
	}
	return stretch{from.Truncate(time.Millisecond), to.Truncate(time.Millisecond)}
}

// window is the range for PromQL. A range leaves out what lies exactly at its beginning, and the window begins with a scrape: one millisecond more
// takes it in.
func (s stretch) window() time.Duration { return s.to.Sub(s.from) + time.Millisecond }

// render fills the window in.
func (s stretch) render(query string) string {
	return strings.ReplaceAll(query, metrics.WindowVariable, fmt.Sprintf("%dms", s.window().Milliseconds()))
}

// inquiry is one look of a metric probe under way. After its first error it asks nothing more.
type inquiry struct {
	stretch
	source metrics.Source
	seen   journal.Observation
	err    error
}

// inquire looks with a query that is compared, and gathers beside it what tells how far its answer is to be trusted.
func inquire(ctx context.Context, d Deps, c plan.Check, w Window, query func(stretch) (string, error), gather func(context.Context, *inquiry)) journal.Observation {
	begun := time.Now()
	q := &inquiry{stretch: stretchOf(d.Source, w.From, w.To, c.Window), source: d.Source}
	q.seen = journal.Observation{At: q.to, From: q.from, Source: d.Source.Describe(), Events: map[string]float64{}}
	q.seen.Query, q.err = query(q.stretch)
	q.seen.Series = q.ask(ctx, q.seen.Query, q.to)
	gather(ctx, q)
	if c.Baseline && !w.BaselineTo.IsZero() {
		before := stretchOf(d.Source, w.BaselineFrom, w.BaselineTo, c.Window)
		same, _ := query(before) // it did not fail above
		q.seen.Baseline = q.ask(ctx, same, before.to)
		q.seen.BaselineSamples, q.seen.Events[eventsBaselineAsked] = q.sample(ctx, before, time.Duration(c.Sample), query)
		q.seen.Samples, q.seen.Events[eventsAsked] = q.sample(ctx, q.stretch, time.Duration(c.Sample), query)
	}
	if q.err != nil {
		q.seen.Error = explain(ctx, begun, q.err).Error()
	}
	return q.seen
}

// ask keeps the warnings of the source.
func (q *inquiry) ask(ctx context.Context, query string, at time.Time) []metrics.Series {
	if q.err != nil {
		return nil
	}
	r, err := q.source.Query(ctx, query, at)
	if err != nil {
		q.err = err
		return nil
	}
	q.seen.Source = r.Source
	for _, w := range r.Warnings {
		if !slices.Contains(q.seen.Warnings, w) {
			q.seen.Warnings = append(q.seen.Warnings, w)
		}
	}
	return r.Series
}

// sample asks a query over each of the stretches that fit into one, from its end backwards, and answers the finite values in the order of time, and how many it has
// asked for. The stretches do not overlap: values that share scrapes are alike for no reason, and then a difference is seen where there is none.
func (q *inquiry) sample(ctx context.Context, whole stretch, length time.Duration, query func(stretch) (string, error)) (values []float64, asked float64) {
	for to := whole.to; length > 0 && !to.Add(-length).Before(whole.from); to = to.Add(-length) {
		asked++
		text, _ := query(stretch{to.Add(time.Millisecond - length), to})
		if v := lone(q.ask(ctx, text, to)); v != nil {
			values = append(values, *v)
		}
	}
	slices.Reverse(values)
	return values, asked
}

// count keeps the single value of a query under a name; where there is no such number there is no count.
func (q *inquiry) count(ctx context.Context, event, query string) {
	if n := lone(q.ask(ctx, query, q.to)); n != nil {
		q.seen.Events[event] = *n
	}
}

// lone is the number that an answer consists of; nil if it is another answer, or one that can be compared with nothing.
func lone(series []metrics.Series) *float64 {
	if len(series) != 1 || len(series[0].Points) == 0 {
		return nil
	}
	return finite(series[0].Points[0].V)
}

// finite answers a number, nil for what can be compared with nothing.
func finite(v metrics.Float) *float64 {
	n := float64(v)
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return nil
	}
	return &n
}

// expect keeps as Missing why one of the selectors has no data, if that looks like a mistake or like something that is not there any more.
func (q *inquiry) expect(ctx context.Context, selectors ...string) {
	for _, s := range selectors {
		if q.err != nil || q.seen.Missing != "" {
			return
		}
		q.seen.Missing, q.err = metrics.Absent(ctx, q.source, s, q.from, q.to)
	}
}

// trace keeps as warnings which of the selectors' counters rose by nobody knows how much. They have data, so that this is no data that is missing: what
// noData says does not apply.
func (q *inquiry) trace(ctx context.Context, selectors ...string) {
	births, ok := q.source.(metrics.Birther)
	for _, s := range selectors {
		if !ok || q.err != nil {
			return
		}
		born, err := births.Born(ctx, s, q.from, q.to)
		if q.err = err; born != "" {
			q.seen.Warnings = append(q.seen.Warnings, born)
		}
	}
}

// missing keeps why there is no answer, if there is none and nothing better is known.
func (q *inquiry) missing(why string) {
	if q.err == nil && q.seen.Missing == "" && len(q.seen.Series) == 0 {
		q.seen.Missing = why
	}
}
