package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"chaosgate/services/internal/resilience"
	"chaosgate/services/internal/telemetry"
)

// requestID is the header by which service-b recognises a repeated attempt, so that a retried write is done once.
const requestID = "X-Request-Id"

// maxAnswer bounds what is read of an answer of service-b, in bytes.
const maxAnswer = 1 << 20

// The waits between attempts.
const (
	backoffBase = 25 * time.Millisecond
	backoffCap  = 200 * time.Millisecond
)

// upstream calls service-b with the protections of its configuration; safe for concurrent use.
type upstream struct {
	config  Config
	client  *http.Client
	breaker *resilience.Breaker[json.RawMessage] // nil when switched off
	metrics *telemetry.Metrics
}

func newUpstream(c Config, m *telemetry.Metrics, log *slog.Logger) *upstream {
	u := &upstream{config: c, client: &http.Client{Transport: transport(c)}, metrics: m}
	if c.Breaker {
		u.breaker = resilience.NewBreaker[json.RawMessage]("service-b", func(from, to string) {
			if from == "closed" || to == "closed" { // not each probe of a long trouble
				log.Warn("circuit breaker", "upstream", "service-b", "state", to)
			}
		})
	}
	return u
}

// transport keeps a bounded number of connections alive, which is a bulkhead: a slow service-b ties up at most that many.
// It goes straight to service-b, whatever proxy the environment names.
func transport(c Config) *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: c.Timeout}).DialContext,
		MaxConnsPerHost:     c.MaxConns,
		MaxIdleConnsPerHost: max(c.MaxConns, 16),
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}
}

// work asks service-b to do the work for key and returns its answer.
func (u *upstream) work(ctx context.Context, key string) (json.RawMessage, error) {
	id := rand.Text()
	attempt := func(ctx context.Context) (json.RawMessage, error) { return u.post(ctx, key, id) }
	policy := resilience.RetryPolicy{Retries: u.config.Retries, Base: backoffBase, Cap: backoffCap}
	call := resilience.Timeout(u.config.Deadline,
		resilience.Retry(policy,
			resilience.Break(u.breaker,
				u.count(
					resilience.Timeout(u.config.Timeout, attempt)))))
	v, err := call(ctx)
	if errors.Is(err, resilience.ErrOpen) {
		u.metrics.Error(kindBreakerOpen)
	}
	return v, err
}

// count counts each attempt that failed.
func (u *upstream) count(call resilience.Call[json.RawMessage]) resilience.Call[json.RawMessage] {
	return func(ctx context.Context) (json.RawMessage, error) {
		v, err := call(ctx)
		if kind := kindOf(err); kind != "" {
			u.metrics.Error(kind)
		}
		return v, err
	}
}

// post makes one attempt.
func (u *upstream) post(ctx context.Context, key, id string) (json.RawMessage, error) {
	target := u.config.ServiceB.JoinPath("work")
	target.RawQuery = url.Values{"key": {key}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), nil)
	if err != nil {
		return nil, resilience.Permanent(fmt.Errorf("asking service-b: %w", err))
	}
	req.Header.Set(requestID, id)
	status, body, err := u.exchange(req)
	switch {
	case err != nil:
		// The other idle connections are as old as the one that failed: the next attempt shall dial.
		u.client.CloseIdleConnections()
		return nil, fmt.Errorf("asking service-b: %w", err)
	case status >= 400 && status < 500:
		return nil, resilience.Permanent(fmt.Errorf("service-b answered %d", status))
	case status != http.StatusOK:
		return nil, fmt.Errorf("service-b answered %d", status)
	case !json.Valid(body):
		return nil, errors.New("service-b answered something that is not JSON")
	}
	return body, nil
}

func (u *upstream) exchange(req *http.Request) (status int, body []byte, err error) {
	resp, err := u.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, body, err
}
