package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// service is the system under test of the scripts: small enough that a script takes a second. Its behaviour is set by variables:
//
//	PORT        where it listens
//	UPSTREAM    URL that /work asks; none: it answers by itself
//	TIMEOUT     of asking upstream; none: it waits for ever
//	EXIT_AFTER  it ends by itself, with exit code 3
//	DIES        it ends before it listens, with exit code 3
//	STUBBORN    it does not end when it is asked to
//	UNREADY     /health answers 503
//	SPILL       it says this wherever it says anything: in its log, in a label of a metric, and on /spill, beside what it is sent
//	BORN        a file to which it adds its pid when it starts
//	HOSTILE     how /metrics misbehaves, a key of hostileMetrics
func service() {
	if after := os.Getenv("EXIT_AFTER"); after != "" {
		go exitAfter(after)
	}
	if born := os.Getenv("BORN"); born != "" {
		note(born)
	}
	spill(os.Stderr, os.Getenv("SPILL"))
	if os.Getenv("DIES") != "" {
		os.Exit(3)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if os.Getenv("STUBBORN") != "" {
		ctx = context.WithoutCancel(ctx)
	}
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: serviceHandler()}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}

// spill writes a text as it may turn up: as it is, quoted, escaped, encoded, and in two pieces.
func spill(w io.Writer, text string) {
	if text == "" {
		return
	}
	json, _ := json.Marshal(map[string]string{"key": text})
	u := url.URL{Scheme: "http", User: url.UserPassword("me", text), Host: "h", Path: "/" + text, RawQuery: url.Values{"q": {text}}.Encode()}
	fmt.Fprintf(w, "%s\n%q\n%s\n%s\n%s\n%s\n%x\n", text, text, json, &u, html.EscapeString(text), base64.StdEncoding.EncodeToString([]byte("me:"+text)), text)
	for _, piece := range []string{"in pieces: ", text[:len(text)/2], text[len(text)/2:], "\nand without an end: ", text} {
		io.WriteString(w, piece)
	}
}

func note(path string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		fmt.Fprintln(f, os.Getpid())
		f.Close()
	}
}

func exitAfter(text string) {
	after, err := time.ParseDuration(text)
	if err == nil {
		time.Sleep(after)
	}
	os.Exit(3)
}

func serviceHandler() http.Handler {
	registry := prometheus.NewRegistry()
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total"}, []string{"status"})
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "http_request_duration_seconds", Buckets: []float64{.005, .01, .05, .1, .25, .5, 1, 2.5}})
	registry.MustRegister(requests, seconds)
	for _, status := range []string{"200", "503"} {
		requests.WithLabelValues(status)
	}
	mux := http.NewServeMux()
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{DisableCompression: true})
	if hostile := os.Getenv("HOSTILE"); hostile != "" {
		metrics = hostileMetrics(metrics)[hostile]
	}
	mux.Handle("/metrics", metrics)
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		if os.Getenv("UNREADY") != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/work", func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		status := ask(r.Context(), os.Getenv("UPSTREAM"))
		seconds.Observe(time.Since(began).Seconds())
		requests.WithLabelValues(strconv.Itoa(status)).Inc()
		w.WriteHeader(status)
	})
	if said := os.Getenv("SPILL"); said != "" {
		spilled := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "spilled"}, []string{"text"})
		spilled.WithLabelValues(said).Set(1)
		registry.MustRegister(spilled)
	}
	mux.HandleFunc("/spill", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		for _, said := range []string{os.Getenv("SPILL"), r.Header.Get("Authorization")} {
			spill(w, said)
			spill(os.Stdout, said)
			// Where a body is cut a secret may lie across the cut.
			io.WriteString(w, strings.Repeat("x", 64<<10-len(said)*40)+strings.Repeat(said, 60))
		}
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.FormValue("to"), http.StatusFound) })
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	return mux
}

// ask answers 200 if there is no upstream or it answers 200, else 503.
func ask(ctx context.Context, upstream string) int {
	if upstream == "" {
		return http.StatusOK
	}
	if limit, err := time.ParseDuration(os.Getenv("TIMEOUT")); err == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, upstream+"/work", nil)
	if err != nil {
		return http.StatusServiceUnavailable
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return http.StatusServiceUnavailable
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}
