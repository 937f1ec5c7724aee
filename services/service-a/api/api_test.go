package api

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// upstreamServer stands for service-b: a real HTTP server whose behaviour a test changes under way.
type upstreamServer struct {
	*httptest.Server
	behave atomic.Pointer[http.HandlerFunc]
	calls  atomic.Int32
}

func startUpstream(t *testing.T, behave http.HandlerFunc) *upstreamServer {
	t.Helper()
	u := &upstreamServer{}
	u.behave.Store(&behave)
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.calls.Add(1)
		(*u.behave.Load())(w, r)
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstreamServer) now(behave http.HandlerFunc) { u.behave.Store(&behave) }

func good(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"orders":[]}`) }

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// hang answers nothing until the caller leaves.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// late answers after d, unless the caller left before.
func late(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			good(w, r)
		case <-r.Context().Done():
		}
	}
}

// reset closes the connection with a reset, before any answer.
func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// start runs service-a in front of the address with the settings of env over the defaults.
func start(t *testing.T, upstream string, env ...string) string {
	t.Helper()
	c, err := ReadConfig(lookup(append(env, "SERVICE_B_URL="+upstream)))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(Handler(c, slog.New(slog.DiscardHandler)))
	t.Cleanup(srv.Close)
	return srv.URL
}

func lookup(env []string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, pair := range env {
			if k, v, _ := strings.Cut(pair, "="); k == name {
				return v, true
			}
		}
		return "", false
	}
}

type result struct {
	Answer
	Error  string
	Kind   string
	status int
	took   time.Duration
}

func get(t *testing.T, url string) result {
	t.Helper()
	begun := time.Now()
	resp, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return result{}
	}
	defer resp.Body.Close()
	r := result{status: resp.StatusCode}
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		t.Error(err)
	}
	r.took = time.Since(begun)
	return r
}

func metrics(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func expectMetric(t *testing.T, url string, lines ...string) {
	t.Helper()
	text := metrics(t, url)
	for _, line := range lines {
		if !slices.Contains(strings.Split(text, "\n"), line) {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
}

func expectStatus(t *testing.T, got result, want int, stale bool) {
	t.Helper()
	if got.status != want || got.Stale != stale {
		t.Errorf("status %d, stale %t, %s %s; want %d, %t", got.status, got.Stale, got.Kind, got.Error, want, stale)
	}
}

func TestWorkPassesTheAnswerOn(t *testing.T) {
	var seen atomic.Pointer[http.Request]
	b := startUpstream(t, func(w http.ResponseWriter, r *http.Request) { seen.Store(r); good(w, r) })
	got := get(t, start(t, b.URL, "TIMEOUT=off")+"/work?key=tea")
	expectStatus(t, got, 200, false)
	if string(got.Value) != `{"orders":[]}` || got.Key != "tea" {
		t.Errorf("answer %+v", got)
	}
	if r := seen.Load(); r.Method != "POST" || r.URL.String() != "/work?key=tea" || r.Header.Get(requestID) == "" {
		t.Errorf("service-b saw %s %s %v", r.Method, r.URL, r.Header)
	}
}

func TestFallbackSwitch(t *testing.T) {
	for value, want := range map[string]int{"on": 200, "off": 503} {
		b := startUpstream(t, good)
		a := start(t, b.URL, "FALLBACK="+value, "RETRIES=0", "TIMEOUT=off")
		expectStatus(t, get(t, a+"/work"), 200, false)
		b.now(status(500))
		got := get(t, a+"/work")
		expectStatus(t, got, want, value == "on")
		if value == "on" {
			expectMetric(t, a, `service_errors_total{kind="fallback"} 1`, `service_errors_total{kind="upstream"} 1`)
		} else if got.Error != "service-b answered 500" || got.Kind != "upstream" {
			t.Errorf("failure %+v", got)
		}
	}
}

func TestNoStaleAnswerForAKeyNeverSeen(t *testing.T) {
	b := startUpstream(t, good)
	a := start(t, b.URL, "RETRIES=0", "TIMEOUT=off")
	get(t, a+"/work?key=tea")
	b.now(status(500))
	expectStatus(t, get(t, a+"/work?key=coffee"), 503, false)
	expectStatus(t, get(t, a+"/work?key=tea"), 200, true)
}

func TestTimeoutSwitch(t *testing.T) {
	for value, want := range map[string]int{"30ms": 503, "off": 200} {
		b := startUpstream(t, late(2*time.Second))
		a := start(t, b.URL, "TIMEOUT="+value, "RETRIES=0", "FALLBACK=off")
		got := get(t, a+"/work")
		expectStatus(t, got, want, false)
		if want == 503 && (got.Kind != "timeout" || got.Error != "no answer within 30ms" || got.took > 1500*time.Millisecond) {
			t.Errorf("failure %+v after %v", got, got.took)
		}
	}
}

func TestDeadlineBoundsTheRetries(t *testing.T) {
	b := startUpstream(t, hang)
	a := start(t, b.URL, "TIMEOUT=50ms", "RETRIES=50", "DEADLINE=200ms", "BREAKER=off")
	got := get(t, a+"/work")
	expectStatus(t, got, 503, false)
	if got.Error != "no answer within 200ms" || got.took < 190*time.Millisecond || got.took > 2*time.Second {
		t.Errorf("%q after %v", got.Error, got.took)
	}
}

func TestRetriesSwitch(t *testing.T) {
	for name, trouble := range map[string]http.HandlerFunc{"503": status(503), "reset": reset} {
		for value, want := range map[string]int{"2": 200, "0": 503} {
			var n atomic.Int32
			var ids sync.Map
			b := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				ids.Store(r.Header.Get(requestID), true)
				if n.Add(1) <= 2 {
					trouble(w, r)
					return
				}
				good(w, r)
			})
			a := start(t, b.URL, "RETRIES="+value, "BREAKER=off", "FALLBACK=off", "TIMEOUT=2s", "DEADLINE=off")
			expectStatus(t, get(t, a+"/work"), want, false)
			distinct := 0
			ids.Range(func(any, any) bool { distinct++; return true })
			if distinct != 1 {
				t.Errorf("%s: %d request ids over the attempts of one request, want 1", name, distinct)
			}
		}
	}
}

func TestClientErrorsAreNotRetried(t *testing.T) {
	b := startUpstream(t, status(400))
	a := start(t, b.URL, "TIMEOUT=off")
	expectStatus(t, get(t, a+"/work"), 503, false)
	if n := b.calls.Load(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

// With the breaker service-b is left alone after 5 failures and asked again when it is good; without it each request asks.
func TestBreakerSwitch(t *testing.T) {
	for value, want := range map[string]int32{"on": 5, "off": 20} {
		var b *upstreamServer
		var a string
		for n, late := 0, true; late && n < 3; n++ {
			b = startUpstream(t, status(500))
			a = start(t, b.URL, "BREAKER="+value, "RETRIES=0", "TIMEOUT=off")
			begun := time.Now()
			for range 20 {
				expectStatus(t, get(t, a+"/work"), 503, false)
			}
			late = value == "on" && time.Since(begun) > 500*time.Millisecond // by then an open breaker asks again
		}
		if n := b.calls.Load(); n != want {
			t.Errorf("BREAKER=%s: %d calls, want %d", value, n, want)
		}
		if value == "on" {
			expectMetric(t, a, `service_errors_total{kind="breaker_open"} 15`)
		}
		b.now(good)
		eventually(t, "an answer after the trouble", func() bool { return get(t, a+"/work").status == 200 })
	}
}

// Beyond MAX_INFLIGHT a request is refused at once; without it the request waits behind the others.
func TestMaxInflightSwitch(t *testing.T) {
	for value, want := range map[string]int{"2": 503, "off": 200} {
		entered, release := make(chan struct{}, 9), make(chan struct{})
		b := startUpstream(t, func(w http.ResponseWriter, r *http.Request) { entered <- struct{}{}; <-release; good(w, r) })
		a := start(t, b.URL, "MAX_INFLIGHT="+value, "TIMEOUT=off")
		var first sync.WaitGroup
		for range 2 {
			first.Go(func() { expectStatus(t, get(t, a+"/work"), 200, false) })
			<-entered
		}
		if want == 200 {
			time.AfterFunc(50*time.Millisecond, func() { close(release) })
		}
		got := get(t, a+"/work")
		expectStatus(t, got, want, false)
		if want == 503 {
			close(release)
			if got.Kind != "shed" {
				t.Errorf("failure %+v", got)
			}
			expectMetric(t, a, `service_errors_total{kind="shed"} 1`)
		}
		first.Wait()
	}
}

func TestMaxConnsIsABulkhead(t *testing.T) {
	for value, want := range map[string]int32{"2": 2, "off": 6} {
		var now, most atomic.Int32
		b := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
			n := now.Add(1)
			defer now.Add(-1)
			for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
			}
			for end := time.Now().Add(2 * time.Second); most.Load() < want && time.Now().Before(end); {
				time.Sleep(time.Millisecond) // the others may be late
			}
			late(100*time.Millisecond)(w, r)
		})
		a := start(t, b.URL, "MAX_CONNS="+value, "TIMEOUT=off")
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() { expectStatus(t, get(t, a+"/work"), 200, false) })
		}
		all.Wait()
		if most.Load() != want {
			t.Errorf("MAX_CONNS=%s: up to %d at a time, want %d", value, most.Load(), want)
		}
	}
}

// After a failure the retry dials: it must not take another connection that died in the same event.
func TestRetryDoesNotUseADeadConnection(t *testing.T) {
	b := startUpstream(t, late(20*time.Millisecond))
	a := start(t, b.URL, "RETRIES=1", "BREAKER=off", "FALLBACK=off", "TIMEOUT=2s", "DEADLINE=off")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { expectStatus(t, get(t, a+"/work"), 200, false) })
	}
	all.Wait()
	b.now(good)
	b.CloseClientConnections()
	for range 3 {
		expectStatus(t, get(t, a+"/work"), 200, false)
	}
}

func TestAnswersThatAreNoAnswers(t *testing.T) {
	b := startUpstream(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") })
	got := get(t, start(t, b.URL, "RETRIES=0", "TIMEOUT=off")+"/work")
	expectStatus(t, got, 503, false)
	if got.Error != "service-b answered something that is not JSON" {
		t.Errorf("failure %q", got.Error)
	}
	b.now(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "{")
	})
	expectStatus(t, get(t, start(t, b.URL, "RETRIES=0", "TIMEOUT=off")+"/work"), 503, false)
}

func TestCallerWhoLeftIsNoError(t *testing.T) {
	entered := make(chan struct{}, 9)
	b := startUpstream(t, func(w http.ResponseWriter, r *http.Request) { entered <- struct{}{}; hang(w, r) })
	a := start(t, b.URL, "TIMEOUT=off")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { <-entered; cancel() }()
	req, _ := http.NewRequestWithContext(ctx, "GET", a+"/work", nil)
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Fatal("a hanging service-b was answered for")
	}
	eventually(t, "a 499", func() bool {
		return strings.Contains(metrics(t, a), `http_requests_total{path="/work",status="499"} 1`)
	})
	expectMetric(t, a, `service_errors_total{kind="upstream"} 0`, `service_errors_total{kind="timeout"} 0`)
}

func TestBadKey(t *testing.T) {
	b := startUpstream(t, good)
	expectStatus(t, get(t, start(t, b.URL)+"/work?key="+strings.Repeat("k", 65)), 400, false)
}

func TestMetricsAreTheFourFamiliesAndCountOnlyWork(t *testing.T) {
	a := start(t, "http://127.0.0.1:1")
	for _, path := range []string{"/health", "/metrics", "/nothing-here"} {
		resp, err := http.Get(a + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	text := metrics(t, a)
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(text, -1) {
		names = append(names, match[1])
	}
	want := []string{"db_operation_duration_seconds", "http_request_duration_seconds", "http_requests_total", "service_errors_total"}
	if !slices.Equal(names, want) {
		t.Errorf("families %q, want %q", names, want)
	}
	for _, status := range []string{"200", "400", "499", "500", "503"} {
		expectMetric(t, a, `http_requests_total{path="/work",status="`+status+`"} 0`)
	}
	for _, kind := range []string{"timeout", "upstream", "breaker_open", "fallback", "shed"} {
		expectMetric(t, a, `service_errors_total{kind="`+kind+`"} 0`)
	}
	if n := strings.Count(text, "http_requests_total{"); n != 5 {
		t.Errorf("%d series of requests, want 5: something other than /work was counted", n)
	}
}

func TestHealthIsItsOwn(t *testing.T) {
	for value, want := range map[string]string{"on": "closed", "off": "off"} {
		resp, err := http.Get(start(t, "http://127.0.0.1:1", "BREAKER="+value) + "/health")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		wantBody := `{"breaker":"` + want + `","ready":true,"service":"service-a","status":"ok"}`
		if resp.StatusCode != 200 || strings.TrimSpace(string(body)) != wantBody {
			t.Errorf("%d %s, want %s", resp.StatusCode, body, wantBody)
		}
	}
}

func TestReadConfig(t *testing.T) {
	for _, c := range []struct {
		env               []string
		timeout, deadline time.Duration
		err               string
	}{
		{nil, 250 * time.Millisecond, 700 * time.Millisecond, ""},
		{[]string{"TIMEOUT=off"}, 0, 0, ""},
		{[]string{"TIMEOUT=off", "DEADLINE=2s"}, 0, 2 * time.Second, ""},
		{[]string{"DEADLINE=off"}, 250 * time.Millisecond, 0, ""},
		{[]string{"TIMEOUT=5", "SERVICE_B_URL=b"}, 0, 0, `SERVICE_B_URL="b": want an address such as http://127.0.0.1:5001
TIMEOUT="5": want a duration such as 250ms, or off`},
	} {
		got, err := ReadConfig(lookup(c.env))
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%v: error %v, want %s", c.env, err, c.err)
			}
			continue
		}
		if err != nil || got.Timeout != c.timeout || got.Deadline != c.deadline || got.Port != 5000 || !got.Breaker || !got.Fallback {
			t.Errorf("%v: %+v, %v", c.env, got, err)
		}
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within 5s", what)
		}
	}
}
