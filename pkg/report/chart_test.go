package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/quantity"
)

func TestTicksAreRound(t *testing.T) {
	cases := []struct {
		low, high float64
		n         int
		want      []float64
	}{
		{0, 10, 5, []float64{0, 2, 4, 6, 8, 10}},
		{0, 1.15, 4, []float64{0, 0.5, 1}},
		{-3, 7, 5, []float64{-2, 0, 2, 4, 6}},
		{0, 0.3, 3, []float64{0, 0.1, 0.2, 0.3}},
		{0, 0, 4, []float64{0}},
		{0, math.Inf(1), 4, []float64{0}},
		{0, math.NaN(), 4, []float64{0}},
	}
	for _, c := range cases {
		got := ticks(c.low, c.high, c.n)
		same := slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-12 && math.Signbit(a) == math.Signbit(b) })
		if !same {
			t.Errorf("%v to %v: got %v, want %v", c.low, c.high, got, c.want)
		}
	}
	for _, high := range []float64{1e-9, 0.003, 59, 1e15} {
		if n := len(ticks(0, high, 4)); n < 2 || n > 6 {
			t.Errorf("%d ticks up to %v", n, high)
		}
	}
}

// experiment is one with a check and its chart; the values are a quarter of a second apart, NaN is a value that is missing.
func experiment(check plan.Check, unit string, series ...[]float64) Experiment {
	began := time.UnixMilli(1_800_000_000_000)
	data := journal.SeriesData{Check: check.ID, Unit: unit, Query: "q"}
	for n, values := range series {
		s := metrics.Series{Labels: map[string]string{"n": fmt.Sprint(n)}}
		for i, v := range values {
			if !math.IsNaN(v) {
				s.Points = append(s.Points, metrics.Point{T: began.UnixMilli() + int64(250*i), V: metrics.Float(v)})
			}
		}
		data.Series = append(data.Series, s)
	}
	return Experiment{
		Plan: plan.Plan{Steps: []plan.Step{{ID: check.ID, Check: &check}}}, Charts: []journal.SeriesData{data}, Took: 10 * time.Second, began: began,
		Phases: []Span{{"steady-state", 0, 2 * time.Second}, {"recovery", 9 * time.Second, 10 * time.Second}}, Bands: []Span{{"slow", 3 * time.Second, 8 * time.Second}},
	}
}

func checkOf(expect ...plan.Expect) plan.Check {
	return plan.Check{ID: "holds", Required: true, Probe: plan.Probe{Kind: "promql", Promql: &plan.Promql{Query: "up"}}, Expect: expect}
}

// svg draws the only chart of an experiment, and checks that it parses.
func svg(t *testing.T, x Experiment) string {
	t.Helper()
	all := chartsOf(x)
	if len(all) != 1 {
		t.Fatalf("%d charts", len(all))
	}
	text := string(all[0].SVG)
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if err == io.EOF {
			return text
		}
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
}

// path is what is drawn of the first series.
func path(t *testing.T, text string) string {
	t.Helper()
	_, rest, _ := strings.Cut(text, `class="grid"/>`)
	before, _, ok := strings.Cut(rest, `" class="series s0">`)
	if !ok {
		t.Fatalf("no series in %s", text)
	}
	return before[strings.LastIndex(before, `d="`)+3:]
}

func TestALineIsBrokenWhereThereIsNoData(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	cases := map[string]struct {
		values []float64
		shape  string // the commands of the path
	}{
		"whole":          {[]float64{1, 2, 3}, "Mll"},
		"a hole":         {[]float64{1, 2, nan, nan, 3, 4}, "MlMl"},
		"a small hole":   {[]float64{1, 2, nan, 3, 4}, "MlMl"},
		"a single value": {[]float64{1, 2, nan, 3, nan, 4, 5}, "MlMMl"},
		"only one":       {[]float64{1}, "M"},
		"infinite":       {[]float64{1, 2, inf, 3, 4}, "MlMl"},
		"none":           {[]float64{nan, nan}, ""},
	}
	for name, c := range cases {
		p := path(t, svg(t, experiment(checkOf(), "", c.values)))
		shape := strings.Map(func(r rune) rune {
			if r == 'M' || r == 'l' {
				return r
			}
			return -1
		}, p)
		if shape != c.shape || strings.Count(p, "h0") != strings.Count(shape, "M") {
			t.Errorf("%s: the line is %q, want the shape %s with a dot where it begins", name, p, c.shape)
		}
	}
	wantAll(t, svg(t, experiment(checkOf(), "", nil)), "no data in the whole experiment")
	wantNone(t, svg(t, experiment(checkOf(), "", []float64{1})), "no data")
}

func TestLimitsHaveTheirNames(t *testing.T) {
	ms := func(op plan.Op, limit float64) plan.Expect {
		return plan.Expect{On: "value", Op: op, Limit: limit, Unit: quantity.Time, Threshold: "p99"}
	}
	cases := map[string]struct {
		expect []plan.Expect
		want   []string
	}{
		"most":    {[]plan.Expect{ms(plan.Max, 1)}, []string{"holds: at most 1s ($p99)"}},
		"least":   {[]plan.Expect{{Op: plan.Min, Limit: 3}}, []string{"holds: at least 3"}},
		"exactly": {[]plan.Expect{{Op: plan.Equals, Limit: 3}}, []string{"holds: exactly 3"}},
		"a range": {[]plan.Expect{{Op: plan.Between, Limit: 0.1, High: 0.4, Unit: quantity.Percent}}, []string{"holds: at most 40%", "holds: at least 10%"}},
		"bytes":   {[]plan.Expect{{Op: plan.Max, Limit: 256 << 20, Unit: quantity.Bytes}}, []string{"holds: at most 256MiB", ">0B<"}},
		"several": {[]plan.Expect{{Op: plan.Max, Limit: 3}, {Op: plan.Min, Limit: 1}}, []string{"holds: at most 3", "holds: at least 1"}},
		"change":  {[]plan.Expect{{Op: plan.MaxIncrease, Limit: 0.8}}, nil}, // nothing to compare with was measured
		"none":    {nil, nil},
	}
	for name, c := range cases {
		text := svg(t, experiment(checkOf(c.expect...), "", []float64{1, 2}))
		wantAll(t, text, c.want...)
		lines := 0
		for _, w := range c.want {
			if strings.HasPrefix(w, "holds") {
				lines++
			}
		}
		if n := strings.Count(text, `class="limit"`); n != lines {
			t.Errorf("%s: %d lines, want %d", name, n, lines)
		}
	}
}

func TestTheAxisHasTheUnitOfTheMetric(t *testing.T) {
	wantAll(t, svg(t, experiment(checkOf(), "seconds", []float64{0.1, 0.4})), ">100ms<", ">400ms<")
	wantAll(t, svg(t, experiment(checkOf(), "ratio", []float64{0.1, 0.4})), ">10%<", ">40%<")
	wantAll(t, svg(t, experiment(checkOf(), "", []float64{-3, 4})), ">-2<", ">0<", ">4<")
	wantAll(t, svg(t, experiment(checkOf(), "", []float64{0, 0})), ">0<")
}

func TestAChartShowsThePhasesAndTheFault(t *testing.T) {
	wantAll(t, svg(t, experiment(checkOf(), "", []float64{1, 2})), `class="phase steady-state"`, `class="phase recovery"`, `class="band"`, "slow active, 3s to 8s", ">steady-state<", ">recovery<")
}

func TestChecksOfOneExpressionShareAChart(t *testing.T) {
	x := experiment(checkOf(plan.Expect{Op: plan.Max, Limit: 2, Threshold: "few"}), "", []float64{1})
	other := checkOf(plan.Expect{Op: plan.Max, Limit: 2})
	other.ID = "calm"
	x.Plan.Steady = []plan.Check{other}
	again := x.Charts[0]
	again.Check = "calm"
	x.Charts = append(x.Charts, again)
	all := chartsOf(x)
	if len(all) != 1 || all[0].Title != "holds, calm" || all[0].About != "up" {
		t.Fatalf("got %+v", all)
	}
	wantAll(t, string(all[0].SVG), "holds, calm: at most 2 ($few)")
}

func TestSeveralSeriesHaveALegend(t *testing.T) {
	x := experiment(checkOf(), "", []float64{1})
	if c := chartsOf(x)[0]; len(c.Legend) != 0 || c.More != 0 {
		t.Errorf("one series has a legend: %v", c.Legend)
	}
	x = experiment(checkOf(), "", slices.Repeat([][]float64{{1, 2}}, 9)...)
	c := chartsOf(x)[0]
	if len(c.Legend) != maxLines || c.More != 3 || c.Legend[1] != `{n="1"}` || strings.Count(string(c.SVG), `class="series`) != maxLines {
		t.Errorf("legend %v and %d more", c.Legend, c.More)
	}
}

func TestLanesAreNestedAndInTheOrderOfTime(t *testing.T) {
	at := func(name, during string, from int, needs ...string) Bar {
		d := time.Duration(from) * time.Second
		return Bar{Span: Span{name, d, d + time.Second}, During: during, Needs: needs, Started: from > 0, Kind: "wait"}
	}
	bars := []Bar{at("late", "", 9), at("inner", "outer", 3), at("never", "", 0), at("outer", "", 1), at("deep", "inner", 4), at("orphan", "nobody", 5), at("loop", "loop", 6), at("first", "outer", 2)}
	var got []string
	for _, l := range lanesOf(bars, 0) {
		got = append(got, fmt.Sprintf("%s%d", l.Name, l.depth))
	}
	if want := "outer0 first1 inner1 deep2 late0 never0 orphan0 loop0"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	lanes := lanesOf(bars, 0)
	if lanes[0].last != 3 {
		t.Errorf("what is within outer ends in lane %d, want 3", lanes[0].last)
	}
}
