package metrics

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// FuzzExposition stores what any target may answer, twice. One that is refused leaves nothing behind; what is taken has names and keeps the limits; and each series has
// one sample of each scrape, in the order of time, however often the exposition names it.
func FuzzExposition(f *testing.F) {
	for _, body := range []string{
		"# TYPE a counter\na_total 1\n", "a{b=\"c\"} 2 1700000000000\na{b=\"c\"} 3\n", "a NaN\nb +Inf\nc -0\n", "a{b=\"x\",b=\"y\"} 1\n", "a{__name__=\"b\"} 1\n", "{\"a.b\"} 1\n",
		"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n# EOF\n", "a{service=\"other\",instance=\"\"} 1\n", "a 1e400\n", "a{b=\"\\\n", "a{b=\"\xff\"} 1\n",
		"up 0\nscrape_duration_seconds 5\n", "a 1 # {trace_id=\"x\"} 1\n# EOF\n", "\x00", "\x0a\x05hello",
	} {
		for _, contentType := range []string{"text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0", "", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"} {
			f.Add(body, contentType)
		}
	}
	f.Fuzz(func(t *testing.T, body, contentType string) {
		readings, err := parse([]byte(body), contentType)
		if err != nil {
			return
		}
		if len(readings) == 0 || len(readings) > maxSeries {
			t.Fatalf("%d series were taken", len(readings))
		}
		m := newMemory(time.Second)
		feed := newFeed(m, map[string]string{"service": "s", "instance": "s-1"}, nil)
		for at := range int64(2) {
			feed.store(1000*(at+1), readings, true, time.Millisecond)
		}
		for _, same := range m.series {
			for _, s := range same {
				checkStored(t, s)
			}
		}
	})
}

func checkStored(t *testing.T, s *stored) {
	if s.labels.Get(model.MetricNameLabel) == "" || s.labels.Get("service") != "s" || s.labels.Get("instance") != "s-1" {
		t.Errorf("a series with the labels %v", s.labels)
	}
	if name, doubled := s.labels.HasDuplicateLabelNames(); doubled {
		t.Errorf("the label %s stands twice in %v", name, s.labels)
	}
	if len(s.samples) != 2 || s.samples[0].t >= s.samples[1].t {
		t.Errorf("%v has the samples %v of two scrapes", s.labels, s.samples)
	}
}

// FuzzExpr parses anything as PromQL. An error stands inside of the expression; an expression that parses with its variables filled in has none left; and the selectors of
// an expression are expressions.
func FuzzExpr(f *testing.F) {
	for _, query := range []string{"sum(rate(a{b=\"c\"}[$window]))", "rate(a[$interval])", "a[$windowx]", "a{b=\"$window\"}", "sum(", "a !", "日", "", "a offset -1w", "{__name__=~\"a|b\"}", "1 + 2", "a @ end()", "$window$interval", "$$window"} {
		f.Add(query, int64(3*time.Second))
	}
	f.Fuzz(func(t *testing.T, query string, window int64) {
		rendered := Render(query, time.Duration(window), 250*time.Millisecond)
		if strings.Contains(rendered, WindowVariable) && !strings.Contains(query, "$$") {
			t.Errorf("%q is rendered as %q", query, rendered)
		}
		_, err := Parse(rendered)
		var where *ParseError
		if err != nil && (!errors.As(err, &where) || where.Start < 0 || where.Start > len(rendered) || where.End > len(rendered)+1 || where.Message == "") {
			t.Errorf("%q: the error %+v is not inside of it", rendered, err)
		}
		selectors, failed := Selectors(rendered)
		if (failed == nil) != (err == nil) {
			t.Errorf("%q parses with %v and has selectors with %v", rendered, err, failed)
		}
		for _, s := range selectors {
			if s.Name == "" {
				continue
			}
			if _, err := plainSelector(s.Text); err != nil {
				t.Errorf("%q has the selector %q, which is none: %v", rendered, s.Text, err)
			}
		}
	})
}
