package telemetry

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	return rec.Body.String()
}

func expectLine(t *testing.T, text, line string) {
	t.Helper()
	if !slices.Contains(strings.Split(text, "\n"), line) {
		t.Errorf("no line %q in\n%s", line, text)
	}
}

func TestExactlyFourFamilies(t *testing.T) {
	m := New("busy")
	m.Instrument("/work", http.NotFoundHandler())
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(scrape(t, m), -1) {
		names = append(names, match[1]+" "+match[2])
	}
	want := []string{
		"db_operation_duration_seconds histogram", "http_request_duration_seconds histogram",
		"http_requests_total counter", "service_errors_total counter",
	}
	if !slices.Equal(names, want) {
		t.Errorf("families %q, want %q", names, want)
	}
}

func TestSeriesExistAtZero(t *testing.T) {
	m := New("busy", "readonly")
	m.Instrument("/work", http.NotFoundHandler(), 200, 503)
	text := scrape(t, m)
	for _, line := range []string{
		`http_requests_total{path="/work",status="200"} 0`,
		`http_requests_total{path="/work",status="500"} 0`,
		`http_requests_total{path="/work",status="503"} 0`,
		`http_request_duration_seconds_count{path="/work"} 0`,
		`service_errors_total{kind="busy"} 0`,
		`service_errors_total{kind="readonly"} 0`,
		`db_operation_duration_seconds_count{op="write",outcome="ok"} 0`,
	} {
		expectLine(t, text, line)
	}
}

func TestInstrumentRecordsStatusAndDuration(t *testing.T) {
	m := New()
	h := m.Instrument("/work", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("do") {
		case "write":
			fmt.Fprint(w, "hello")
		case "shed":
			w.WriteHeader(503)
		case "nothing":
		}
	}))
	for _, do := range []string{"write", "shed", "nothing"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/work?do="+do, nil))
	}
	text := scrape(t, m)
	expectLine(t, text, `http_requests_total{path="/work",status="200"} 2`)
	expectLine(t, text, `http_requests_total{path="/work",status="503"} 1`)
	expectLine(t, text, `http_request_duration_seconds_count{path="/work"} 3`)
}

func TestPanicIsCountedAs500(t *testing.T) {
	m := New()
	srv := httptest.NewUnstartedServer(m.Instrument("/work", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic("boom")
	})))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	defer srv.Close()
	if resp, err := http.Get(srv.URL); err == nil {
		resp.Body.Close()
	}
	expectLine(t, scrape(t, m), `http_requests_total{path="/work",status="500"} 1`)
}

func TestErrorAndDB(t *testing.T) {
	m := New("busy")
	m.Error("busy")
	m.DB("write", "busy", 300*time.Millisecond)
	text := scrape(t, m)
	expectLine(t, text, `service_errors_total{kind="busy"} 1`)
	expectLine(t, text, `db_operation_duration_seconds_bucket{op="write",outcome="busy",le="0.25"} 0`)
	expectLine(t, text, `db_operation_duration_seconds_bucket{op="write",outcome="busy",le="0.3"} 1`)
}

func TestBucketsRunFromOneMillisecondToTenSecondsAndHoldTheLimits(t *testing.T) {
	for _, b := range [][]float64{buckets(), dbBuckets()} {
		if !slices.IsSorted(b) || b[0] != .001 || b[len(b)-1] != 10 || !slices.Contains(b, 1) || !slices.Contains(b, .5) {
			t.Errorf("buckets %v", b)
		}
	}
}
