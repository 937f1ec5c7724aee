package metrics

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// exporter is a real HTTP server whose exposition the test changes; an empty one answers 500.
type exporter struct {
	*httptest.Server
	text atomic.Pointer[string]
}

func newExporter(t *testing.T, text string) *exporter {
	e := &exporter{}
	e.say(text)
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if *e.text.Load() == "" {
			http.Error(w, "down", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, *e.text.Load())
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *exporter) say(text string) { e.text.Store(&text) }

// still is a scraper that scrapes when told to: its interval is longer than any test.
func still(t *testing.T, interval time.Duration, targets ...Target) *Scraper {
	s := NewScraper(interval, targets, nil)
	s.stop()
	s.ended.Wait()
	t.Cleanup(func() { s.Close() })
	return s
}

func target(e *exporter, name string) Target {
	return Target{URL: e.URL, Labels: map[string]string{"service": name, "instance": name + "-1"}}
}

func flush(t *testing.T, s *Scraper) time.Time {
	t.Helper()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s.AlignEnd(time.Now()) // when the scrape was: up to there nothing is extrapolated
}

// ask answers the single value of a query, NaN if there is none.
func ask(t *testing.T, src Source, query string, at time.Time) float64 {
	t.Helper()
	r, err := src.Query(t.Context(), query, at)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Series) == 0 {
		return math.NaN()
	}
	if len(r.Series) > 1 {
		t.Fatalf("%s: %d series", query, len(r.Series))
	}
	return float64(r.Series[0].Points[0].V)
}

const errorsBorn = "# TYPE http_requests_total counter\nhttp_requests_total{status=\"200\"} %d\n"

func TestScrapedSeriesCarryTheirTarget(t *testing.T) {
	e := newExporter(t, "x{service=\"own\"} 3\n")
	s := still(t, time.Hour, target(e, "a"))
	at := flush(t, s)
	if v := ask(t, s, `x{service="a",instance="a-1",exported_service="own"}`, at); v != 3 {
		t.Errorf("x is %v", v)
	}
	if v := ask(t, s, `up{service="a"}`, at); v != 1 {
		t.Errorf("up is %v", v)
	}
	e.say("")
	at = flush(t, s)
	if v := ask(t, s, `up`, at); v != 0 {
		t.Errorf("up of a target that answers 500 is %v", v)
	}
	if errs := s.Errors(); len(errs) != 1 || !strings.Contains(errs[0].Error(), "500") {
		t.Errorf("errors %v", errs)
	}
}

// Trap: an error counter that is born with a value has a rate of 0, and a fault's errors are exactly of that kind.
func TestACounterBornWithAValueCountsFromZero(t *testing.T) {
	e := newExporter(t, fmt.Sprintf(errorsBorn, 10))
	s := still(t, time.Second, target(e, "a"))
	from := flush(t, s)
	e.say(fmt.Sprintf(errorsBorn, 20) + "http_requests_total{status=\"500\"} 40\n")
	time.Sleep(100 * time.Millisecond) // long beside the millisecond that times are kept in
	to := flush(t, s)
	r, err := Ratio(`http_requests_total{status=~"5.."}`, "http_requests_total", Window(from, to))
	if err != nil {
		t.Fatal(err)
	}
	if v := ask(t, s, r.Part, to); math.Abs(v-40) > 2 {
		t.Errorf("%v errors, want 40", v)
	}
	if v := ask(t, s, r.Value, to); math.Abs(v-0.8) > 0.01 {
		t.Errorf("ratio %v, want 0.8", v)
	}
}

// The scrape between may have failed: a fault that makes errors often makes scrapes fail as well.
func TestACounterBornAfterAFailedScrapeCountsFromZero(t *testing.T) {
	e := newExporter(t, fmt.Sprintf(errorsBorn, 10))
	s := still(t, time.Second, target(e, "a"))
	from := time.Now()
	flush(t, s)
	e.say("")
	time.Sleep(100 * time.Millisecond)
	flush(t, s)
	e.say(fmt.Sprintf(errorsBorn, 20) + "http_requests_total{status=\"500\"} 40\n")
	time.Sleep(100 * time.Millisecond)
	to := flush(t, s)
	if v := ask(t, s, Rise(`http_requests_total{status="500"}`, Window(from, to)), to); !(math.Abs(v-40) <= 15) {
		t.Errorf("%v errors, want about 40; NaN is none", v)
	}
}

// A target that was never reached before says nothing about when its counters rose.
func TestACounterOfATargetThatCameUpIsNotCounted(t *testing.T) {
	e := newExporter(t, "")
	s := still(t, time.Second, target(e, "a"))
	from := time.Now()
	flush(t, s)
	e.say(fmt.Sprintf(errorsBorn, 1000))
	time.Sleep(5 * time.Millisecond)
	flush(t, s)
	time.Sleep(5 * time.Millisecond)
	to := flush(t, s)
	if v := ask(t, s, Rise("http_requests_total", Window(from, to)), to); v != 0 {
		t.Errorf("it rose by %v, want 0", v)
	}
}

// A counter seen for the first time together with its target says nothing about when it rose.
func TestACounterOfANewTargetIsNotCounted(t *testing.T) {
	e := newExporter(t, fmt.Sprintf(errorsBorn, 1000))
	s := still(t, time.Second, target(e, "a"))
	from := time.Now()
	flush(t, s)
	time.Sleep(5 * time.Millisecond)
	to := flush(t, s)
	if v := ask(t, s, fmt.Sprintf("increase(http_requests_total[%dms])", Window(from, to).Milliseconds()), to); v != 0 {
		t.Errorf("it rose by %v, want 0", v)
	}
}

// Both ends of a flushed window count, and nothing is extrapolated beyond them.
func TestIncreaseOverAFlushedWindowIsExact(t *testing.T) {
	e := newExporter(t, fmt.Sprintf(errorsBorn, 0))
	s := still(t, 250*time.Millisecond, target(e, "a"))
	from, to := flush(t, s), time.Time{}
	for i := 1; i <= 5; i++ {
		time.Sleep(20 * time.Millisecond)
		e.say(fmt.Sprintf(errorsBorn, i*100))
		to = flush(t, s)
	}
	got := ask(t, s, Render("sum(increase(http_requests_total[$window]))", Window(from, to), time.Second), to)
	if math.Abs(got-500) > 25 {
		t.Errorf("rose by %v in a window that saw 0 and 500, want 500 within 5%%", got)
	}
}

// Trap: a dead exporter's gauge is served for five minutes.
func TestADeadExportersGaugeIsGone(t *testing.T) {
	e := newExporter(t, "queue_length 7\nother 1\n")
	s := still(t, time.Hour, target(e, "a"))
	flush(t, s)
	e.say("other 1\n")
	time.Sleep(2 * time.Millisecond)
	at := flush(t, s)
	if v := ask(t, s, "queue_length", at); !math.IsNaN(v) {
		t.Errorf("a series that its target no longer has is %v", v)
	}
	e.say("")
	time.Sleep(2 * time.Millisecond)
	at = flush(t, s)
	if v := ask(t, s, "other", at); !math.IsNaN(v) {
		t.Errorf("a series of a target that is down is %v", v)
	}
}

func TestLookbackIsFourIntervals(t *testing.T) {
	e := newExporter(t, "x 1\n")
	s := still(t, 100*time.Millisecond, target(e, "a"))
	at := flush(t, s)
	if v := ask(t, s, "x", at.Add(350*time.Millisecond)); v != 1 {
		t.Errorf("after three and a half intervals: %v", v)
	}
	if v := ask(t, s, "x", at.Add(450*time.Millisecond)); !math.IsNaN(v) {
		t.Errorf("after four and a half intervals: %v", v)
	}
}

func TestResetsAreFound(t *testing.T) {
	e := newExporter(t, fmt.Sprintf(errorsBorn, 10)+"level 5\n")
	s := still(t, time.Hour, target(e, "a"))
	from := time.Now()
	flush(t, s)
	e.say(fmt.Sprintf(errorsBorn, 2) + "level 1\n")
	time.Sleep(2 * time.Millisecond)
	to := flush(t, s)
	resets, err := s.Resets(t.Context(), []string{"a"}, from.Truncate(time.Millisecond), to)
	if err != nil || len(resets) != 1 || resets[0].Instance != "a-1" || resets[0].Series != 1 || !strings.Contains(resets[0].Example, "http_requests_total") {
		t.Errorf("resets %+v, %v, want the counter's and not the gauge's", resets, err)
	}
	if others, err := s.Resets(t.Context(), []string{"b"}, from, to); err != nil || len(others) > 0 {
		t.Errorf("resets of a service that was not asked for: %+v, %v", others, err)
	}
}

func TestHostileExpositionsAreErrorsAndNoMore(t *testing.T) {
	var loop *httptest.Server
	for name, handler := range map[string]http.HandlerFunc{
		"garbage":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello</html>") },
		"half a line": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x 1\ny{a=\"b") },
		"too long":    func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxBody+2)) },
		"gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			line := []byte(strings.Repeat("#", 1<<20) + "\n")
			for range 64 {
				if _, err := z.Write(line); err != nil {
					return
				}
			}
			z.Close()
		},
		"not gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "x 1\n")
		},
		"protobuf": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-unknown")
			fmt.Fprint(w, "\x00\x01")
		},
		"redirect loop": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, loop.URL+r.URL.Path+"x", http.StatusFound)
		},
		"other host": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.2:1/metrics", http.StatusFound)
		},
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"endless answer": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				fmt.Fprint(w, "# x\n")
			}
		},
		"many series": func(w http.ResponseWriter, _ *http.Request) {
			for i := range maxSeries + 1 {
				fmt.Fprintf(w, "x{i=\"%d\"} 1\n", i)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			loop = server
			s := still(t, time.Hour, Target{URL: server.URL, Labels: map[string]string{"service": "bad"}})
			flush(t, s)
			for deadline := time.Now().Add(10 * time.Second); len(s.Errors()) == 0 && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond) // a flush does not wait for a target that hangs
			}
			if v := ask(t, s, "up", time.Now()); v != 0 {
				t.Errorf("up is %v", v)
			}
			if errs := s.Errors(); len(errs) != 1 {
				t.Errorf("errors %v, want one", errs)
			}
			server.CloseClientConnections()
		})
	}
}

func TestASlowTargetDoesNotDelayTheOthers(t *testing.T) {
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer slow.Close()
	fast := newExporter(t, "x 1\n")
	s := NewScraper(10*time.Millisecond, []Target{{URL: slow.URL, Labels: map[string]string{"service": "slow"}}, target(fast, "fast")}, nil)
	defer s.Close()
	deadline := time.Now().Add(10 * time.Second)
	for ask(t, s, `count_over_time(x[1m])`, time.Now()) < 10 || math.IsNaN(ask(t, s, `count_over_time(x[1m])`, time.Now())) {
		if time.Now().After(deadline) {
			t.Fatal("the fast target was not scraped ten times in 10s")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := ask(t, s, `count_over_time(up{service="slow"}[1m])`, time.Now()); n > 2 {
		t.Errorf("the slow target has %v scrapes already", n)
	}
}

func TestCollectorsAreScrapedToo(t *testing.T) {
	var mu sync.Mutex
	n := 0.0
	s := NewScraper(time.Hour, nil, []Collector{{Labels: map[string]string{"service": "traffic", "instance": "traffic"}, Collect: func() []Sample {
		mu.Lock()
		defer mu.Unlock()
		n += 5
		return []Sample{{Name: "chaos_requests_total", Labels: map[string]string{"status": "200"}, Value: n, Counter: true}}
	}}})
	defer s.Close()
	flush(t, s)
	time.Sleep(2 * time.Millisecond)
	at := flush(t, s)
	if v := ask(t, s, `chaos_requests_total{service="traffic",status="200"}`, at); v < 10 {
		t.Errorf("the collector's counter is %v", v)
	}
}

func TestFlushEndsWithItsContext(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	s := still(t, time.Hour, Target{URL: silent.URL})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkScrape(b *testing.B) {
	var text strings.Builder
	text.WriteString("# TYPE http_requests_total counter\n")
	for i := range 200 {
		fmt.Fprintf(&text, "http_requests_total{path=\"/work\",status=\"%d\"} %d\n", i, i)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text.String()) }))
	defer server.Close()
	s := NewScraper(time.Hour, []Target{{URL: server.URL, Labels: map[string]string{"service": "a"}}}, nil)
	defer s.Close()
	for b.Loop() {
		if err := s.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// Series that are named anew at every scrape are never the same twice, and each would be kept.
func TestSeriesNamedAnewAllTheTimeAreNotKept(t *testing.T) {
	e := newExporter(t, "x 1\n")
	s := still(t, time.Hour, target(e, "a"))
	for i := range 5 {
		var text strings.Builder
		for j := range maxSeries - 1 {
			fmt.Fprintf(&text, "x{i=\"%d-%d\"} 1\n", i, j)
		}
		e.say(text.String())
		s.feeds[0].scrape(t.Context())
	}
	if n := len(s.storage.series); n > maxKnown+2 {
		t.Errorf("%d series are kept", n)
	}
	if errs := s.Errors(); len(errs) != 1 || !strings.Contains(errs[0].Error(), "named anew") {
		t.Errorf("errors %v", errs)
	}
}

func TestWhatIsNotOfNowIsNoScrape(t *testing.T) {
	for text, says := range map[string]string{
		"x 1 1600000000000\n": "only what is of now", "x 1 4600000000000\n": "only what is of now",
		"x{a=\"1\",b=\"2\"} 1\nx{b=\"2\",a=\"1\"} 2\n": "is there twice",
	} {
		e := newExporter(t, text)
		s := still(t, time.Second, target(e, "a"))
		flush(t, s)
		if v := ask(t, s, "up", time.Now()); v != 0 {
			t.Errorf("%q: up is %v", text, v)
		}
		if errs := s.Errors(); len(errs) != 1 || !strings.Contains(errs[0].Error(), says) {
			t.Errorf("%q: errors %v, want %q", text, errs, says)
		}
	}
}
