// Package worker is service-b: it writes an order to its database and answers with the latest ones.
package worker

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"chaosgate/services/internal/resilience"
	"chaosgate/services/internal/server"
	"chaosgate/services/internal/telemetry"
	"chaosgate/services/service-b/store"
)

// RequestID is the header that makes a repeated request write once.
const RequestID = "X-Request-Id"

const shed = "shed"

// prepareFor bounds the wait for a locked database at the start: a restarted worker must serve soon.
const prepareFor = 100 * time.Millisecond

// Answer of /work. DB is the outcome of the write; Degraded says that nothing was written and the orders were only read.
type Answer struct {
	Key      string        `json:"key"`
	ID       string        `json:"id"`
	Orders   []store.Order `json:"orders"` // of the key, newest first
	DB       store.Outcome `json:"db"`
	Degraded bool          `json:"degraded"`
	Receipt  string        `json:"receipt,omitempty"`
}

// Failure is the answer of /work when it could not be done.
type Failure struct {
	server.Failure
	DB store.Outcome `json:"db"`
}

type worker struct {
	config  Config
	store   *store.Store
	metrics *telemetry.Metrics
	log     *slog.Logger
	last    atomic.Value // store.Outcome of the last write; "" before the first
}

// Handler serves /work, /health and /metrics over the store. It prepares the store first, within 100 ms; if that fails it
// says so in the log and serves anyway, because the database may come back.
func Handler(c Config, s *store.Store, log *slog.Logger) http.Handler {
	w := &worker{config: c, store: s, metrics: newMetrics(), log: log}
	w.last.Store(store.Outcome(""))
	ctx, cancel := context.WithTimeout(context.Background(), prepareFor)
	defer cancel()
	w.note(s.Prepare(ctx))

	refuse := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		w.metrics.Error(shed)
		server.JSON(rw, http.StatusServiceUnavailable, server.Failure{Error: "too many requests under way", Kind: shed})
	})
	mux := http.NewServeMux()
	mux.Handle("/work", w.metrics.Instrument("/work", resilience.Shed(c.MaxInflight, refuse, http.HandlerFunc(w.work)),
		http.StatusOK, http.StatusBadRequest, telemetry.StatusClientGone, http.StatusServiceUnavailable))
	mux.HandleFunc("/health", w.health)
	mux.Handle("/metrics", w.metrics.Handler())
	return mux
}

func newMetrics() *telemetry.Metrics {
	kinds := []string{shed}
	for _, o := range store.Outcomes() {
		if isError(o) {
			kinds = append(kinds, string(o))
		}
	}
	m := telemetry.New(kinds...)
	for _, o := range []store.Outcome{store.Busy, store.ReadOnly, store.Timeout} {
		m.DBSeries("write", string(o))
	}
	return m
}

// isError tells whether the outcome is an error of this service; a caller who went away is not.
func isError(o store.Outcome) bool { return o != store.OK && o != store.Canceled }

func (w *worker) work(rw http.ResponseWriter, r *http.Request) {
	key, err := server.Key(r)
	if err != nil {
		server.JSON(rw, http.StatusBadRequest, server.Failure{Error: err.Error(), Kind: "bad_request"})
		return
	}
	id := r.Header.Get(RequestID)
	if id == "" || len(id) > server.MaxKey {
		id = rand.Text()
	}
	ctx, cancel := w.deadline(r.Context())
	defer cancel()
	orders, err := w.place(ctx, key, id)
	answer := Answer{Key: key, ID: id, Orders: orders, DB: store.OutcomeOf(err)}
	if answer.DB == store.ReadOnly && w.config.ReadOnlyFallback {
		answer.Degraded = true
		answer.Orders, err = w.recent(ctx, key)
	}
	if err == nil && w.config.ReceiptRounds > 0 {
		answer.Receipt, err = receipt(r.Context(), id, w.config.ReceiptRounds)
	}
	if err != nil {
		w.fail(rw, store.OutcomeOf(err), err)
		return
	}
	server.JSON(rw, http.StatusOK, answer)
}

func (w *worker) fail(rw http.ResponseWriter, outcome store.Outcome, err error) {
	status := http.StatusServiceUnavailable
	switch outcome {
	case store.Canceled:
		status = telemetry.StatusClientGone
	case store.Failed, store.Corrupt:
		status = http.StatusInternalServerError
	}
	server.JSON(rw, status, Failure{Failure: server.Failure{Error: err.Error(), Kind: string(outcome)}, DB: outcome})
}

func (w *worker) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if w.config.DBTimeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, w.config.DBTimeout)
}

func (w *worker) place(ctx context.Context, key, id string) ([]store.Order, error) {
	start := time.Now()
	orders, err := w.store.Place(ctx, key, id)
	w.measure("write", err, start)
	w.note(err)
	return orders, err
}

func (w *worker) recent(ctx context.Context, key string) ([]store.Order, error) {
	start := time.Now()
	orders, err := w.store.Recent(ctx, key)
	w.measure("read", err, start)
	return orders, err
}

func (w *worker) measure(op string, err error, start time.Time) {
	outcome := store.OutcomeOf(err)
	w.metrics.DB(op, string(outcome), time.Since(start))
	if isError(outcome) {
		w.metrics.Error(string(outcome))
	}
}

// note keeps the last outcome for /health and logs when it changes.
func (w *worker) note(err error) {
	outcome := store.OutcomeOf(err)
	if outcome == store.Canceled {
		return // says nothing about the database
	}
	switch before := w.last.Swap(outcome); {
	case before == outcome:
	case err != nil:
		w.log.Warn("database trouble", "outcome", outcome, "before", before, "error", err.Error())
	default:
		w.log.Info("database ok", "before", before)
	}
}

// health is 200 while the process serves. It looks at the last write instead of at the database, which may be locked.
func (w *worker) health(rw http.ResponseWriter, _ *http.Request) {
	last := w.last.Load().(store.Outcome)
	server.JSON(rw, http.StatusOK, map[string]any{
		"status": "ok", "service": "service-b", "ready": last == store.OK, "db": last,
	})
}
