package main

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/verdict"
)

// hostileMetrics are ways in which /metrics can misbehave, by name. Each has the healthy exposition at hand.
func hostileMetrics(healthy http.Handler) map[string]http.Handler {
	healthyText := func() string {
		w := httptest.NewRecorder()
		healthy.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Body.String()
	}
	says := func(kind string, text func() string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = io.WriteString(w, text())
		})
	}
	plain := func(text func() string) http.Handler { return says("text/plain; version=0.0.4", text) }
	add := func(text func() string) http.Handler { return plain(func() string { return healthyText() + text() }) }
	fixed := func(text string) func() string { return func() string { return text } }
	var calls atomic.Int64
	return map[string]http.Handler{
		"well-behaved":       healthy,
		"garbage":            plain(fixed("\x00\x01\x02 garbage \xff\xfe\n")),
		"HTML":               says("text/html", fixed("<html><body>Welcome</body></html>")),
		"empty":              plain(fixed("")),
		"truncated":          plain(func() string { t := healthyText(); return t[:len(t)-10] + "{" }),
		"10 MB":              add(func() string { return strings.Repeat("# "+strings.Repeat("x", 998)+"\n", 10<<10) }),
		"100 MB":             http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { endless(w, r, 100) }),
		"endless":            http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { endless(w, r, 1<<30) }),
		"a byte a second":    http.HandlerFunc(dripping),
		"never":              http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		"redirect loop":      http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/metrics", http.StatusFound) }),
		"redirect elsewhere": http.RedirectHandler("http://127.0.0.2:1/metrics", http.StatusFound),
		"gzip bomb":          http.HandlerFunc(gzipBomb),
		"not gzip": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			healthy.ServeHTTP(w, r)
		}),
		"unknown encoding": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, "\x8b\x05")
		}),
		"wrong content type": says("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", healthyText),
		"invalid UTF-8":      add(fixed("x{a=\"\xff\xfe\"} 1\n")),
		"huge header": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
			healthy.ServeHTTP(w, r)
		}),
		"many series":         add(func() string { return series(25_000, "x", 0) }),
		"new names each time": add(func() string { return series(15_000, "x", calls.Add(1)) }),
		"many labels":         add(func() string { return "x{" + manyLabels(100_000) + "} 1\n" + series(25_000, "y", 0) }),
		"duplicates":          add(fixed("http_requests_total{status=\"200\"} 0\n")),
		"old timestamps":      plain(func() string { return stamped(healthyText(), time.Now().Add(-10*time.Minute)) }),
		"future timestamps":   plain(func() string { return stamped(healthyText(), time.Now().Add(10*time.Minute)) }),
		"NaN":                 plain(func() string { return valued(healthyText(), func(int) string { return "NaN" }) }),
		"Inf":                 plain(func() string { return valued(healthyText(), func(int) string { return "+Inf" }) }),
		"going backwards": plain(func() string {
			n := 1_000_000 - 1000*calls.Add(1)
			return valued(healthyText(), func(i int) string { return fmt.Sprint(n + int64(i)) })
		}),
		"reset in the middle": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { brokenOff(w, healthyText()) }),
		"500": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, healthyText(), http.StatusInternalServerError)
		}),
		"404 sometimes": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if calls.Add(1)%2 == 0 {
				http.NotFound(w, r)
				return
			}
			healthy.ServeHTTP(w, r)
		}),
	}
}

func endless(w http.ResponseWriter, r *http.Request, megabytes int) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	chunk := []byte(strings.Repeat("# "+strings.Repeat("x", 1021)+"\n", 1<<10))
	for i := 0; i < megabytes && r.Context().Err() == nil; i++ {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func dripping(w http.ResponseWriter, r *http.Request) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for r.Context().Err() == nil {
		_, _ = io.WriteString(w, "#")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-ticker.C:
		case <-r.Context().Done():
		}
	}
}

func gzipBomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	defer z.Close()
	line := []byte(strings.Repeat("#", 1<<20) + "\n")
	for range 256 {
		if _, err := z.Write(line); err != nil {
			return
		}
	}
}

func brokenOff(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Length", fmt.Sprint(len(text)+1000))
	_, _ = io.WriteString(w, text)
	_ = http.NewResponseController(w).Flush()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

func series(n int, name string, generation int64) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "%s{i=\"%d-%d\"} 1\n", name, generation, i)
	}
	return out.String()
}

func manyLabels(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "l%d=\"v\",", i)
	}
	return out.String()
}

// stamped puts a timestamp behind each sample, valued replaces its value.
func stamped(text string, at time.Time) string {
	return eachSample(text, func(_ int, line string) string { return fmt.Sprintf("%s %d", line, at.UnixMilli()) })
}

func valued(text string, value func(int) string) string {
	return eachSample(text, func(i int, line string) string { return line[:strings.LastIndexByte(line, ' ')+1] + value(i) })
}

func eachSample(text string, change func(int, string) string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "#") {
			lines[i] = change(i, line)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

const hostileMetricsConfig = `apiVersion: chaos/v1
environments:
  local:
    target: process
    prometheus: {url: embedded, interval: 100ms}
    services:
      front:
        command: [service]
        ports: {http: "8080"}
        env: {PORT: "${port.http}", UPSTREAM: "http://${link.odd}"}
        links: [odd]
        ready: {http: /health, within: 15s}
        metrics: /metrics
      odd:
        command: [service]
        ports: {http: "8081"}
        env: {PORT: "${port.http}", HOSTILE: %q}
        ready: {http: /health, within: 15s}
        metrics: /metrics
`

// The checks ask front, of which all is known, and odd, whose metrics are what the row says.
const hostileExperiment = `apiVersion: chaos/v1
name: odd
title: Front answers while the link to odd is a little slow
recovery: {within: 5s, for: 500ms}
traffic:
  - {service: front, path: /work, rate: 100/s}
steadyState:
  - id: answers
    promql: sum(rate(http_requests_total{service="front",status="200"}[$window]))
    window: 1s
    expect: {min: 10}
steps:
  - id: slow
    fault: network.latency
    target: {service: front, to: odd}
    with: {delay: 20ms}
    duration: 2s
  - id: few-errors
    during: slow
    ratio: {part: 'http_requests_total{service="odd",status="503"}', total: 'http_requests_total{service="odd"}'}
    expect: {max: 50%}
`

// runnerMemory is what a runner may need while a target does its worst: it needs about 60 MiB for a healthy one.
const runnerMemory = 320 << 20

// Whatever one target answers, the gate stays closed for it, the runner's memory is bounded, and the other target is scraped on time.
func TestHostileMetricsEndpoints(t *testing.T) {
	names := slices.Sorted(maps.Keys(hostileMetrics(http.NotFoundHandler())))
	together(t, 4, names, func(t *testing.T, name string) {
		p := projectCopy{t: t, dir: t.TempDir()}
		p.mark = marker + "=" + p.dir
		must(t, os.WriteFile(filepath.Join(p.dir, configFile), []byte(fmt.Sprintf(hostileMetricsConfig, name)), 0o644))
		must(t, os.WriteFile(filepath.Join(p.dir, "odd.yaml"), []byte(hostileExperiment), 0o644))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := p.commandContext(ctx, "run", "odd.yaml")
		said, _ := cmd.CombinedOutput() // how it ended is looked at below
		want := verdict.ExitInconclusive
		if name == "well-behaved" {
			want = verdict.ExitOpen
		}
		if code := cmd.ProcessState.ExitCode(); code != want {
			t.Errorf("exit code %d, want %d:\n%s", code, want, said)
		}
		if used := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10; used > runnerMemory {
			t.Errorf("the runner took %d MiB, more than %d", used>>20, runnerMemory>>20)
		} else {
			t.Logf("the runner took %d MiB", used>>20)
		}
		p.scrapedOnTime("front")
		left, err := alive(p.dir, p.mark)
		if err != nil || len(left) > 0 {
			t.Errorf("left running: %s, %v", describeProcesses(left), err)
		}
	})
}

// scrapedOnTime fails unless a service was scraped as often as it should be in every phase of the only run.
func (p projectCopy) scrapedOnTime(service string) {
	p.t.Helper()
	found, _ := filepath.Glob(filepath.Join(p.dir, "reports", "*", journalFile))
	if len(found) != 1 {
		p.t.Fatalf("%d journals, want 1", len(found))
	}
	events, err := journal.ReadFile(found[0])
	must(p.t, err)
	phases := 0
	for _, e := range events {
		if e.Type != journal.CoverageKept {
			continue
		}
		c, err := journal.Decode[journal.Coverage](e)
		must(p.t, err)
		for _, covered := range c.Targets {
			if covered.Service != service {
				continue
			}
			phases++
			if covered.Got < 0.9*covered.Expected {
				p.t.Errorf("%s was scraped %.0f of %.0f times in the %s", service, covered.Got, covered.Expected, c.Phase)
			}
		}
	}
	if phases == 0 {
		p.t.Errorf("%s was never scraped", service)
	}
}

// together runs subtests side by side, at most so many at a time: they wait more than they work.
func together(t *testing.T, most int, names []string, test func(*testing.T, string)) {
	t.Helper()
	room := make(chan struct{}, most)
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			t.Run(name, func(t *testing.T) { test(t, name) })
		})
	}
	all.Wait()
}
