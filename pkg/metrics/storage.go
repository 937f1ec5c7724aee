package metrics

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// memory keeps the float samples of one experiment in memory: minutes at a few scrapes a second, so nothing is ever dropped. It implements
// storage.Queryable and is safe for concurrent use.
type memory struct {
	interval int64 // ms between two scrapes
	mu       sync.RWMutex
	series   map[uint64][]*stored // by hash of labels; equal hashes are told apart by the labels
}

// stored is one series; samples are only ever appended, in the order of time, so a reader may keep a slice of them.
type stored struct {
	labels  labels.Labels
	counter bool
	samples []sample
}

type sample struct {
	t int64
	v float64
}

// newMemory makes a storage for scrapes at an interval.
func newMemory(interval time.Duration) *memory {
	return &memory{interval: interval.Milliseconds(), series: map[uint64][]*stored{}}
}

// find answers the series with these labels, made if needed, and whether it was there before. The caller holds mu for writing.
func (m *memory) find(l labels.Labels) (s *stored, known bool) {
	hash := l.Hash()
	for _, s := range m.series[hash] {
		if labels.Equal(s.labels, l) {
			return s, true
		}
	}
	s = &stored{labels: l}
	m.series[hash] = append(m.series[hash], s)
	return s, false
}

// append adds a sample; one that is not newer than the last is dropped, as the first of two equal lines in an exposition counts.
func (s *stored) append(t int64, v float64) {
	if n := len(s.samples); n > 0 && s.samples[n-1].t >= t {
		return
	}
	s.samples = append(s.samples, sample{t, v})
}

// Querier implements storage.Queryable.
func (m *memory) Querier(mint, maxt int64) (storage.Querier, error) {
	return &querier{memory: m, mint: mint, maxt: maxt}, nil
}

type querier struct {
	*memory
	mint, maxt int64
}

func (q *querier) Close() error { return nil }

func (q *querier) Select(_ context.Context, _ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	from, to, apart := q.mint, q.maxt, int64(0)
	if hints != nil {
		from, to, apart = max(from, hints.Start), min(to, hints.End), q.apart(hints)
	}
	q.mu.RLock()
	defer q.mu.RUnlock()
	var found []storage.Series
	for _, same := range q.series {
		for _, s := range same {
			if !matches(s.labels, matchers) {
				continue
			}
			if samples := thin(between(s.samples, from, to), apart); len(samples) > 0 {
				found = append(found, &storage.SeriesEntry{Lset: s.labels, SampleIteratorFn: func(chunkenc.Iterator) chunkenc.Iterator {
					return storage.NewListSeriesIterator(floats(samples))
				}})
			}
		}
	}
	slices.SortFunc(found, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return &seriesSet{series: found, at: -1}
}

func matches(l labels.Labels, matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if !m.Matches(l.Get(m.Name)) {
			return false
		}
	}
	return true
}

// between cuts the samples of [from, to] out.
func between(samples []sample, from, to int64) []sample {
	byTime := func(s sample, t int64) int {
		switch {
		case s.t < t:
			return -1
		case s.t > t:
			return 1
		}
		return 0
	}
	begin, _ := slices.BinarySearchFunc(samples, from, byTime)
	end, _ := slices.BinarySearchFunc(samples, to+1, byTime)
	return samples[begin:end:end]
}

// apart is how far apart the samples are that a range selector sees, for thin. In a range of its own, whose first sample stays, there is none between it and the range's
// beginning, so nearly an interval is best. The ranges of a chart's points begin anywhere, and what was left out in front of one is missing from it; only what is
// very dense is left out there.
func (q *querier) apart(hints *storage.SelectHints) int64 {
	switch {
	case hints.Range == 0:
		return 0
	case hints.End-hints.Start > hints.Range:
		return q.interval / 4
	}
	return q.interval * 92 / 100
}

// thin leaves samples out that are less than apart from a neighbour. Flushes scrape within milliseconds of other scrapes, and PromQL extrapolates to the ends of a
// range only over 1.1 times the mean distance of its samples: clusters make that smaller than an interval, and a steady rate seems to fall. The first and the last
// stay, and both sides of a fall, so that a counter loses nothing by it: what it has counted is in the samples that stay.
func thin(samples []sample, apart int64) []sample {
	if !dense(samples, apart) {
		return samples
	}
	last := len(samples) - 1
	kept := []sample{samples[last]}
	for i := last - 1; i > 0; i-- {
		if kept[len(kept)-1].t-samples[i].t >= apart || besideFall(samples, i) {
			kept = append(kept, samples[i])
		}
	}
	if n := len(kept); n > 1 && kept[n-1].t-samples[0].t < apart && kept[n-1].v >= samples[0].v && kept[n-1].v <= kept[n-2].v {
		kept = kept[:n-1]
	}
	kept = append(kept, samples[0])
	slices.Reverse(kept)
	return kept
}

// besideFall says whether a sample, neither the first nor the last, is on a side of a fall, or of a gap: those are marked by what is not a number.
func besideFall(samples []sample, i int) bool {
	return !(samples[i-1].v <= samples[i].v && samples[i].v <= samples[i+1].v)
}

// dense says whether some samples are less than apart.
func dense(samples []sample, apart int64) bool {
	for i := 1; i < len(samples); i++ {
		if samples[i].t-samples[i-1].t < apart {
			return len(samples) > 2
		}
	}
	return false
}

func (q *querier) LabelValues(_ context.Context, name string, _ *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.collect(matchers, func(l labels.Labels, add func(string)) {
		if v := l.Get(name); v != "" {
			add(v)
		}
	}), nil, nil
}

func (q *querier) LabelNames(_ context.Context, _ *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.collect(matchers, func(l labels.Labels, add func(string)) {
		l.Range(func(l labels.Label) { add(l.Name) })
	}), nil, nil
}

func (q *querier) collect(matchers []*labels.Matcher, each func(labels.Labels, func(string))) []string {
	q.mu.RLock()
	defer q.mu.RUnlock()
	var all []string
	for _, same := range q.series {
		for _, s := range same {
			if matches(s.labels, matchers) {
				each(s.labels, func(v string) { all = append(all, v) })
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

type seriesSet struct {
	series []storage.Series
	at     int
}

func (s *seriesSet) Next() bool                        { s.at++; return s.at < len(s.series) }
func (s *seriesSet) At() storage.Series                { return s.series[s.at] }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

// floats shows samples to the library's list iterator; there are no native histograms in here.
type floats []sample

func (f floats) Len() int                { return len(f) }
func (f floats) Get(i int) chunks.Sample { return f[i] }

func (s sample) T() int64                      { return s.t }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.v }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }
