package probe

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"chaosgate/pkg/internal/testkit"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/traffic"
	"chaosgate/pkg/verdict"
)

// A service that answers most requests and lets every fourth hang until the window is over has no error in any counter by then.
func TestAServiceThatHangsToTheEndOfItsWindow(t *testing.T) {
	var asked atomic.Int64
	var hangs atomic.Bool
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if asked.Add(1)%4 == 0 && hangs.Load() {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	}))
	t.Cleanup(func() { close(release); s.Close() })
	load := plan.Traffic{Service: "a", Method: "GET", Path: "/", Rate: 300, Timeout: plan.Duration(30 * time.Second)}
	g, err := traffic.Start(t.Context(), []plan.Traffic{load}, func(string) (string, error) { return s.URL, nil })
	if err != nil {
		t.Fatal(err)
	}
	gone, give := context.WithCancel(context.Background())
	t.Cleanup(func() { g.Stop(gone) })
	t.Cleanup(give)
	scraper := metrics.NewScraper(100*time.Millisecond, nil, []metrics.Collector{g.Collector()})
	t.Cleanup(func() { scraper.Close() })
	checks := map[string]plan.Check{
		"ratio":    ratio(`chaos_requests_total{to="a",status!~"2.."}`, `chaos_requests_total{to="a"}`),
		"promql":   promql(plan.Promql{Query: `sum(increase(chaos_requests_total{to="a",status!~"2.."}[$window]))`}),
		"quantile": {Mode: plan.AtEnd, Probe: plan.Probe{Kind: "quantile", Quantile: &plan.Quantile{Q: 0.9, Of: `chaos_request_duration_seconds{to="a"}`}}},
	}
	judge := func(c plan.Check, w Window) (verdict.Judgement, float64) {
		c.Expect = []plan.Expect{{On: "value", Op: plan.Max, Limit: 0.1}}
		if c.Probe.Quantile != nil {
			c.Expect[0].Limit = 1 // second: less than a request that waits has waited, and more than a busy machine takes
		}
		o := Look(t.Context(), Deps{Source: scraper}, c, w)
		return verdict.JudgeLook(c, o), o.Events[verdict.EventsWaiting]
	}
	window := func(enough func() bool) Window {
		w := Window{Phase: journal.Method, From: time.Now()}
		_ = scraper.Flush(t.Context())
		testkit.Eventually(t, "the window is long enough", enough)
		_ = scraper.Flush(t.Context())
		w.To = time.Now()
		return w
	}
	before := asked.Load()
	calm := window(func() bool { return asked.Load() > before+400 })
	for name, c := range checks {
		if j, waiting := judge(c, calm); j.State != verdict.Pass || waiting > 0 {
			t.Errorf("%s, before: judged %v (%s), waiting %v", name, j.State, j.Reason, waiting)
		}
	}
	hangs.Store(true)
	stuck := window(func() bool { return waitingIn(g) > 100 })
	for name, c := range checks {
		if j, waiting := judge(c, stuck); j.Rule != verdict.RuleWaiting || waiting < 100 {
			t.Errorf("%s, while every fourth hangs: judged %v by %s (%s), waiting %v", name, j.State, j.Rule, j.Reason, waiting)
		}
	}
}

func waitingIn(g *traffic.Generator) float64 {
	for _, s := range g.Collect() {
		if s.Name == plan.CallersWaiting {
			return s.Value
		}
	}
	return 0
}

func TestOnlyWhatCallersCountIsWaitedFor(t *testing.T) {
	for selector, want := range map[string]string{
		`chaos_requests_total{to="a",status!~"2.."}`:      `chaos_requests_waiting{to="a"}`,
		`chaos_request_duration_seconds`:                  `chaos_requests_waiting`,
		`chaos_request_duration_seconds_bucket{le="0.1"}`: `chaos_requests_waiting`,
		`http_requests_total{to="a"}`:                     "",
		`chaos_requests_total / chaos_requests_total`:     `chaos_requests_waiting`,
		`rate(`: "",
	} {
		if got := ofCallers(selector); got != want {
			t.Errorf("%s: got %q, want %q", selector, got, want)
		}
	}
}
