//go:build !race

package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chaosgate/pkg/promtest"
	"chaosgate/pkg/verdict"
)

// meddler stands between the runner and a real Prometheus server, and changes some of the answers.
type meddler struct {
	meddles func(r *http.Request, query string) bool
	// answer has the request and what the server answered to it.
	answer func(w http.ResponseWriter, r *http.Request, truth []byte)
	exit   int
}

// judged are the queries that checks ask; the others find out what was scraped, and when.
func judged(_ *http.Request, query string) bool {
	return strings.Contains(query, "http_requests_total")
}

func always(*http.Request, string) bool { return true }

// once meddles with the first query that contains a text.
func once(text string) func(*http.Request, string) bool {
	var done atomic.Bool
	return func(_ *http.Request, query string) bool {
		return strings.Contains(query, text) && done.CompareAndSwap(false, true)
	}
}

func text(status int, body string) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func changed(change func(string) string) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, _ *http.Request, truth []byte) {
		_, _ = io.WriteString(w, change(string(truth)))
	}
}

func replaced(pattern, by string) func(http.ResponseWriter, *http.Request, []byte) {
	return changed(func(truth string) string { return regexp.MustCompile(pattern).ReplaceAllString(truth, by) })
}

// An instant query's value is [1700000000.123,"0.25"].
const valuePattern = `\[([0-9.]+),"[^"]*"\]`

// meddlers are the ways in which a server can answer, or not, and the exit code that each must lead to.
func meddlers() map[string]meddler {
	var first atomic.Pointer[[]byte]
	const inconclusive, failed = verdict.ExitInconclusive, verdict.ExitError
	return map[string]meddler{
		"the truth":             {judged, changed(func(truth string) string { return truth }), verdict.ExitOpen},
		"the truth, with infos": {judged, replaced(`^\{`, `{"infos":["metric might not be a counter"],`), verdict.ExitOpen},
		"the truth, slowly": {judged, func(w http.ResponseWriter, _ *http.Request, truth []byte) {
			time.Sleep(20 * time.Millisecond)
			_, _ = w.Write(truth)
		}, verdict.ExitOpen},
		"warnings":             {judged, replaced(`^\{`, `{"warnings":["a store is not reachable"],`), inconclusive},
		"nothing":              {judged, replaced(`"result":\[.*\]`, `"result":[]`), inconclusive},
		"one target missing":   {func(_ *http.Request, query string) bool { return strings.HasPrefix(query, "sum_over_time(up") }, replaced(`\{"metric":\{[^}]*"service":"odd"[^}]*\},"value":\[[^]]*\]\},?`, ""), inconclusive},
		"NaN":                  {judged, replaced(valuePattern, `[$1,"NaN"]`), inconclusive},
		"infinity":             {judged, replaced(valuePattern, `[$1,"+Inf"]`), inconclusive},
		"no number":            {judged, replaced(valuePattern, `[$1,"many"]`), failed},
		"a value without text": {judged, replaced(valuePattern, `[$1,1]`), failed},
		"a time of long ago":   {judged, replaced(valuePattern, `[1600000000,"1"]`), failed},
		"another query's": {judged, func(w http.ResponseWriter, _ *http.Request, truth []byte) {
			first.CompareAndSwap(nil, &truth)
			_, _ = w.Write(*first.Load())
		}, inconclusive},
		"a matrix":       {judged, text(200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[]}]}}`), failed},
		"a text":         {judged, text(200, `{"status":"success","data":{"resultType":"string","result":[1,"x"]}}`), failed},
		"no data at all": {judged, text(200, `{"status":"success"}`), failed},
		"status: error":  {judged, text(422, `{"status":"error","errorType":"execution","error":"too many samples"}`), failed},
		"503":            {judged, text(503, "starting up"), failed},
		"500 with HTML":  {judged, text(500, "<html>oops</html>"), failed},
		"200 with HTML":  {judged, text(200, "<html>log in</html>"), failed},
		"401":            {judged, text(401, "who are you?"), failed},
		"cut JSON":       {judged, changed(func(truth string) string { return truth[:len(truth)/2] }), failed},
		"huge JSON":      {judged, func(w http.ResponseWriter, r *http.Request, _ []byte) { endless(w, r, 100) }, failed},
		"a gzip bomb":    {judged, func(w http.ResponseWriter, r *http.Request, _ []byte) { gzipBomb(w, r) }, failed},
		"never":          {judged, func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() }, failed},
		"a redirect loop": {judged, func(w http.ResponseWriter, r *http.Request, _ []byte) {
			http.Redirect(w, r, r.URL.String(), http.StatusFound)
		}, failed},
		"503 from the start":                      {always, text(503, "starting up"), failed},
		"one failing poll of a check's only look": {once(`status="503"`), text(503, "busy"), failed},
		"one failing poll among many":             {once(`status!="201"`), text(503, "busy"), verdict.ExitOpen},
	}
}

// meddle serves what the real server would, changed.
func meddle(t *testing.T, s promtest.Server, m meddler) *httptest.Server {
	t.Helper()
	to, err := url.Parse(s.URL)
	must(t, err)
	real := httputil.NewSingleHostReverseProxy(to)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a request that broke off asks nothing
		form, _ := url.ParseQuery(string(body))
		r.Body = io.NopCloser(bytes.NewReader(body))
		if !m.meddles(r, form.Get("query")) {
			real.ServeHTTP(w, r)
			return
		}
		r.Header.Del("Accept-Encoding") // the truth is to be read here, too
		truth := httptest.NewRecorder()
		real.ServeHTTP(truth, r)
		m.answer(w, r, truth.Body.Bytes())
	}))
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return server
}

// Whatever a server answers, the gate opens on the truth only, and the runner's memory is bounded.
func TestHostilePrometheusServers(t *testing.T) {
	s := startPrometheus(t)
	all := meddlers()
	var open, closed []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name].exit == verdict.ExitOpen {
			open = append(open, name)
		} else {
			closed = append(closed, name)
		}
	}
	judge := func(t *testing.T, name string) {
		experiment := hostileExperiment + `  - id: nearly-always
    during: slow
    promql: sum(increase(http_requests_total{service="front",status!="201"}[$window]))
    window: 1s
    every: 250ms
    hold: ratio>=50%
    expect: {min: 1}
`
		runOdd(t, all[name].exit, func() map[string]string {
			server := meddle(t, s, meddlers()[name]) // some meddle only once
			config := replaceOnce(t, fmt.Sprintf(hostileMetricsConfig, ""), "{url: embedded, interval: 100ms}", fmt.Sprintf("{url: %q, interval: 250ms, discovery: %q}", server.URL, s.Folder))
			return map[string]string{configFile: config, "odd.yaml": experiment}
		})
	}
	together(t, 2, open, judge)   // a crowd might keep one of them from being measured often enough
	together(t, 4, closed, judge) // and another from being asked in time
	s.Empty(t)
}
