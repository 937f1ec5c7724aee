package executor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/probe"
	"chaosgate/pkg/target"
	"chaosgate/pkg/verdict"
)

// lab is a small world for the executor: an environment in memory whose faults, looks and trouble the test decides, and which keeps a diary of
// what was done to it, in order.
type lab struct {
	t *testing.T

	mu     sync.Mutex
	diary  []string
	events chan target.Event

	upErr, downErr, prepareErr, injectErr, revertErr error
	unguarded                                        func() error // why nobody would take a change back
	unproven                                         bool         // Inject answers without an error and without proof
	fades                                            bool         // Check finds the effect gone
	injectFails                                      int          // the first so many injections fail
	value                                            func(check string, w probe.Window) float64
	clock                                            Clock
	hang                                             string // a check that hangs until its context ends
	answers                                          int    // how many of its looks are answered before
	onInject, onHang                                 func()
	act, load                                        func(context.Context) error
	missedAt                                         time.Time // when requests were due that were never sent
	late                                             string    // what is said of requests that were sent late
	resets                                           []metrics.Reset
	resetsErr                                        error
	patience                                         map[string]time.Duration // of the last look of each check, of reverts by "revert" and their step, and of "down"
}

func newLab(t *testing.T) *lab {
	return &lab{t: t, patience: map[string]time.Duration{}, events: make(chan target.Event, 10), value: func(string, probe.Window) float64 { return 1 }}
}

func (l *lab) write(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.diary = append(l.diary, fmt.Sprintf(format, args...))
}

// time notes how long something has.
func (l *lab) time(ctx context.Context, what string) {
	if deadline, ok := ctx.Deadline(); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.patience[what] = time.Until(deadline)
	}
}

func (l *lab) read() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.diary)
}

// The environment.

func (l *lab) Name() string { return "lab" }
func (l *lab) Close() error { return nil }
func (l *lab) Up(_ context.Context, record target.RecordUndo) error {
	if err := record(target.Undo{ID: "lab/environment", Kind: "lab.environment"}); err != nil {
		return err
	}
	l.write("up")
	return l.upErr
}

func (l *lab) Down(ctx context.Context) error {
	l.write("down")
	l.time(ctx, "down")
	close(l.events)
	return l.downErr
}
func (l *lab) URL(string) (string, error)  { return "http://127.0.0.1:1", nil }
func (l *lab) Scrapes() []target.Scrape    { return nil }
func (l *lab) Events() <-chan target.Event { return l.events }
func (l *lab) Resolve(_ context.Context, s target.Selection) ([]target.Target, error) {
	return []target.Target{{Ref: target.Ref{Service: s.Services[0], Instance: s.Services[0] + "-1"}}}, nil
}

// The source and the load.

func (l *lab) Query(context.Context, string, time.Time) (metrics.Result, error) {
	return metrics.Result{}, errors.New("not asked in these tests")
}
func (l *lab) QueryRange(context.Context, string, time.Time, time.Time, time.Duration) (metrics.Result, error) {
	return metrics.Result{Series: []metrics.Series{}}, nil
}
func (l *lab) Describe() string            { return "lab" }
func (l *lab) Flush(context.Context) error { return nil }
func (l *lab) Cut()                        { l.write("cut") }
func (l *lab) Resets(context.Context, []string, time.Time, time.Time) ([]metrics.Reset, error) {
	return l.resets, l.resetsErr
}
func (l *lab) Stop(_ context.Context, judged journal.Stretch) (string, uint64) {
	l.write("traffic stopped")
	if l.missedAt.Before(judged.To) && l.missedAt.After(judged.From) {
		return "the traffic could not keep its rate", 3
	}
	return l.late, 0
}
func (l *lab) look(ctx context.Context, _ probe.Deps, c plan.Check, w probe.Window) journal.Observation {
	if c.ID == l.hang && l.times("look "+c.ID) >= l.answers {
		if l.onHang != nil {
			l.onHang()
		}
		<-ctx.Done()
		return journal.Observation{Error: "no answer"}
	}
	l.write("look %s", c.ID)
	l.time(ctx, c.ID)
	v := metrics.Float(l.value(c.ID, w))
	return journal.Observation{At: w.To, From: w.From, Series: []metrics.Series{{Points: []metrics.Point{{V: v}}}}}
}

// The fault.

type labFault struct {
	l  *lab
	id string
}

func (f labFault) Prepare(context.Context) ([]target.Undo, error) {
	f.l.write("prepare %s", f.id)
	return []target.Undo{{Kind: "lab.fault"}}, f.l.prepareErr
}

func (f labFault) Inject(context.Context) (fault.Effect, error) {
	f.l.write("inject %s", f.id)
	if f.l.onInject != nil {
		f.l.onInject()
	}
	f.l.mu.Lock()
	defer f.l.mu.Unlock()
	if f.l.injectFails > 0 {
		f.l.injectFails--
		return fault.Effect{}, errors.New("not this time")
	}
	return fault.Effect{Proven: !f.l.unproven, Summary: "felt"}, f.l.injectErr
}

func (f labFault) Check(context.Context) (fault.Effect, error) {
	if !slices.Contains(f.l.read(), "inject "+f.id) {
		return fault.Effect{Summary: "nothing is felt"}, nil
	}
	return fault.Effect{Proven: !f.l.fades, Summary: "still felt"}, nil
}

func (f labFault) Revert(ctx context.Context) (fault.Effect, error) {
	if ctx.Err() != nil {
		f.l.write("revert %s with a dead context", f.id)
	}
	f.l.write("revert %s", f.id)
	f.l.time(ctx, "revert "+f.id)
	return fault.Effect{Proven: f.l.revertErr == nil, Summary: "gone"}, f.l.revertErr
}

func (l *lab) parts() Parts {
	return Parts{
		Guarded: func() error {
			if l.unguarded == nil {
				return nil
			}
			return l.unguarded()
		},
		Open: func(plan.Plan) (target.Environment, error) { return l, nil },
		Load: func(ctx context.Context, _ plan.Plan, _ target.Environment) (Load, error) {
			if l.load == nil {
				return l, nil
			}
			return l, l.load(ctx)
		},
		Measure: func(context.Context, plan.Plan, target.Environment, Load, target.RecordUndo) (Metrics, error) {
			return l, nil
		},
		Look:  l.look,
		Clock: l.clock,
		Act: func(ctx context.Context, _ probe.Deps, _ plan.Action) error {
			if l.act == nil {
				return nil
			}
			return l.act(ctx)
		},
		Fault: func(kind string) (fault.Kind, bool) {
			k := fault.Kind{New: func(r fault.Request) (fault.Fault, error) { return labFault{l, r.ID}, nil }}
			if kind == "lab.stop" {
				k.Needs = []target.Capability{target.CanStart}
			}
			return k, true
		},
	}
}

// run runs one experiment and answers its verdict and its journal.
func (l *lab) run(ctx context.Context, p plan.Plan, mode Mode) (verdict.Verdict, []journal.Event) {
	l.t.Helper()
	path := filepath.Join(l.t.TempDir(), "journal.jsonl")
	w, err := journal.Create(path)
	if err != nil {
		l.t.Fatal(err)
	}
	info := journal.RunInfo{FormatVersion: journal.FormatVersion, RunID: "r", DryRun: mode == DryRun}
	if err := w.Append(journal.Entry{Type: journal.RunStarted, Data: info}); err != nil {
		l.t.Fatal(err)
	}
	if err := Run(ctx, w, []plan.Plan{p}, l.parts(), Options{Jobs: 1, Mode: mode}); err != nil {
		l.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		l.t.Fatal(err)
	}
	events, err := journal.ReadFile(path)
	if err != nil {
		l.t.Fatal(err)
	}
	v, err := verdict.Decide(events)
	if err != nil {
		l.t.Fatal(err)
	}
	return v, events
}

const ms = plan.Duration(time.Millisecond)

func check(id string) *plan.Check {
	return &plan.Check{
		ID: id, Required: true, Mode: plan.AtEnd, Every: 5 * ms,
		Probe:  plan.Probe{Kind: "promql", Promql: &plan.Promql{Query: "q"}},
		Expect: []plan.Expect{{On: "value", Op: plan.Max, Limit: 5}},
	}
}

func faultStep(id string, duration plan.Duration, needs ...string) plan.Step {
	return plan.Step{ID: id, When: plan.WhenPass, Needs: needs, Fault: &plan.Fault{
		Kind: "lab.fault", Duration: duration, Selection: target.Selection{Services: []string{"a"}},
	}}
}

func probeStep(id, during string, needs ...string) plan.Step {
	return plan.Step{ID: id, When: plan.WhenPass, During: during, Needs: needs, Check: check(id)}
}

func labPlan(steps ...plan.Step) plan.Plan {
	return plan.Plan{
		Name: "e", Interval: 5 * ms, SteadyFor: 10 * ms, Timeout: 10_000 * ms, Steady: []plan.Check{*check("calm")},
		Recovery: plan.Recovery{Within: 1000 * ms, For: 10 * ms, Takes: 10 * ms}, Steps: steps,
	}
}

// before fails unless each of the entries is in the diary, in this order.
func (l *lab) before(entries ...string) {
	l.t.Helper()
	diary := l.read()
	at := 0
	for _, e := range entries {
		i := slices.Index(diary[at:], e)
		if i < 0 {
			l.t.Fatalf("%q is not where it belongs in %q", e, diary)
		}
		at += i + 1
	}
}

func (l *lab) never(entry string) {
	l.t.Helper()
	if diary := l.read(); slices.Contains(diary, entry) {
		l.t.Errorf("%q happened: %q", entry, diary)
	}
}

func (l *lab) times(entry string) int {
	n := 0
	for _, e := range l.read() {
		if e == entry {
			n++
		}
	}
	return n
}

func closedWith(t *testing.T, v verdict.Verdict, exit int, rule string) {
	t.Helper()
	if v.Gate != verdict.Closed || v.ExitCode() != exit {
		t.Errorf("gate %s, exit %d; want closed and %d: %+v", v.Gate, v.ExitCode(), exit, v.Reasons)
	}
	if !slices.ContainsFunc(v.Reasons, func(r verdict.Reason) bool { return r.Rule == rule }) {
		t.Errorf("no reason by rule %q: %+v", rule, v.Reasons)
	}
}

func open(t *testing.T, v verdict.Verdict) {
	t.Helper()
	if v.Gate != verdict.Open {
		t.Errorf("the gate is %s: %+v", v.Gate, v.Reasons)
	}
}
