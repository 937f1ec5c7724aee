package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chaosgate/pkg/internal/testkit"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

var eventually = testkit.Eventually

const timeout = plan.Duration(2 * time.Second)

func start(t *testing.T, url string, loads ...plan.Traffic) *Generator {
	t.Helper()
	g, err := Start(t.Context(), loads, func(string) (string, error) { return url, nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Stop(context.Background()) })
	return g
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// value is the sum of all series of a name whose labels include those given, as name, value pairs.
func value(g *Generator, name string, labels ...string) float64 {
	sum := 0.0
series:
	for _, s := range g.Collect() {
		if s.Name != name {
			continue
		}
		for i := 0; i < len(labels); i += 2 {
			if s.Labels[labels[i]] != labels[i+1] {
				continue series
			}
		}
		sum += s.Value
	}
	return sum
}

func TestTheRateIsKept(t *testing.T) {
	var seen atomic.Int64
	s := serve(t, func(http.ResponseWriter, *http.Request) { seen.Add(1) })
	var sum Summary
	for range 3 { // the machine may be busy with something else for a moment
		seen.Store(0)
		g := start(t, s.URL, plan.Traffic{Service: "a", Method: "GET", Path: "/work", Rate: 200, Timeout: timeout})
		time.Sleep(time.Second) // a rate is over time, so this takes some
		sum = g.Stop(t.Context())
		got := uint64(seen.Load())
		if got != sum.Sent || got != sum.Answered || sum.Failed != 0 {
			t.Fatalf("the service saw %d requests, the summary says %+v", got, sum)
		}
		if v := value(g, "chaos_requests_total", "to", "a", "path", "/work", "method", "GET", "status", "200"); v != float64(got) {
			t.Fatalf("counted %g requests of %d", v, got)
		}
		if math.Abs(sum.Rate-200) <= 10 {
			break
		}
	}
	if math.Abs(sum.Rate-200) > 10 || sum.Wanted != 200 {
		t.Errorf("sent %g requests per second, want 200 within 5%%: %+v", sum.Rate, sum)
	}
	if sum.P50 <= 0 || sum.P95 < sum.P50 || sum.P99 < sum.P95 || time.Duration(sum.P50) > time.Second {
		t.Errorf("percentiles are not of answers within a loopback: %+v", sum)
	}
}

func TestPromQLSeesWhatCallersSuffer(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	g := start(t, s.URL, plan.Traffic{Service: "a", Method: "GET", Path: "/work", Rate: 200, Timeout: timeout})
	scraper := metrics.NewScraper(time.Hour, nil, []metrics.Collector{g.Collector()})
	defer scraper.Close()
	eventually(t, "answers", func() bool { return value(g, "chaos_requests_total", "status", "200") >= 20 })
	flush := func() time.Time {
		if err := scraper.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		return time.Now()
	}
	from := time.Now()
	flush()
	s.CloseClientConnections()
	s.Close()
	eventually(t, "errors", func() bool { return value(g, "chaos_requests_total", "status", "error") >= 40 })
	to := flush()
	query := fmt.Sprintf(`sum(increase(chaos_requests_total{service="traffic",to="a",status="error"}[%dms]))`, to.Sub(from).Milliseconds()+50)
	r, err := scraper.Query(t.Context(), query, to)
	if err != nil || len(r.Series) != 1 {
		t.Fatalf("%s: %+v, %v", query, r, err)
	}
	if got := float64(r.Series[0].Points[0].V); got < 36 {
		t.Errorf("PromQL sees %g errors of at least 40", got)
	}
}

func TestLoadsAreSentSideBySide(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
	})
	g := start(t, s.URL,
		plan.Traffic{Service: "a", Method: "GET", Path: "/slow", Rate: 100, Timeout: plan.Duration(100 * time.Millisecond)},
		plan.Traffic{Service: "a", Method: "GET", Path: "/fast?n=1", Rate: 100, Timeout: timeout},
		plan.Traffic{Service: "a", Method: "GET", Path: "/fast?n=2", Rate: 100, Timeout: timeout})
	eventually(t, "both paths are counted", func() bool {
		return value(g, "chaos_requests_total", "path", "/slow", "status", "error") >= 10 && value(g, "chaos_requests_total", "path", "/fast", "status", "200") >= 40
	})
}

func TestSeriesExistBeforeTheFirstAnswer(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	g := start(t, s.URL, plan.Traffic{Service: "a", Method: "GET", Path: "/work", Rate: 1, Timeout: timeout})
	statuses := map[string]bool{}
	for _, sample := range g.Collect() {
		if sample.Name == "chaos_requests_total" {
			statuses[sample.Labels["status"]] = true
		}
		if v := sample.Value; v != 0 {
			t.Errorf("%v is born with %v", sample.Labels, v)
		}
	}
	for _, want := range []string{"200", "500", "503", "error"} {
		if !statuses[want] {
			t.Errorf("there is no series for status %s", want)
		}
	}
}

func TestTheHistogramIsCumulativeAndComplete(t *testing.T) {
	c := newCounts()
	l := plan.Traffic{Service: "a", Method: "GET", Path: "/work"}
	for _, took := range []time.Duration{500 * time.Microsecond, time.Millisecond, 30 * time.Millisecond, 12 * time.Second} {
		c.add(c.of(l), 200, took)
	}
	g := &Generator{counts: c}
	for le, want := range map[string]float64{"0.001": 2, "0.02": 2, "0.03": 3, "10": 3, "+Inf": 4} {
		if got := value(g, "chaos_request_duration_seconds_bucket", "le", le); got != want {
			t.Errorf("bucket le=%s: got %g, want %g", le, got, want)
		}
	}
	if got := value(g, "chaos_request_duration_seconds_count"); got != 4 {
		t.Errorf("count: got %g, want 4", got)
	}
	if got := value(g, "chaos_request_duration_seconds_sum"); math.Abs(got-12.0315) > 1e-9 {
		t.Errorf("sum: got %g, want 12.0315", got)
	}
}

func TestErrorsAreCountedWhenTheServiceDies(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	g := start(t, s.URL, plan.Traffic{Service: "a", Method: "GET", Path: "/work", Rate: 200, Timeout: timeout})
	eventually(t, "answers", func() bool { return value(g, "chaos_requests_total", "status", "200") >= 20 })
	if got := value(g, "chaos_requests_total", "status", "error"); got != 0 {
		t.Fatalf("%g errors before the service died", got)
	}
	s.CloseClientConnections()
	s.Close()
	eventually(t, "errors", func() bool { return value(g, "chaos_requests_total", "status", "error") >= 20 })
	if sum := g.Stop(t.Context()); sum.Failed < 20 || sum.Sent != sum.Answered+sum.Failed {
		t.Errorf("the summary does not show it: %+v", sum)
	}
}

func TestStatusesAreCountedAsTheyAre(t *testing.T) {
	var n atomic.Int64
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) % 4 {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			http.Redirect(w, &http.Request{}, "http://192.0.2.1/", http.StatusFound) // must not be followed
		case 2: // an answer that breaks off is none
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("short"))
		}
	})
	g := start(t, s.URL, plan.Traffic{Service: "a", Method: "GET", Path: "/work", Rate: 200, Timeout: timeout})
	eventually(t, "all four statuses", func() bool {
		for _, status := range []string{"200", "302", "503", "error"} {
			if value(g, "chaos_requests_total", "status", status) < 3 {
				return false
			}
		}
		return true
	})
}

func TestMethodHeadersAndBodyAreSentAndNothingElse(t *testing.T) {
	type request struct {
		method, url, body, host string
		header                  http.Header
	}
	seen := make(chan request, 1000)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- request{r.Method, r.URL.String(), string(body), r.Host, r.Header.Clone()}
	})
	g := start(t, s.URL, plan.Traffic{
		Service: "a", Method: "POST", Path: "/orders?dry=1", Rate: 50, Timeout: timeout,
		Headers: map[string]string{"content-type": "application/json", "X-Tenant": "t1", "Host": "shop.test"}, Body: `{"n":1}`,
	})
	r := <-seen
	g.Stop(t.Context())
	if r.method != "POST" || r.url != "/orders?dry=1" || r.body != `{"n":1}` || r.host != "shop.test" {
		t.Errorf("got %+v", r)
	}
	if r.header.Get("Content-Type") != "application/json" || r.header.Get("X-Tenant") != "t1" {
		t.Errorf("got headers %v", r.header)
	}
	for name := range r.header {
		if strings.HasPrefix(name, "X-Vegeta") {
			t.Errorf("header %s was never asked for", name)
		}
	}
}

// hang accepts connections and never answers.
func hang(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			c.Close()
		}
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestStopWaitsNoLongerThanTheTimeout(t *testing.T) {
	g := start(t, hang(t), plan.Traffic{Service: "a", Method: "GET", Path: "/", Rate: 100, Timeout: plan.Duration(300 * time.Millisecond)})
	eventually(t, "timeouts", func() bool { return value(g, "chaos_requests_total", "status", "error") >= 5 })
	begun := time.Now()
	sum := g.Stop(t.Context())
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("stopping took %v with a timeout of 300ms", took)
	}
	if sum.Cancelled != 0 || sum.Failed != sum.Sent {
		t.Errorf("every request timed out, but the summary says %+v", sum)
	}
	if sum.P50 < plan.Duration(250*time.Millisecond) {
		t.Errorf("callers waited 300ms, but the median is %v", time.Duration(sum.P50))
	}
}

func TestStopGivesUpWhenItsContextEnds(t *testing.T) {
	g := start(t, hang(t), plan.Traffic{Service: "a", Method: "GET", Path: "/", Rate: 100, Timeout: plan.Duration(time.Minute)})
	eventually(t, "requests in flight", func() bool { return g.counts.flying() >= 5 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begun := time.Now()
	sum := g.Stop(ctx)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("giving up took %v", took)
	}
	if sum.Cancelled < 5 || sum.Cancelled != sum.Sent || value(g, "chaos_requests_total") != 0 {
		t.Errorf("requests that we gave up say nothing about the service, but the summary says %+v", sum)
	}
	if again := g.Stop(t.Context()); again != sum {
		t.Errorf("stopped again: %+v, before: %+v", again, sum)
	}
}

func TestTheEndOfTheContextEndsTheTraffic(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url := hang(t)
	g, err := Start(ctx, []plan.Traffic{{Service: "a", Method: "GET", Path: "/", Rate: 100, Timeout: plan.Duration(time.Minute)}},
		func(string) (string, error) { return url, nil })
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "requests in flight", func() bool { return g.counts.flying() >= 5 })
	cancel()
	eventually(t, "nothing in flight", func() bool { return g.counts.flying() == 0 })
	if sum := g.Stop(t.Context()); sum.Cancelled == 0 || sum.Failed != 0 {
		t.Errorf("got %+v", sum)
	}
}

func TestASlowRateDoesNotHoldUpTheStop(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	g := start(t, s.URL, plan.Traffic{Service: "a", Method: "GET", Path: "/", Rate: 0.1, Timeout: timeout})
	eventually(t, "the first request at once", func() bool { return value(g, "chaos_requests_total", "status", "200") == 1 })
	begun := time.Now()
	if sum := g.Stop(t.Context()); sum.Sent != 1 || sum.Problem() != "" {
		t.Errorf("got %+v", sum)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	before := runtime.NumGoroutine()
	for range 3 {
		g := start(t, s.URL, plan.Traffic{Service: "a", Method: "GET", Path: "/", Rate: 500, Timeout: timeout})
		eventually(t, "answers", func() bool { return value(g, "chaos_requests_total", "status", "200") >= 20 })
		g.Stop(t.Context())
	}
	s.CloseClientConnections()
	eventually(t, "no goroutine more than before", func() bool { return runtime.NumGoroutine() <= before })
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	url := func(string) (string, error) { return "http://127.0.0.1:1", nil }
	good := plan.Traffic{Service: "service-a", Method: "GET", Path: "/", Rate: 1, Timeout: timeout}
	for name, c := range map[string]struct {
		change func(*plan.Traffic)
		urlOf  func(string) (string, error)
		want   string
	}{
		"unknown service": {func(*plan.Traffic) {}, func(s string) (string, error) { return "", errors.New("no service " + s) }, "traffic to service-a: no service service-a"},
		"no rate":         {func(l *plan.Traffic) { l.Rate = 0 }, url, "must be above 0"},
		"rate NaN":        {func(l *plan.Traffic) { l.Rate = math.NaN() }, url, "must be above 0"},
		"no timeout":      {func(l *plan.Traffic) { l.Timeout = 0 }, url, "must be above 0"},
		"another host":    {func(l *plan.Traffic) { l.Path = "@elsewhere.test/" }, url, "does not begin with /"},
		"header":          {func(l *plan.Traffic) { l.Headers = map[string]string{"a": "b\n"} }, url, "not a valid header"},
	} {
		l := good
		c.change(&l)
		_, err := Start(t.Context(), []plan.Traffic{good, l}[1:], c.urlOf)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestWorkers(t *testing.T) {
	for rate, want := range map[float64]uint64{0.1: 11, 50: 110, 5000: 2000} {
		if got := workers(plan.Traffic{Rate: rate, Timeout: target.Duration(2 * time.Second)}); got != want {
			t.Errorf("rate %g: got %d workers, want %d", rate, got, want)
		}
	}
}

// What is usual for a slow service is not waited for too long; what takes longer than ever is.
func TestRequestsThatHangAreCounted(t *testing.T) {
	c := newCounts()
	n := c.of(plan.Traffic{Service: "a", Path: "/"})
	now := time.Now()
	n.underWay.sent = map[uint64]time.Time{1: now.Add(-time.Second / 2), 2: now.Add(-1500 * time.Millisecond), 3: now.Add(-3 * time.Second)}
	if got := n.underWay.hung(now); got != 2 {
		t.Errorf("%g requests hang, want the two that are older than a second", got)
	}
	c.add(n, 0, 10*time.Second) // given up: no answer
	c.add(n, 200, 2*time.Second)
	if got := n.underWay.hung(now); got != 1 {
		t.Errorf("%g requests hang, want the one that is older than the slowest answer", got)
	}

	g := start(t, hang(t), plan.Traffic{Service: "a", Method: "GET", Path: "/", Rate: 50, Timeout: plan.Duration(3 * time.Second)})
	eventually(t, "requests hang", func() bool { return value(g, "chaos_requests_waiting", "to", "a", "path", "/", "method", "GET") >= 20 })
	for _, s := range g.Collect() {
		if s.Name == "chaos_requests_waiting" && s.Counter {
			t.Error("what waits is told as a counter")
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	g.Stop(ended)
	if v := value(g, "chaos_requests_waiting"); v != 0 {
		t.Errorf("%g requests hang after the end", v)
	}
}

// flying is how many requests are under way, all loads together.
func (c *counts) flying() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, to := range c.byKey {
		n += len(to.underWay.sent)
	}
	return n
}
