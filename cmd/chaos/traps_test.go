//go:build !race

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/probe"
	"chaosgate/pkg/promtest"
	"chaosgate/pkg/verdict"
)

// exporter is a service that a real server scrapes; what it exports is set by the test.
type exporter struct {
	t      *testing.T
	text   atomic.Value
	server *metrics.Server
}

func newExporter(t *testing.T, s promtest.Server, text string) *exporter {
	t.Helper()
	e := &exporter{t: t}
	e.text.Store(text)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprint(w, e.text.Load())
	}))
	t.Cleanup(web.Close)
	experiment := strings.ReplaceAll(t.Name(), "/", "-")
	r, err := metrics.NewRemote(metrics.RemoteOptions{URL: s.URL, Interval: 250 * time.Millisecond, Experiment: experiment})
	must(t, err)
	targets := []metrics.Target{{URL: web.URL + "/metrics", Labels: map[string]string{"service": "a", "instance": "a-1"}}}
	a, err := metrics.Announce(metrics.AnnouncementPath(s.Folder, experiment), experiment, targets, nil)
	must(t, err)
	e.server = metrics.NewServer(r, 250*time.Millisecond, []string{"a"}, a)
	t.Cleanup(func() { must(t, e.server.Close()) })
	must(t, e.server.Await(t.Context()))
	return e
}

// phase is a stretch in which something else is exported at once, and which ends with a scrape.
func (e *exporter) phase(text string) probe.Window {
	e.t.Helper()
	must(e.t, e.server.Flush(e.t.Context()))
	e.text.Store(text)
	w := probe.Window{Phase: journal.Method, From: time.Now()}
	for range 4 {
		must(e.t, e.server.Flush(e.t.Context()))
	}
	w.To = time.Now()
	return w
}

func (e *exporter) judge(p plan.Probe, limit float64, w probe.Window) (verdict.Judgement, journal.Observation) {
	e.t.Helper()
	c := plan.Check{ID: "c", Required: true, Mode: plan.AtEnd, Probe: p, Expect: []plan.Expect{{On: "value", Op: plan.Max, Limit: limit}}}
	o := probe.Look(e.t.Context(), probe.Deps{Source: e.server}, c, w)
	return verdict.JudgeLook(c, o), o
}

const answered = "# TYPE requests_total counter\nrequests_total{status=\"200\"} %d\n"

// The traps of PromQL that the embedded storage avoids by its own means: a real server has to avoid them by others.
func TestTrapsOfARealPrometheus(t *testing.T) {
	s := startPrometheus(t)
	ratio := plan.Probe{Kind: "ratio", Ratio: &plan.Ratio{Part: `requests_total{status="500"}`, Total: "requests_total"}}
	t.Run("a burst before the first scrape of a phase", func(t *testing.T) {
		t.Parallel()
		failed := "requests_total{status=\"500\"} %d\n"
		e := newExporter(t, s, fmt.Sprintf(answered+failed, 1000, 0))
		j, o := e.judge(ratio, 0.02, e.phase(fmt.Sprintf(answered+failed, 1400, 40)))
		if j.State == verdict.Pass || o.Outer == nil || o.Outer.Events[verdict.EventsPart] < 20 {
			t.Errorf("40 of 440 failed: got %+v, by %+v", j, o.Outer)
		}
	})
	t.Run("a counter that is born with a value", func(t *testing.T) {
		t.Parallel()
		e := newExporter(t, s, fmt.Sprintf(answered, 1000))
		j, _ := e.judge(ratio, 0.02, e.phase(fmt.Sprintf(answered, 1400)+"requests_total{status=\"500\"} 40\n"))
		if j.State != verdict.Inconclusive || !strings.Contains(j.Reason, "with a value already") {
			t.Errorf("got %+v", j)
		}
	})
	t.Run("the gauge of a dead exporter", func(t *testing.T) {
		t.Parallel()
		e := newExporter(t, s, "queue_length 1\n")
		must(t, e.server.Flush(t.Context()))
		e.text.Store("not metrics\n")
		must(t, e.server.Flush(t.Context()))
		w := e.phase("not metrics\n")
		j, _ := e.judge(plan.Probe{Kind: "promql", Promql: &plan.Promql{Query: "queue_length"}}, 5, w)
		if j.State != verdict.Inconclusive || j.Rule != verdict.RuleNoData {
			t.Errorf("got %+v", j)
		}
	})
}
