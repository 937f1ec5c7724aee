//go:build !race

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chaosgate/pkg/executor"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/probe"
	"chaosgate/pkg/progress"
	"chaosgate/pkg/promtest"
	"chaosgate/pkg/target"
	"chaosgate/pkg/traffic"
	"chaosgate/pkg/verdict"
)

// twins are one run as two sources saw it: a real server, whose looks are in the run's journal, and the embedded storage, which is asked over the same phases.
type twins struct {
	running
	t *testing.T

	mu       sync.Mutex
	embedded []journal.Observation       // each carried by number in the server's look
	scrapers map[string]*metrics.Scraper // by experiment
}

// twin is both sources of one experiment. It is the server, except that a boundary is scraped by both.
type twin struct {
	*metrics.Server
	scraper *metrics.Scraper
}

func (w *twin) Flush(ctx context.Context) error {
	flushed := make(chan error, 1)
	go func() { flushed <- w.scraper.Flush(ctx) }()
	return errors.Join(w.Server.Flush(ctx), <-flushed)
}

func (w *twin) Close() error { return errors.Join(w.Server.Close(), w.scraper.Close()) }

const twinNumber = "twin"

// look asks both over the same phase.
func (w *twins) look(ctx context.Context, d probe.Deps, c plan.Check, window probe.Window) journal.Observation {
	both := d.Source.(*twin)
	d.Source = both.Server
	served := probe.Look(ctx, d, c, window)
	if !c.Probe.Metric() {
		return served
	}
	d.Source = both.scraper
	embedded := probe.Look(ctx, d, c, window)
	w.mu.Lock()
	defer w.mu.Unlock()
	served.Text = map[string]string{twinNumber: fmt.Sprint(len(w.embedded))}
	w.embedded = append(w.embedded, embedded)
	return served
}

func (w *twins) parts(s *session) executor.Parts {
	parts := w.running.parts(s, nil)
	parts.Guarded = func() error { return nil } // the test ends what it has begun
	serve := parts.Measure
	parts.Look = w.look
	parts.Measure = func(ctx context.Context, p plan.Plan, env target.Environment, l executor.Load, record target.RecordUndo) (executor.Metrics, error) {
		m, err := serve(ctx, p, env, l, record)
		if err != nil {
			return nil, err
		}
		both := &twin{Server: m.(*metrics.Server), scraper: metrics.NewScraper(time.Duration(p.Interval), scrapeTargets(env), collectors(l))}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.scrapers[p.Name] = both.scraper
		return both, nil
	}
	return parts
}

// asEmbedded is the journal as it would be if only the embedded storage had been asked.
func (w *twins) asEmbedded(events []journal.Event) []journal.Event {
	w.t.Helper()
	var all []journal.Event
	for _, e := range events {
		switch e.Type {
		case journal.Looked:
			e.Data = w.relook(e)
		case journal.CoverageKept:
			e.Data = w.recover(e)
		case journal.FindingNoted:
			if strings.Contains(string(e.Data), journal.CounterReset) {
				continue // a note, and the server's
			}
		}
		all = append(all, e)
	}
	return all
}

func (w *twins) relook(e journal.Event) json.RawMessage {
	o, err := journal.Decode[journal.Observation](e)
	must(w.t, err)
	var number int
	if _, err := fmt.Sscan(o.Text[twinNumber], &number); err != nil {
		return e.Data // no metric
	}
	other := w.embedded[number]
	other.Phase, other.Offset = o.Phase, o.Offset
	return encode(w.t, other)
}

// recover asks the embedded storage for what the server knew of a phase.
func (w *twins) recover(e journal.Event) json.RawMessage {
	c, err := journal.Decode[journal.Coverage](e)
	must(w.t, err)
	c.Targets, err = metrics.Coverage(context.Background(), w.scrapers[e.Experiment], []string{"service-a", "service-b", traffic.Service}, 250*time.Millisecond, c.From, c.To)
	must(w.t, err)
	return encode(w.t, c)
}

func encode(t *testing.T, v any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	return text
}

// runTwins runs experiments of the shipped project once and answers what each source makes of them.
func runTwins(t *testing.T, s promtest.Server, dir, weakened string, names ...string) (served, embedded verdict.Verdict) {
	t.Helper()
	program, err := exec.LookPath("chaos")
	must(t, err)
	here, err := os.Getwd()
	must(t, err)
	sys := system{stderr: os.Stderr, env: func(string) string { return "" }, dir: here, program: program}
	f := runFlags{selection: selection{config: filepath.Join(dir, configFile), weakened: weakened, seed: 2, seeded: true}, jobs: 3, quiet: true}
	r, err := newRunning(sys, f, shipped(t, names...))
	must(t, err)
	w := &twins{running: r, t: t, scrapers: map[string]*metrics.Scraper{}}
	path := filepath.Join(t.TempDir(), journalFile)
	j, err := journal.Create(path)
	must(t, err)
	id := runID(time.Now())
	must(t, j.Append(journal.Entry{Type: journal.RunStarted, Data: journal.RunInfo{FormatVersion: journal.FormatVersion, RunID: id}}))
	must(t, executor.Run(t.Context(), j, r.input.plans, w.parts(&session{id: id, dir: t.TempDir(), progress: progress.New()}), executor.Options{Jobs: f.jobs, Mode: executor.Inject}))
	must(t, j.Close())
	events, err := journal.ReadFile(path)
	must(t, err)
	served, err = verdict.Decide(events)
	must(t, err)
	embedded, err = verdict.Decide(w.asEmbedded(events))
	must(t, err)
	return served, embedded
}

// One live run, judged by what each of the two sources saw of it: every check has the same state, and so has every experiment.
func TestARealPrometheusComesToTheSameStates(t *testing.T) {
	s := startPrometheus(t)
	dir := shippedProject(t, s)
	for _, c := range []struct {
		weakened    string
		experiments []string
		gate        verdict.Gate
	}{
		{"", []string{"service-kill", "service-restart", "network-latency", "network-partition", "database-failure", "memory-spike"}, verdict.Open},
		// Those that are not ended early: an abort condition is watched as the run goes, and which look breaches it first differs.
		{"no-fallback", []string{"service-stop", "connection-reset"}, verdict.Closed},
	} {
		var served, embedded verdict.Verdict
		untilDecided(t, func() (string, bool) { // the embedded storage stands still with this process, and may miss what the server sees
			served, embedded = runTwins(t, s, dir, c.weakened, c.experiments...)
			return fmt.Sprintf("%+v\n%+v", served.Reasons, embedded.Reasons), !undecided(served) && !undecided(embedded)
		})
		if served.Gate != c.gate || embedded.Gate != c.gate || served.State != embedded.State {
			t.Errorf("weakened %q: the server comes to %s %s, the embedded storage to %s %s, want %s\n%+v\n%+v",
				c.weakened, served.State, served.Gate, embedded.State, embedded.Gate, c.gate, served.Reasons, embedded.Reasons)
		}
		if len(served.Experiments) != len(c.experiments) {
			t.Errorf("weakened %q: %d experiments, want %d", c.weakened, len(served.Experiments), len(c.experiments))
		}
		for i, e := range served.Experiments {
			sameStates(t, e, embedded.Experiments[i])
		}
	}
	s.Empty(t)
}

// undecided says whether an experiment of a run was left undecided.
func undecided(v verdict.Verdict) bool {
	return slices.ContainsFunc(v.Experiments, func(e verdict.Experiment) bool { return e.State == verdict.Inconclusive })
}

func sameStates(t *testing.T, served, embedded verdict.Experiment) {
	t.Helper()
	if served.State != embedded.State || len(served.Checks) != len(embedded.Checks) {
		t.Errorf("%s: the server says %s, the embedded storage %s", served.Name, served.State, embedded.State)
	}
	for i, s := range served.Checks {
		e := embedded.Checks[i]
		if s.ID != e.ID || s.State != e.State {
			t.Errorf("%s/%s (%s): the server says %s (%s), the embedded storage %s (%s)", served.Name, s.ID, s.Role, s.State, s.Reason, e.State, e.Reason)
		}
	}
}
