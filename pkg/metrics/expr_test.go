package metrics

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func TestExpansions(t *testing.T) {
	r, err := Ratio(`req_total{status=~"5.."}`, "req_total", 2500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	want := `(sum(increase(req_total{status=~"5.."}[2500ms])) or sum(increase(req_total[2500ms])) * 0) / sum(increase(req_total[2500ms]))`
	if r.Value != want {
		t.Errorf("ratio:\n%s, want\n%s", r.Value, want)
	}
	q, err := Quantile(0.99, `lat_seconds{service="a"}`, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if want := `histogram_quantile(0.99, sum by (le) (increase(lat_seconds_bucket{service="a"}[1000ms])))`; q.Value != want {
		t.Errorf("quantile:\n%s, want\n%s", q.Value, want)
	}
	for _, expr := range []string{r.Value, r.Part, r.Total, q.Value, q.Count, q.Buckets} {
		if _, err := Parse(expr); err != nil {
			t.Errorf("%s does not parse: %v", expr, err)
		}
	}
}

func TestOnlyPlainSelectorsAreExpanded(t *testing.T) {
	for _, bad := range []string{"rate(x[1m])", "x[1m]", "x offset 1m", "x @ 1", "x + y", `{a="b"}`, "x{", ""} {
		if _, err := Ratio(bad, "x", time.Second); err == nil {
			t.Errorf("%q was taken as part of a ratio", bad)
		}
		if _, err := Quantile(0.5, bad, time.Second); err == nil {
			t.Errorf("%q was taken as a histogram", bad)
		}
	}
	for _, q := range []float64{0, 1, -1, 99} {
		if _, err := Quantile(q, "x", time.Second); err == nil {
			t.Errorf("the %v-quantile was taken", q)
		}
	}
}

func TestParseErrorsHaveAPlace(t *testing.T) {
	text := `sum(rate(x[5s]) by (a)`
	_, err := Parse(text)
	var where *ParseError
	if !errors.As(err, &where) || where.Start < 0 || where.Start > len(text) || where.Message == "" {
		t.Errorf("got %#v", err)
	}
}

func TestSelectorsOfAnExpression(t *testing.T) {
	all, err := Selectors(`sum(rate(a{x="1"}[5s])) / sum(rate(b[5s])) + sum(rate(a{x="1"}[1m]))`)
	if err != nil || len(all) != 2 || all[0].Text != `a{x="1"}` || all[1].Name != "b" {
		t.Errorf("got %+v, %v", all, err)
	}
}

func TestRender(t *testing.T) {
	if got := Render("rate(x[$window]) + rate(y[$interval])", 1500*time.Millisecond, 250*time.Millisecond); got != "rate(x[1500ms]) + rate(y[250ms])" {
		t.Error(got)
	}
}

// Trap: `or vector(0)` hides a typo for ever. A typo is told from "none of these yet".
func TestAbsent(t *testing.T) {
	e := newExporter(t, fmt.Sprintf(errorsBorn, 10))
	s := still(t, time.Second, target(e, "a"))
	from := time.Now()
	to := flush(t, s)
	for selector, want := range map[string]string{
		`http_requests_total{status=~"5.."}`:   "",
		`http_requests_total{status!="200"}`:   "",
		`htp_requests_total{status=~"5.."}`:    "no series is named htp_requests_total",
		`http_requests_total{statuss=~"5.."}`:  "has a label statuss",
		`http_requests_total{code!~"5.."}`:     "",
		`http_requests_total{service="other"}`: "",
	} {
		got, err := Absent(t.Context(), s, selector, from, to)
		if err != nil || got == "" != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, %v; want %q", selector, got, err, want)
		}
	}
}

// Trap: histogram_quantile answers the last finite bound when every request took longer.
func TestTheLastBucketIsNoticed(t *testing.T) {
	histogram := func(fast, all int) string {
		return fmt.Sprintf("# TYPE lat_seconds histogram\nlat_seconds_bucket{le=\"1\"} 0\nlat_seconds_bucket{le=\"2.5\"} %d\nlat_seconds_bucket{le=\"+Inf\"} %d\nlat_seconds_sum 1\nlat_seconds_count %d\n", fast, all, all)
	}
	for name, c := range map[string]struct {
		fast, all int
		beyond    bool
	}{"all slow": {0, 100, true}, "nearly all fast": {99, 100, false}, "one too many": {98, 100, true}, "all fast": {100, 100, false}, "none": {0, 0, false}} {
		e := newExporter(t, histogram(0, 0))
		s := still(t, time.Second, target(e, "a"))
		from := flush(t, s)
		e.say(histogram(c.fast, c.all))
		time.Sleep(2 * time.Millisecond)
		to := flush(t, s)
		q, err := Quantile(0.99, "lat_seconds", Window(from, to))
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Query(t.Context(), q.Buckets, to)
		if err != nil {
			t.Fatal(err)
		}
		if bound, beyond := LastBound(0.99, r.Series); bound != 2.5 || beyond != c.beyond {
			t.Errorf("%s: last bound %v, beyond %v; want 2.5, %v", name, bound, beyond, c.beyond)
		}
	}
}

func TestFloatsSurviveJSON(t *testing.T) {
	for _, v := range []float64{1.5, 0, math.NaN(), math.Inf(1), math.Inf(-1)} {
		text, err := json.Marshal(Point{T: 1, V: Float(v)})
		var back Point
		if err2 := json.Unmarshal(text, &back); err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if got := float64(back.V); got != v && !(math.IsNaN(got) && math.IsNaN(v)) {
			t.Errorf("%v became %s became %v", v, text, got)
		}
	}
	var f Float
	if json.Unmarshal([]byte(`"much"`), &f) == nil || json.Unmarshal([]byte(`{}`), &f) == nil {
		t.Error("nonsense was taken for a number")
	}
}

func BenchmarkQuery(b *testing.B) {
	m := newMemory(time.Second)
	e := newEmbedded(m, 250*time.Millisecond)
	f := newFeed(m, map[string]string{"service": "a"}, nil)
	now := time.Now()
	for i := range 400 {
		readings, err := parse([]byte(fmt.Sprintf(errorsBorn, i)+fmt.Sprintf("http_requests_total{status=\"500\"} %d\n", i/10)), "text/plain")
		if err != nil {
			b.Fatal(err)
		}
		f.store(now.Add(time.Duration(i)*250*time.Millisecond).UnixMilli(), readings, true, 0)
	}
	r, err := Ratio(`http_requests_total{status=~"5.."}`, "http_requests_total", 20*time.Second)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := e.Query(b.Context(), r.Value, now.Add(100*time.Second)); err != nil {
			b.Fatal(err)
		}
	}
}
