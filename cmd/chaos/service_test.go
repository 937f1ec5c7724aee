package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
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
//	STUBBORN    it does not end when it is asked to
//	UNREADY     /health answers 503
func service() {
	if after := os.Getenv("EXIT_AFTER"); after != "" {
		go exitAfter(after)
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
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
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
