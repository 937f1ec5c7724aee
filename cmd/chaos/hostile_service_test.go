package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"
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
