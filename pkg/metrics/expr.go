package metrics

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// The variables of a query.
const (
	WindowVariable   = "$window"
	IntervalVariable = "$interval"
)

// Render fills the variables of a query in.
func Render(query string, window, interval time.Duration) string {
	return strings.NewReplacer(WindowVariable, duration(window), IntervalVariable, duration(interval)).Replace(query)
}

// Window is the length of the range, in a query evaluated at to, that holds the samples of both ends: ranges are open at their beginning, and
// times count in whole milliseconds.
func Window(from, to time.Time) time.Duration {
	return time.Duration(to.UnixMilli()-from.UnixMilli()+1) * time.Millisecond
}

// duration is a PromQL duration; those have no fractions and a resolution of one millisecond.
func duration(d time.Duration) string { return strconv.FormatInt(max(d.Milliseconds(), 1), 10) + "ms" }

// ParseError is where and why an expression is no PromQL; Start and End are byte offsets in it.
type ParseError struct {
	Start, End int
	Message    string
}

func (e *ParseError) Error() string { return e.Message }

// Parse checks an expression whose variables are filled in, and that it can be evaluated within the memory of a machine. The error is a *ParseError, the first one found.
func Parse(query string) (parser.Expr, error) {
	expr, err := promqlParser().ParseExpr(query)
	if err == nil {
		return expr, steps(expr)
	}
	var all parser.ParseErrors
	if errors.As(err, &all) && len(all) > 0 {
		first := all[0]
		return nil, &ParseError{Start: int(first.PositionRange.Start), End: int(first.PositionRange.End), Message: first.Err.Error()}
	}
	return nil, &ParseError{End: len(query), Message: err.Error()}
}

// Selector is a metric and its matchers.
type Selector struct {
	Name     string
	Matchers []*labels.Matcher // without the one of the name
	Text     string
}

// Selectors answers the selectors of an expression, in its order, each once.
func Selectors(query string) ([]Selector, error) {
	expr, err := Parse(query)
	if err != nil {
		return nil, err
	}
	var all []Selector
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if v, ok := node.(*parser.VectorSelector); ok {
			s := selectorOf(v)
			if !slices.ContainsFunc(all, func(o Selector) bool { return o.Text == s.Text }) {
				all = append(all, s)
			}
		}
		return nil
	})
	return all, nil
}

func selectorOf(v *parser.VectorSelector) Selector {
	s := Selector{Name: v.Name}
	for _, m := range v.LabelMatchers {
		if m.Name == model.MetricNameLabel {
			if m.Type == labels.MatchEqual {
				s.Name = m.Value
			}
			continue
		}
		s.Matchers = append(s.Matchers, m)
	}
	s.Text = s.write(s.Name)
	return s
}

// write spells the selector with another name.
func (s Selector) write(name string) string {
	if len(s.Matchers) == 0 {
		return name
	}
	parts := make([]string, len(s.Matchers))
	for i, m := range s.Matchers {
		parts[i] = m.String()
	}
	return name + "{" + strings.Join(parts, ",") + "}"
}

// plainSelector parses what must be a selector and nothing more.
func plainSelector(text string) (Selector, error) {
	expr, err := Parse(text)
	if err != nil {
		return Selector{}, err
	}
	v, ok := expr.(*parser.VectorSelector)
	if !ok || v.OriginalOffset != 0 || v.Timestamp != nil {
		return Selector{}, &ParseError{End: len(text), Message: "expected a plain selector such as http_requests_total{status=\"500\"}, without functions, range or offset"}
	}
	s := selectorOf(v)
	if s.Name == "" {
		return Selector{}, &ParseError{End: len(text), Message: "the selector needs a metric name"}
	}
	return s, nil
}

// Only answers a plain selector that in addition takes only series with this value of a label. The error is a *ParseError.
func Only(text, label, value string) (string, error) {
	s, err := plainSelector(text)
	if err != nil {
		return "", err
	}
	s.Matchers = append(s.Matchers, labels.MustNewMatcher(labels.MatchEqual, label, value))
	return s.write(s.Name), nil
}

// Beside answers a selector of another metric, with the matchers of this one but for those of some labels.
func (s Selector) Beside(name string, without ...string) string {
	s.Matchers = slices.DeleteFunc(slices.Clone(s.Matchers), func(m *labels.Matcher) bool { return slices.Contains(without, m.Name) })
	return s.write(name)
}

// RatioExpr is the PromQL behind a ratio of two counters.
type RatioExpr struct {
	Value       string // part / total
	Part, Total string // how much each rose in the window
}

// Ratio expands part and total, selectors of counters, over a window. No part at all is a ratio of 0 as long as there is a total: a service without
// errors has often no error series. That the part's selector is not a typo is for Absent to find out.
func Ratio(part, total string, window time.Duration) (RatioExpr, error) {
	p, err := plainSelector(part)
	if err != nil {
		return RatioExpr{}, fmt.Errorf("part: %w", err)
	}
	t, err := plainSelector(total)
	if err != nil {
		return RatioExpr{}, fmt.Errorf("total: %w", err)
	}
	whole := Rise(t.Text, window)
	share := fmt.Sprintf("(%s or %s * 0)", Rise(p.Text, window), whole)
	return RatioExpr{Value: share + " / " + whole, Part: share, Total: whole}, nil
}

// QuantileExpr is the PromQL behind a quantile of a classic histogram.
type QuantileExpr struct {
	Value   string // the quantile
	Count   string // how many observations the histogram took in the window
	Buckets string // how much each bucket rose, by le
}

// Quantile expands the q-quantile of the histogram that the selector names, without _bucket, over a window.
func Quantile(q float64, of string, window time.Duration) (QuantileExpr, error) {
	if q <= 0 || q >= 1 {
		return QuantileExpr{}, fmt.Errorf("a quantile lies between 0 and 1, not at %g", q)
	}
	s, err := plainSelector(of)
	if err != nil {
		return QuantileExpr{}, err
	}
	w := duration(window)
	buckets := fmt.Sprintf("sum by (le) (increase(%s[%s]))", s.write(s.Name+"_bucket"), w)
	return QuantileExpr{
		Value:   fmt.Sprintf("histogram_quantile(%g, %s)", q, buckets),
		Count:   Rise(s.write(s.Name+"_count"), window),
		Buckets: buckets,
	}, nil
}

// Mean is the PromQL behind the mean of what the histogram that the selector names, without _bucket, took in over a window.
func Mean(of string, window time.Duration) (string, error) {
	s, err := plainSelector(of)
	if err != nil {
		return "", err
	}
	return Rise(s.write(s.Name+"_sum"), window) + " / " + Rise(s.write(s.Name+"_count"), window), nil
}

// Slower is the PromQL behind how many of what the histogram that the selector names, without _bucket, took in over a window lay beyond one of its bounds, given as its
// label le.
func Slower(of, le string, window time.Duration) (string, error) {
	s, err := plainSelector(of)
	if err != nil {
		return "", err
	}
	below := s
	below.Matchers = append(slices.Clone(s.Matchers), labels.MustNewMatcher(labels.MatchEqual, labels.BucketLabel, le))
	return Rise(s.write(s.Name+"_count"), window) + " - " + Rise(below.write(s.Name+"_bucket"), window), nil
}

// Rise is the PromQL behind how much counters rose in a window.
func Rise(counters string, window time.Duration) string {
	return fmt.Sprintf("sum(increase(%s[%s]))", counters, duration(window))
}

// LastBound answers the highest finite bound of buckets as Quantile's Buckets query answers them, and whether the q-quantile lies beyond it.
func LastBound(q float64, buckets []Series) (bound float64, beyond bool) {
	var all, finite float64
	found := false
	for _, s := range buckets {
		le, err := strconv.ParseFloat(s.Labels["le"], 64)
		if err != nil || len(s.Points) == 0 {
			continue
		}
		v := float64(s.Points[0].V)
		all = max(all, v)
		if le < inf && (!found || le > bound) {
			bound, finite, found = le, v, true
		}
	}
	return bound, found && all > 0 && finite < q*all
}

// PlainSelector checks that a text is a selector with a name and nothing more. The error is a *ParseError.
func PlainSelector(text string) error {
	_, err := plainSelector(text)
	return err
}
