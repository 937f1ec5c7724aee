// Package api is service-a: it answers /work by asking service-b, and protects itself and its callers from service-b's
// troubles by timeouts, retries, a circuit breaker, a stale answer and load shedding, each of which can be switched off.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"chaosgate/services/internal/resilience"
	"chaosgate/services/internal/server"
	"chaosgate/services/internal/telemetry"
)

// The kinds of service_errors_total. Timeout and upstream count attempts, the others requests.
const (
	kindTimeout     = "timeout"      // an attempt got no answer in time
	kindUpstream    = "upstream"     // an attempt failed: no connection, a reset, a status other than 200
	kindBreakerOpen = "breaker_open" // the breaker refused to ask
	kindFallback    = "fallback"     // answered with a stale value
	kindShed        = "shed"         // refused because too many requests were under way
)

// Answer of /work. Value is service-b's answer as it was; when Stale it is AgeMS milliseconds old, and Reason says why.
type Answer struct {
	Key    string          `json:"key"`
	Stale  bool            `json:"stale"`
	AgeMS  int64           `json:"age_ms"`
	Reason string          `json:"reason,omitempty"`
	Value  json.RawMessage `json:"value"`
}

type api struct {
	config   Config
	upstream *upstream
	metrics  *telemetry.Metrics
	lastGood resilience.Stale[json.RawMessage]
}

// Handler serves /work, /health and /metrics.
func Handler(c Config, log *slog.Logger) http.Handler {
	m := telemetry.New(kindTimeout, kindUpstream, kindBreakerOpen, kindFallback, kindShed)
	a := &api{config: c, upstream: newUpstream(c, m, log), metrics: m}
	refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		m.Error(kindShed)
		server.JSON(w, http.StatusServiceUnavailable, server.Failure{Error: "too many requests under way", Kind: kindShed})
	})
	mux := http.NewServeMux()
	mux.Handle("/work", m.Instrument("/work", resilience.Shed(c.MaxInflight, refuse, http.HandlerFunc(a.work)),
		http.StatusOK, http.StatusBadRequest, telemetry.StatusClientGone, http.StatusServiceUnavailable))
	mux.HandleFunc("/health", a.health)
	mux.Handle("/metrics", m.Handler())
	return mux
}

func (a *api) work(w http.ResponseWriter, r *http.Request) {
	key, err := server.Key(r)
	if err != nil {
		server.JSON(w, http.StatusBadRequest, server.Failure{Error: err.Error(), Kind: "bad_request"})
		return
	}
	value, err := a.upstream.work(r.Context(), key)
	switch {
	case err == nil:
		a.lastGood.Put(key, value)
		server.JSON(w, http.StatusOK, Answer{Key: key, Value: value})
	case r.Context().Err() != nil:
		server.JSON(w, telemetry.StatusClientGone, server.Failure{Error: "the caller went away", Kind: "canceled"})
	default:
		a.withoutUpstream(w, key, err)
	}
}

// withoutUpstream answers when service-b did not: with the last good value if there is one and that is wanted, else 503.
func (a *api) withoutUpstream(w http.ResponseWriter, key string, err error) {
	value, age, known := a.lastGood.Get(key)
	if !a.config.Fallback || !known {
		server.JSON(w, http.StatusServiceUnavailable, server.Failure{Error: err.Error(), Kind: kindOf(err)})
		return
	}
	a.metrics.Error(kindFallback)
	server.JSON(w, http.StatusOK, Answer{Key: key, Stale: true, AgeMS: age.Milliseconds(), Reason: kindOf(err), Value: value})
}

// kindOf is the kind of an error of the upstream; "" for none and for a caller who went away.
func kindOf(err error) string {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return ""
	case errors.Is(err, resilience.ErrOpen):
		return kindBreakerOpen
	case errors.Is(err, context.DeadlineExceeded):
		return kindTimeout
	}
	return kindUpstream
}

// health is 200 while the process serves; it does not ask service-b, whose trouble is not this process's.
func (a *api) health(w http.ResponseWriter, _ *http.Request) {
	state := "off"
	if b := a.upstream.breaker; b != nil {
		state = b.State().String()
	}
	server.JSON(w, http.StatusOK, map[string]any{"status": "ok", "service": "service-a", "ready": true, "breaker": state})
}
