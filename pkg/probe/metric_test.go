package probe

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/verdict"
)

// service is something that is scraped for real; what it exports is set by the test.
type service struct {
	t       *testing.T
	exports atomic.Value
	scraper *metrics.Scraper
}

// watch starts to scrape a service. Scrapes are made when the test asks for them, and not in between.
func watch(t *testing.T) *service {
	t.Helper()
	s := &service{t: t}
	s.exports.Store("")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = fmt.Fprint(w, s.exports.Load())
	}))
	t.Cleanup(server.Close)
	s.scraper = metrics.NewScraper(time.Hour, []metrics.Target{{URL: server.URL, Labels: map[string]string{"service": "service-a", "instance": "service-a-1"}}}, nil)
	t.Cleanup(func() { s.scraper.Close() })
	return s
}

// export lets some time pass, exports and scrapes. It answers the times before and after the scrape.
func (s *service) export(text string) (before, after time.Time) {
	s.t.Helper()
	time.Sleep(50 * time.Millisecond) // samples need to be apart
	s.exports.Store(text)
	before = time.Now()
	if err := s.scraper.Flush(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); s.scraper.AlignEnd(time.Now()).Before(before.Truncate(time.Millisecond)); time.Sleep(time.Millisecond) {
		if time.Now().After(end) { // a flush does not wait for ever
			s.t.Fatal("the service was not scraped")
		}
	}
	return before, time.Now()
}

// window exports one text after the other and answers the stretch from the first scrape to the last.
func (s *service) window(texts ...string) Window {
	s.t.Helper()
	w := Window{Phase: journal.Method}
	for i, text := range texts {
		_, after := s.export(text)
		if i == 0 {
			w.From = s.scraper.AlignStart(after) // when the first scrape was: before that nothing is to be extrapolated
		}
		w.To = after.Truncate(time.Millisecond)
	}
	return w
}

func (s *service) look(c plan.Check, w Window) journal.Observation {
	s.t.Helper()
	o := Look(s.t.Context(), Deps{Source: s.scraper}, c, w)
	if o.Error != "" {
		s.t.Errorf("%+v: %s", c.Probe, o.Error)
	}
	return o
}

func requests(ok, failed int) string {
	return fmt.Sprintf("# TYPE http_requests_total counter\nhttp_requests_total{status=\"200\"} %d\nhttp_requests_total{status=\"500\"} %d\n", ok, failed)
}

func promql(p plan.Promql) plan.Check { return check("promql", plan.Probe{Promql: &p}) }

func ratio(part, total string) plan.Check {
	return check("ratio", plan.Probe{Ratio: &plan.Ratio{Part: part, Total: total}})
}

func near(got, want float64) bool { return math.Abs(got-want) <= 0.1*math.Abs(want)+1e-9 }

func single(t *testing.T, series []metrics.Series) float64 {
	t.Helper()
	if len(series) != 1 || len(series[0].Points) != 1 {
		t.Fatalf("got %+v, want one series with one point", series)
	}
	return float64(series[0].Points[0].V)
}

func TestPromqlLooksOverTheWholeWindow(t *testing.T) {
	s := watch(t)
	w := s.window(requests(100, 0), requests(150, 0), requests(200, 0))
	s.export(requests(1000, 0)) // after the window
	o := s.look(promql(plan.Promql{Query: `sum(increase(http_requests_total[$window]))`}), w)
	if v := single(t, o.Series); !near(v, 100) {
		t.Errorf("got %g requests, want 100: both boundary scrapes and none after them", v)
	}
	want := fmt.Sprintf("sum(increase(http_requests_total[%dms]))", o.At.Sub(o.From).Milliseconds()+1)
	if o.Query != want || !o.From.Equal(w.From) || o.At.After(w.To) || o.Phase != journal.Method || o.Source != "embedded" {
		t.Errorf("got query %q from %v to %v in %q by %q", o.Query, o.From, o.At, o.Phase, o.Source)
	}
	if o.Missing != "" || len(o.Warnings) > 0 {
		t.Errorf("got missing %q and warnings %v", o.Missing, o.Warnings)
	}
}

func TestAWindowOfItsOwnIsTheLastOfThePhase(t *testing.T) {
	s := watch(t)
	w := s.window(requests(0, 0), requests(500, 0), requests(600, 0))
	w.BaselineFrom, w.BaselineTo = w.From, w.To
	c := promql(plan.Promql{Query: `sum(increase(http_requests_total[$window]))`})
	c.Window, c.Baseline = plan.Duration(20*time.Millisecond), true
	o := s.look(c, w)
	if v := single(t, o.Series); !near(v, 100) {
		t.Errorf("got %g requests from %v to %v, want 100: the window begins with the scrape before it, and the 500 before that are outside", v, o.From, o.At)
	}
	if o.From.Before(w.From) || o.At.After(w.To) || o.At.Sub(o.From) < 20*time.Millisecond {
		t.Errorf("the window from %v to %v is not in the phase from %v to %v", o.From, o.At, w.From, w.To)
	}
	if before := single(t, o.Baseline); before != single(t, o.Series) {
		t.Errorf("the baseline over the same time is %g, not the same", before)
	}
	c.Window = plan.Duration(time.Hour)
	if o := s.look(c, w); !o.From.Equal(w.From) {
		t.Errorf("a window never reaches outside its phase, but this one starts at %v, before %v", o.From, w.From)
	}
}

func TestBothBoundaryScrapesAreInside(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	for name, c := range map[string]struct{ from, to time.Duration }{
		"on the millisecond":  {0, 100 * time.Millisecond},
		"late begin":          {900 * time.Microsecond, 100 * time.Millisecond},
		"late end":            {0, 100*time.Millisecond + 900*time.Microsecond},
		"the scrape is later": {100 * time.Microsecond, 100*time.Millisecond + 100*time.Microsecond},
	} {
		s := stretchOf(silent{}, at.Add(c.from), at.Add(c.to), 0)
		first := at.Add(c.from).UnixMilli() // the earliest time of a scrape that is begun then
		if begins := s.to.UnixMilli() - s.window().Milliseconds(); begins >= first {
			t.Errorf("%s: the range is open at %d, so the scrape at %d is outside", name, begins, first)
		}
		if s.to.UnixMilli() < at.Add(c.to).UnixMilli() {
			t.Errorf("%s: it ends before the last scrape", name)
		}
	}
}

// Rule 13: what is compared are samples of both sides that share no scrape.
func TestSamplesDoNotOverlap(t *testing.T) {
	s := watch(t)
	texts := []string{requests(0, 0)}
	for i := range 8 {
		texts = append(texts, requests(100*(i+1), 0))
	}
	steady := s.window(texts...)
	for i := range texts {
		texts[i] = requests(800+200*i, 0)
	}
	w := s.window(texts...)
	w.BaselineFrom, w.BaselineTo = steady.From, steady.To
	c := promql(plan.Promql{Query: `sum(increase(http_requests_total[$window]))`})
	c.Baseline, c.Sample = true, plan.Duration(110*time.Millisecond)
	o := s.look(c, w)
	for name, side := range map[string]struct {
		samples []float64
		from    time.Time
		to      time.Time
		total   float64
	}{"the window": {o.Samples, o.From, o.At, 1600}, "the baseline": {o.BaselineSamples, steady.From, steady.To, 800}} {
		most := int(side.to.Sub(side.from) / (110 * time.Millisecond))
		sum := 0.0
		for _, v := range side.samples {
			sum += v
		}
		if len(side.samples) < 2 || len(side.samples) > most {
			t.Errorf("%d samples of %s, want 2 to %d", len(side.samples), name, most)
		}
		if name == "the window" && o.Events["samples_asked"] != float64(most) {
			t.Errorf("%v stretches of %s were asked for a sample, want %d", o.Events["samples_asked"], name, most)
		}
		if sum > 1.3*side.total {
			t.Errorf("the samples of %s sum up to %g, more than the %g that happened: they overlap", name, sum, side.total)
		}
	}
}

func TestTheBaselineIsTheSameQueryOverTheSteadyState(t *testing.T) {
	s := watch(t)
	steady := s.window(requests(0, 0), requests(10, 0))
	w := s.window(requests(20, 0), requests(220, 0))
	w.BaselineFrom, w.BaselineTo = steady.From, steady.To
	c := promql(plan.Promql{Query: `sum(increase(http_requests_total[$window]))`})
	if o := s.look(c, w); o.Baseline != nil {
		t.Errorf("nobody asked for a baseline, but there is %v", o.Baseline)
	}
	c.Baseline = true
	o := s.look(c, w)
	if now, before := single(t, o.Series), single(t, o.Baseline); !near(now, 200) || !near(before, 10) {
		t.Errorf("got %g after %g, want 200 after 10", now, before)
	}
}

func TestPromqlSaysWhatIsMissing(t *testing.T) {
	s := watch(t)
	w := s.window(requests(0, 0), requests(10, 0))
	for query, want := range map[string]string{
		`sum(rate(http_requests_total[$window]))`:                                          "",
		`sum(rate(htp_requests_total[$window]))`:                                           "no series is named htp_requests_total in the window",
		`sum(rate(htp_requests_total[$window])) or vector(0)`:                              "no series is named htp_requests_total in the window",
		`sum(rate(http_requests_total{stats="500"}[$window])) or vector(0)`:                "no series of http_requests_total has a label stats in the window",
		`sum(rate(http_requests_total{status="418"}[$window])) or vector(0)`:               "", // the label is there: nobody is a teapot
		`sum(rate(http_requests_total{status="418"}[$window]))`:                            "the query answered no series",
		`http_requests_total > 99`:                                                         "the query answered no series",
		`absent(service_panics_total)`:                                                     "",
		`absent(service_panics_total) + sum(htp_requests_total)`:                           "no series is named htp_requests_total in the window",
		`absent_over_time(service_panics_total{a="b"}[$window])`:                           "",
		`sum(rate(http_requests_total[$window])) unless sum(rate(nothing_total[$window]))`: "no series is named nothing_total in the window",
		`vector(1)`: "",
	} {
		if o := s.look(promql(plan.Promql{Query: query, NoData: "inconclusive"}), w); o.Missing != want {
			t.Errorf("%s: got missing %q, want %q", query, o.Missing, want)
		}
	}
}

func TestNoDataIsZeroOnlyWithPresence(t *testing.T) {
	s := watch(t)
	w := s.window(requests(0, 0), requests(10, 0))
	for _, c := range []struct {
		query, presence string
		found           float64
		missing         string
		state           verdict.State
	}{
		{`sum(service_errors_total)`, `http_requests_total`, 2, "no series is named service_errors_total in the window", verdict.Pass},
		{`sum(service_errors_total)`, `http_requests_total{status="200"}`, 1, "no series is named service_errors_total in the window", verdict.Pass},
		{`sum(service_errors_total)`, `htp_requests_total`, 0, "no series is named service_errors_total in the window", verdict.Inconclusive},
		{`sum(http_requests_total) + (sum(service_errors_total) or vector(0))`, `http_requests_total`, 2, "", verdict.Fail}, // 10, not 0
	} {
		check := promql(plan.Promql{Query: c.query, NoData: "zero", Presence: c.presence})
		check.Expect = []plan.Expect{{On: "value", Op: plan.Max, Limit: 5}}
		o := s.look(check, w)
		if o.Events["presence"] != c.found || o.Missing != c.missing {
			t.Errorf("%s with %s: got presence %v and missing %q", c.query, c.presence, o.Events["presence"], o.Missing)
		}
		if j := verdict.JudgeLook(check, o); j.State != c.state {
			t.Errorf("%s with %s: judged %v (%s), want %v", c.query, c.presence, j.State, j.Reason, c.state)
		}
	}
}

func TestRatioCountsItsEvents(t *testing.T) {
	s := watch(t)
	w := s.window(requests(0, 0), requests(450, 50))
	idle := s.window(requests(450, 50), requests(450, 50))
	for _, c := range []struct {
		part, total string
		w           Window
		events      map[string]float64
		missing     string
	}{
		{`http_requests_total{status=~"5.."}`, `http_requests_total`, w, map[string]float64{"part": 50, "total": 500}, ""},
		{`http_requests_total{status="418"}`, `http_requests_total`, w, map[string]float64{"part": 0, "total": 500}, ""},
		{`http_requests_total{status=~"5.."}`, `http_requests_total`, idle, map[string]float64{"part": 0, "total": 0}, ""},
		{`http_requests_total{stats="500"}`, `http_requests_total`, w, map[string]float64{"part": 0, "total": 500}, "no series of http_requests_total has a label stats in the window"},
		{`http_errors_total`, `http_requests_total`, w, map[string]float64{"part": 0, "total": 500}, "no series is named http_errors_total in the window"},
		{`http_requests_total`, `htp_requests_total`, w, map[string]float64{}, "no series is named htp_requests_total in the window"},
		{`http_requests_total`, `http_requests_total{status="418"}`, w, map[string]float64{}, `nothing is selected by http_requests_total{status="418"}`},
	} {
		o := s.look(ratio(c.part, c.total), c.w)
		for _, event := range []string{"part", "total"} {
			got, found := o.Events[event]
			want, wanted := c.events[event]
			if found && wanted && !near(got, want) || wanted && !found {
				t.Errorf("%s of %s: got %s %g, want %g", c.part, c.total, event, got, want)
			}
		}
		if o.Missing != c.missing {
			t.Errorf("%s of %s: got missing %q, want %q", c.part, c.total, o.Missing, c.missing)
		}
		if _, answered := c.events["total"]; answered && c.events["total"] > 0 {
			if v := single(t, o.Series); !near(v, c.events["part"]/c.events["total"]) {
				t.Errorf("%s of %s: the ratio is %g", c.part, c.total, v)
			}
		}
	}
}

func durations(fast, slow, slower int) string {
	return fmt.Sprintf(`# TYPE d_seconds histogram
d_seconds_bucket{le="0.1"} %d
d_seconds_bucket{le="1"} %d
d_seconds_bucket{le="+Inf"} %d
d_seconds_sum 1
d_seconds_count %d
`, fast, fast+slow, fast+slow+slower, fast+slow+slower)
}

func TestQuantileCountsItsObservations(t *testing.T) {
	s := watch(t)
	fast := s.window(durations(0, 0, 0), durations(900, 100, 0))
	slower := s.window(durations(900, 100, 0), durations(900, 100, 100))
	for _, c := range []struct {
		of            string
		q             float64
		w             Window
		value, count  float64
		last, missing string
	}{
		{"d_seconds", 0.5, fast, 0.0556, 1000, "no", ""},
		{"d_seconds", 0.95, fast, 0.55, 1000, "no", ""},
		{"d_seconds", 0.95, slower, 1, 100, "yes", ""},
		{"e_seconds", 0.95, fast, 0, 0, "no", "no series is named e_seconds_bucket in the window"},
		{`d_seconds{path="/"}`, 0.95, fast, 0, 0, "no", "no series of d_seconds_bucket has a label path in the window"},
		{`d_seconds{service="service-z"}`, 0.95, fast, 0, 0, "no", `nothing is selected by d_seconds{service="service-z"}`},
	} {
		o := s.look(check("quantile", plan.Probe{Quantile: &plan.Quantile{Q: c.q, Of: c.of}}), c.w)
		if o.Missing != c.missing || !near(o.Events["count"], c.count) || o.Events["in_last_bucket"] != map[string]float64{"yes": 1}[c.last] {
			t.Errorf("%g of %s: got missing %q and events %v", c.q, c.of, o.Missing, o.Events)
		}
		if c.missing != "" {
			continue
		}
		if v := single(t, o.Series); !near(v, c.value) || o.Events["last_bound"] != 1 {
			t.Errorf("%g of %s: got %g, want %g; last bound %g", c.q, c.of, v, c.value, o.Events["last_bound"])
		}
	}
}

func TestAQueryThatCannotBeAskedIsOurError(t *testing.T) {
	s := watch(t)
	w := s.window(requests(0, 0), requests(1, 0))
	for _, c := range []plan.Check{
		promql(plan.Promql{Query: "sum(rate(x[$window])"}),
		promql(plan.Promql{Query: "http_requests_total[$window] + 1"}),
		ratio("sum(x)", "x"),
		check("quantile", plan.Probe{Quantile: &plan.Quantile{Q: 1.5, Of: "x"}}),
	} {
		if o := Look(t.Context(), Deps{Source: s.scraper}, c, w); o.Error == "" || len(o.Series) > 0 {
			t.Errorf("%+v: got error %q and series %v", c.Probe, o.Error, o.Series)
		}
	}
}

// silent is a source that never answers.
type silent struct{ metrics.Source }

func (silent) Describe() string { return "silent" }

func (silent) Query(ctx context.Context, _ string, _ time.Time) (metrics.Result, error) {
	<-ctx.Done()
	return metrics.Result{}, ctx.Err()
}

func (silent) QueryRange(ctx context.Context, _ string, _, _ time.Time, _ time.Duration) (metrics.Result, error) {
	<-ctx.Done()
	return metrics.Result{}, ctx.Err()
}

func TestASilentSourceIsOurError(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	o := Look(ctx, Deps{Source: silent{}}, promql(plan.Promql{Query: "up"}), Window{From: time.Now().Add(-time.Second), To: time.Now()})
	if !strings.Contains(o.Error, "no answer within ") || o.Missing != "" {
		t.Errorf("got error %q and missing %q", o.Error, o.Missing)
	}
}

func TestEventsAreNamedAsTheVerdictReadsThem(t *testing.T) {
	for ours, theirs := range map[string]string{
		eventsPart: verdict.EventsPart, eventsTotal: verdict.EventsTotal, eventsCount: verdict.EventsCount,
		eventsLast: verdict.EventsLast, eventsBound: verdict.EventsBound, eventsPresence: verdict.EventsPresence,
		eventsWaiting: verdict.EventsWaiting, eventsSlowest: verdict.EventsSlowest, eventsAsked: verdict.EventsAsked, eventsBaselineAsked: verdict.EventsBaselineAsked,
	} {
		if ours != theirs {
			t.Errorf("we write %q, the verdict reads %q", ours, theirs)
		}
	}
}

// warning is a source that answers and warns.
type warning struct{ metrics.Source }

func (w warning) Query(ctx context.Context, query string, at time.Time) (metrics.Result, error) {
	r, err := w.Source.Query(ctx, query, at)
	r.Warnings = append(r.Warnings, "one of two stores did not answer")
	return r, err
}

func TestWarningsOfTheSourceAreEvidence(t *testing.T) {
	s := watch(t)
	w := s.window(requests(0, 0), requests(450, 50))
	c := ratio(`http_requests_total{status="500"}`, "http_requests_total")
	c.Expect = []plan.Expect{{On: "value", Op: plan.Max, Limit: 0.5}}
	o := Look(t.Context(), Deps{Source: warning{s.scraper}}, c, w)
	if len(o.Warnings) != 1 || o.Warnings[0] != "one of two stores did not answer" {
		t.Errorf("got warnings %q, want the one, once", o.Warnings)
	}
	if j := verdict.JudgeLook(c, s.look(c, w)); j.State != verdict.Pass {
		t.Errorf("without the warning: %v (%s)", j.State, j.Reason)
	}
	if j := verdict.JudgeLook(c, o); j.State != verdict.Inconclusive {
		t.Errorf("an answer that is incomplete shows nothing, but was judged %v (%s)", j.State, j.Reason)
	}
}
