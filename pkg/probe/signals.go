package probe

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
)

// tail is the quantile that is shown of each place's latency.
const tail = 0.99

// Signals reads what every place counted before, during and after a fault, and sample by sample from the beginning of the first stretch to the end of the last. The
// stretches are moved to the scrapes at or before their ends where the source knows them. What is not measured is left out; an error of the source is kept in the answer.
func Signals(ctx context.Context, source metrics.Source, places []plan.Place, interval time.Duration, s journal.Signals) journal.Signals {
	r := &reader{ctx: ctx, source: source, interval: interval}
	s.Before, s.During, s.After = r.align(s.Before), r.align(s.During), r.align(s.After)
	s.Step, s.Places = plan.Duration(interval), []journal.PlaceSignals{}
	last := s.During.To
	if s.After.To.After(last) {
		last = s.After.To
	}
	for _, p := range places {
		if p.Signals == (plan.Signals{}) {
			continue
		}
		o := observed{Place: p}
		signals := journal.PlaceSignals{Place: p.Name}
		o.bound, signals.SlowerThan = r.slowBound(p, s.Before)
		signals.Before, signals.During, signals.After = r.amounts(o, s.Before), r.amounts(o, s.During), r.amounts(o, s.After)
		signals.Samples = r.samples(o, journal.Stretch{From: s.Before.From, To: last})
		s.Places = append(s.Places, signals)
	}
	if r.err != nil {
		s.Error = r.err.Error()
	}
	return s
}

// reader asks one query after the other; it goes on after an error, and keeps the first.
type reader struct {
	ctx      context.Context
	source   metrics.Source
	interval time.Duration
	err      error
}

func (r *reader) align(s journal.Stretch) journal.Stretch {
	if s.From.IsZero() {
		return s
	}
	switch source := r.source.(type) {
	case metrics.Aligner:
		s.From, s.To = source.AlignStart(s.From), source.AlignEnd(s.To)
	case metrics.Paced:
		from, err := source.Before(r.ctx, s.From)
		if r.note(err) {
			s.From = from
		}
	}
	return s
}

// observed is a place with the label of the bucket beyond which its requests count as slow, "" if there is none.
type observed struct {
	plan.Place
	bound string
}

// slowBound is the first bound of the histogram that is at least twice the tail of the steady state: what is slower than that hardly ever happens there.
func (r *reader) slowBound(p plan.Place, before journal.Stretch) (label string, bound *float64) {
	if p.Signals.Latency == "" || before.Length() <= 0 {
		return "", nil
	}
	e, err := metrics.Quantile(tail, p.Signals.Latency, metrics.Window(before.From, before.To))
	if !r.note(err) {
		return "", nil
	}
	usual := r.value(e.Value, before.To)
	buckets, err := r.source.Query(r.ctx, e.Buckets, before.To)
	if !r.note(err) || usual == nil {
		return "", nil
	}
	for _, s := range buckets.Series {
		le, err := strconv.ParseFloat(s.Labels["le"], 64)
		if err == nil && !math.IsInf(le, 0) && le >= 2**usual && (bound == nil || le < *bound) {
			label, bound = s.Labels["le"], &le
		}
	}
	return label, bound
}

// measure is one of the numbers that are read of a place: its query over a window, "" if it is not measured there.
type measure struct {
	query func(observed, time.Duration) (string, error)
	of    func(*journal.Amounts) **float64
	each  func(*journal.SignalSample) **float64 // nil: not sampled
}

// measures lists them.
func measures() []measure {
	return []measure{
		{asked, func(a *journal.Amounts) **float64 { return &a.Requests }, func(s *journal.SignalSample) **float64 { return &s.Requests }},
		{failures, func(a *journal.Amounts) **float64 { return &a.Errors }, func(s *journal.SignalSample) **float64 { return &s.Errors }},
		{inside, func(a *journal.Amounts) **float64 { return &a.Inside }, func(s *journal.SignalSample) **float64 { return &s.Inside }},
		{mean, func(a *journal.Amounts) **float64 { return &a.Mean }, func(s *journal.SignalSample) **float64 { return &s.Mean }},
		{slow, func(a *journal.Amounts) **float64 { return &a.Slow }, func(s *journal.SignalSample) **float64 { return &s.Slow }},
		{missed, func(a *journal.Amounts) **float64 { return &a.Missed }, func(s *journal.SignalSample) **float64 { return &s.Missed }},
		{slowest, func(a *journal.Amounts) **float64 { return &a.P99 }, nil},
	}
}

func asked(p observed, window time.Duration) (string, error) {
	if p.Signals.Requests == "" {
		return "", nil
	}
	return metrics.Rise(p.Signals.Requests, window), nil
}

// failures is zero where there are requests and no errors: a service without errors has often no error series.
func failures(p observed, window time.Duration) (string, error) {
	if p.Signals.Errors == "" || p.Signals.Requests == "" {
		return "", nil
	}
	e, err := metrics.Ratio(p.Signals.Errors, p.Signals.Requests, window)
	return e.Part, err
}

func inside(p observed, window time.Duration) (string, error) {
	if p.Signals.Inside == "" {
		return "", nil
	}
	return metrics.Rise(p.Signals.Inside, window), nil
}

func mean(p observed, window time.Duration) (string, error) {
	if p.Signals.Latency == "" {
		return "", nil
	}
	return metrics.Mean(p.Signals.Latency, window)
}

func slowest(p observed, window time.Duration) (string, error) {
	if p.Signals.Latency == "" {
		return "", nil
	}
	e, err := metrics.Quantile(tail, p.Signals.Latency, window)
	return e.Value, err
}

func slow(p observed, window time.Duration) (string, error) {
	if p.bound == "" {
		return "", nil
	}
	return metrics.Slower(p.Signals.Latency, p.bound, window)
}

// missed is of a service: how many of its scrapes failed, because nobody answered.
func missed(p observed, window time.Duration) (string, error) {
	if p.Service == "" || p.Database != "" {
		return "", nil
	}
	return metrics.Missed(p.Service, window), nil
}

func (r *reader) amounts(p observed, s journal.Stretch) journal.Amounts {
	var a journal.Amounts
	if s.Length() <= 0 {
		return a
	}
	for _, m := range measures() {
		query, err := m.query(p, metrics.Window(s.From, s.To))
		if query == "" || !r.note(err) {
			continue
		}
		*m.of(&a) = r.value(query, s.To)
	}
	return a
}

// value is the single number that a query answers, nil if it does not.
func (r *reader) value(query string, at time.Time) *float64 {
	answer, err := r.source.Query(r.ctx, query, at)
	if !r.note(err) {
		return nil
	}
	return lone(answer.Series)
}

func (r *reader) samples(p observed, s journal.Stretch) []journal.SignalSample {
	at := map[int64]*journal.SignalSample{}
	for _, m := range measures() {
		if m.each == nil || s.Length() <= 2*r.interval {
			continue
		}
		query, err := m.query(p, 2*r.interval)
		if query == "" || !r.note(err) {
			continue
		}
		answer, err := r.source.QueryRange(r.ctx, query, s.From.Add(2*r.interval), s.To, r.interval)
		if !r.note(err) || len(answer.Series) != 1 {
			continue
		}
		for _, point := range answer.Series[0].Points {
			if at[point.T] == nil {
				at[point.T] = &journal.SignalSample{T: point.T}
			}
			*m.each(at[point.T]) = finite(point.V)
		}
	}
	var all []journal.SignalSample
	for _, t := range slices.Sorted(maps.Keys(at)) {
		all = append(all, *at[t])
	}
	return all
}

// note keeps the first error and says whether there is none now.
func (r *reader) note(err error) bool {
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("how the fault spread could not be asked: %w", err)
	}
	return err == nil
}
