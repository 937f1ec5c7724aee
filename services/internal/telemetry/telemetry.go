// Package telemetry holds the four metric families that both services expose, and no others:
//
//	http_requests_total{path,status}            requests answered
//	http_request_duration_seconds{path}         their duration
//	service_errors_total{kind}                  what went wrong inside, whether or not the caller saw it
//	db_operation_duration_seconds{op,outcome}   database operations; stays at zero where there is no database
//
// Only user traffic is instrumented: a scrape or a health check never moves a ratio. Series that are known beforehand
// exist at 0 from the start, because a counter that is born with a value hides its first increase from rate().
// The scraper adds the service and instance labels.
package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// StatusClientGone is recorded when the caller hung up before the answer; it is nginx's number for it.
const StatusClientGone = 499

// Metrics is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	errors   *prometheus.CounterVec
	db       *prometheus.HistogramVec
}

// New makes the families with the given kinds of error at 0.
func New(kinds ...string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total", Help: "Requests answered, by path and status.",
		}, []string{"path", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "Time from a request's header to the end of its answer.", Buckets: buckets(),
		}, []string{"path"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "service_errors_total", Help: "Errors inside the service, by kind, including those its callers never saw.",
		}, []string{"kind"}),
		db: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "db_operation_duration_seconds", Help: "Database operations, waiting for the connection included.", Buckets: dbBuckets(),
		}, []string{"op", "outcome"}),
	}
	m.registry.MustRegister(m.requests, m.duration, m.errors, m.db)
	for _, kind := range kinds {
		m.errors.WithLabelValues(kind)
	}
	m.DBSeries("write", "ok")
	m.DBSeries("read", "ok")
	return m
}

// DBSeries makes the series of an operation and its outcome exist at 0.
func (m *Metrics) DBSeries(op, outcome string) { m.db.WithLabelValues(op, outcome) }

// buckets are dense between 100 ms and 1 s, where the limits of the experiments lie.
func buckets() []float64 {
	return []float64{
		.001, .002, .003, .005, .0075, .01, .015, .02, .03, .04, .05, .075, .1, .15, .2, .25, .3, .4, .5, .6, .7, .8, .9,
		1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10,
	}
}

// dbBuckets are few, because there is a series of them for each operation and outcome.
func dbBuckets() []float64 {
	return []float64{.001, .002, .005, .01, .02, .05, .1, .2, .25, .3, .5, 1, 2, 5, 10}
}

// Error counts one error of the kind.
func (m *Metrics) Error(kind string) { m.errors.WithLabelValues(kind).Inc() }

// DB records one database operation.
func (m *Metrics) DB(op, outcome string, took time.Duration) {
	m.db.WithLabelValues(op, outcome).Observe(took.Seconds())
}

// Handler serves the families in the text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Instrument counts and times what next answers, under the given path label; a panic becomes a 500.
// The series of the given statuses exist at 0 from the start.
func (m *Metrics) Instrument(path string, next http.Handler, statuses ...int) http.Handler {
	m.duration.WithLabelValues(path)
	for _, status := range append(statuses, http.StatusInternalServerError) {
		m.requests.WithLabelValues(path, strconv.Itoa(status))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, rec := time.Now(), &recorder{ResponseWriter: w}
		defer func() {
			trouble := recover()
			if trouble != nil && rec.status == 0 {
				http.Error(rec, "internal error", http.StatusInternalServerError)
			}
			m.requests.WithLabelValues(path, strconv.Itoa(rec.code())).Inc()
			m.duration.WithLabelValues(path).Observe(time.Since(start).Seconds())
			if trouble != nil {
				panic(trouble) // net/http logs it with its stack and closes the connection
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}
