// Package metrics is PromQL over an embedded storage or a real Prometheus, behind one Source.
//
// The embedded storage is filled by Scraper and asked through Prometheus' own engine; it differs from a server in that it scrapes when told to
// (Flush), looks back four scrape intervals and not five minutes, and counts a counter that is born with a value from zero at the last
// scrape that succeeded without it.
package metrics

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// The engine's limits: a query of one experiment touches thousands of samples, not millions.
const (
	maxSamples   = 5_000_000
	queryTimeout = 10 * time.Second
	// lookbackIntervals is after how many missed scrapes a series no longer has a value.
	lookbackIntervals = 4
)

// Embedded is a Source over an in-memory storage. It is safe for concurrent use.
type Embedded struct {
	storage  *memory
	engine   *promql.Engine
	interval time.Duration
}

func newEmbedded(storage *memory, interval time.Duration) *Embedded {
	return &Embedded{storage: storage, interval: interval, engine: promql.NewEngine(promql.EngineOpts{
		MaxSamples: maxSamples, Timeout: queryTimeout,
		LookbackDelta:            lookbackIntervals * interval,
		NoStepSubqueryIntervalFn: func(int64) int64 { return interval.Milliseconds() },
		EnableAtModifier:         true, EnableNegativeOffset: true,
		Parser: promqlParser(),
	})}
}

func promqlParser() parser.Parser { return parser.NewParser(parser.Options{}) }

// Describe implements Source.
func (e *Embedded) Describe() string { return fmt.Sprintf("embedded, every %v", e.interval) }

// Query implements Source.
func (e *Embedded) Query(ctx context.Context, query string, at time.Time) (Result, error) {
	if _, err := Parse(query); err != nil {
		return Result{}, fmt.Errorf("query %q: %w", query, err)
	}
	q, err := e.engine.NewInstantQuery(ctx, e.storage, nil, query, at)
	if err != nil {
		return Result{}, fmt.Errorf("query %q: %w", query, err)
	}
	return e.exec(ctx, q, query, at)
}

// QueryRange implements Source.
func (e *Embedded) QueryRange(ctx context.Context, query string, from, to time.Time, step time.Duration) (Result, error) {
	if _, err := Parse(query); err != nil {
		return Result{}, fmt.Errorf("query %q: %w", query, err)
	}
	q, err := e.engine.NewRangeQuery(ctx, e.storage, nil, query, from, to, step)
	if err != nil {
		return Result{}, fmt.Errorf("query %q: %w", query, err)
	}
	return e.exec(ctx, q, query, to)
}

func (e *Embedded) exec(ctx context.Context, q promql.Query, query string, at time.Time) (Result, error) {
	defer q.Close()
	answer := q.Exec(ctx)
	if answer.Err != nil {
		return Result{}, fmt.Errorf("query %q: %w", query, answer.Err)
	}
	warnings, _ := answer.Warnings.AsStrings(query, 10, 0)
	series, err := seriesOf(answer, at)
	if err != nil {
		return Result{}, fmt.Errorf("query %q: %w", query, err)
	}
	return Result{Query: query, At: at, Series: series, Warnings: nonNil(warnings), Source: "embedded"}, nil
}

func nonNil(all []string) []string {
	if all == nil {
		return []string{}
	}
	return all
}

// seriesOf copies an answer out of the engine, which reuses its memory. A string is no evidence.
func seriesOf(answer *promql.Result, at time.Time) ([]Series, error) {
	all := []Series{}
	switch v := answer.Value.(type) {
	case promql.Scalar:
		all = append(all, Series{Labels: map[string]string{}, Points: []Point{{T: v.T, V: Float(v.V)}}})
	case promql.Vector:
		for _, s := range v {
			if s.H != nil {
				return nil, fmt.Errorf("the answer is a native histogram; ask for a number, for example with histogram_quantile")
			}
			all = append(all, Series{Labels: labelsOf(s.Metric), Points: []Point{{T: s.T, V: Float(s.F)}}})
		}
	case promql.Matrix:
		for _, s := range v {
			points := make([]Point, 0, len(s.Floats))
			for _, p := range s.Floats {
				points = append(points, Point{T: p.T, V: Float(p.F)})
			}
			all = append(all, Series{Labels: labelsOf(s.Metric), Points: points})
		}
	default:
		return nil, fmt.Errorf("the answer is a %s, not a number (at %s)", answer.Value.Type(), at.Format(time.RFC3339))
	}
	return all, nil
}

func labelsOf(l labels.Labels) map[string]string { return l.Map() }
