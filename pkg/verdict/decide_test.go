package verdict

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

// story is a journal in the making; each test tells the good story and spoils one thing.
type story struct {
	t      *testing.T
	events []journal.Event
	spoil  func(journal.Event) (journal.Event, bool) // false drops the event
}

func (s *story) note(typ journal.Type, experiment, step string, data any) {
	s.t.Helper()
	raw, err := json.Marshal(data)
	if err != nil {
		s.t.Fatal(err)
	}
	n := int64(len(s.events) + 1)
	e := journal.Event{Seq: n, Mono: time.Duration(n) * time.Millisecond, Type: typ, Experiment: experiment, Step: step, Attempt: 1, Data: raw}
	if s.spoil != nil {
		var keep bool
		if e, keep = s.spoil(e); !keep {
			return
		}
	}
	s.events = append(s.events, e)
}

func samplePlan() plan.Plan {
	steady := promql("", "", atMost(5))
	steady.ID = "calm"
	during := promql("", "", atMost(5))
	during.ID = "holds"
	abort := promql("", "", atMost(5))
	abort.ID, abort.For = "outage", plan.Duration(time.Second)
	return plan.Plan{
		Name: "e", Steady: []plan.Check{steady}, Abort: []plan.Check{abort},
		Recovery: plan.Recovery{Within: plan.Duration(time.Second), For: plan.Duration(250 * time.Millisecond), Takes: plan.Duration(250 * time.Millisecond)},
		Steps: []plan.Step{
			{ID: "hit", When: plan.WhenPass, Fault: &plan.Fault{Kind: "network.latency", Duration: plan.Duration(time.Second)}},
			{ID: "holds", When: plan.WhenPass, During: "hit", Check: &during},
		},
	}
}

func seen(phase journal.PhaseName, offset time.Duration, v float64) journal.Observation {
	return journal.Observation{Phase: phase, Offset: plan.Duration(offset), Series: series(v)}
}

// goodRun is the journal of a run in which everything went well.
func goodRun(t *testing.T, spoil func(journal.Event) (journal.Event, bool)) []journal.Event {
	s := &story{t: t, spoil: spoil}
	ok := journal.Outcome{OK: true}
	s.note(journal.RunStarted, "", "", journal.RunInfo{FormatVersion: "1", RunID: "r", Seed: 42})
	s.note(journal.Planned, "e", "", samplePlan())
	s.note(journal.ExperimentStarted, "e", "", nil)
	s.note(journal.UndoRecorded, "e", "", target.Undo{ID: "env", Kind: "process.environment"})
	s.note(journal.EnvironmentUp, "e", "", journal.EnvironmentInfo{Services: []string{"a"}})
	s.note(journal.PhaseStarted, "e", "", journal.Phase{Name: journal.Steady})
	s.note(journal.Looked, "e", "calm", seen(journal.Steady, 0, 1))
	s.note(journal.UndoRecorded, "e", "hit", target.Undo{ID: "u", Kind: "network.latency"})
	s.note(journal.FaultArmed, "e", "hit", journal.FaultInfo{Targets: []target.Target{{Ref: target.Ref{Instance: "a-1"}}}, Undos: []string{"u"}})
	s.note(journal.PhaseStarted, "e", "", journal.Phase{Name: journal.Method})
	s.note(journal.StepStarted, "e", "hit", nil)
	s.note(journal.FaultActive, "e", "hit", fault.Effect{Proven: true, Summary: "slower"})
	s.note(journal.Looked, "e", "outage", seen(journal.Method, 0, 1))
	s.note(journal.FaultEnding, "e", "hit", nil)
	s.note(journal.Looked, "e", "holds", seen(journal.Method, 0, 2))
	s.note(journal.StepEnded, "e", "holds", journal.StepResult{Status: journal.Done, State: "PASS"})
	s.note(journal.FaultChecked, "e", "hit", fault.Effect{Proven: true, Summary: "carried traffic"})
	s.note(journal.FaultReverted, "e", "hit", fault.Effect{Proven: true, Summary: "as before"})
	s.note(journal.UndoDone, "e", "hit", journal.UndoResult{ID: "u", Verified: true, By: "run"})
	s.note(journal.StepEnded, "e", "hit", journal.StepResult{Status: journal.Done})
	s.note(journal.PhaseStarted, "e", "", journal.Phase{Name: journal.Recovery})
	s.note(journal.Looked, "e", "calm", seen(journal.Recovery, 250*time.Millisecond, 9))
	s.note(journal.Looked, "e", "calm", seen(journal.Recovery, 500*time.Millisecond, 1))
	s.note(journal.Recovered, "e", "", journal.RecoveryResult{Held: true})
	s.note(journal.CoverageKept, "e", "", journal.Coverage{Phase: journal.Steady, Targets: []metrics.Covered{{Service: "a", Instance: "a-1", Expected: 12, Got: 12}}})
	s.note(journal.EnvironmentDown, "e", "", ok)
	s.note(journal.UndoDone, "e", "", journal.UndoResult{ID: "env", Verified: true, By: "run"})
	s.note(journal.ExperimentEnded, "e", "", journal.ExperimentResult{Outcome: ok})
	s.note(journal.RunEnded, "", "", ok)
	return s.events
}

func decide(t *testing.T, events []journal.Event) Verdict {
	t.Helper()
	v, err := Decide(events)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheGateOpensWhenEverythingIsShown(t *testing.T) {
	v := decide(t, goodRun(t, nil))
	if v.Gate != Open || v.State != Pass || len(v.Reasons) != 0 || v.ExitCode() != ExitOpen {
		t.Fatalf("gate %s, state %v, reasons %v", v.Gate, v.State, v.Reasons)
	}
	e := v.Experiments[0]
	if e.Recovery.Took != plan.Duration(250*time.Millisecond) {
		t.Errorf("recovered after %v, want 250ms: the first moment from which it held", time.Duration(e.Recovery.Took))
	}
	if f := e.Faults[0]; !f.Effective || !f.Reverted || f.Targets[0] != "a-1" || f.ActiveTo <= f.ActiveFrom {
		t.Errorf("fault %+v", f)
	}
}

func TestAControlNeverOpensTheGate(t *testing.T) {
	events := goodRun(t, func(e journal.Event) (journal.Event, bool) {
		if e.Type == journal.RunStarted {
			e.Data, _ = json.Marshal(journal.RunInfo{FormatVersion: "1", Control: "without-fault"})
		}
		return e, true
	})
	v := decide(t, events)
	if v.Gate != Closed || v.ExitCode() != ExitInconclusive || v.Experiments[0].State != Pass {
		t.Errorf("gate %s, exit %d, experiment %v; want it closed although the experiment passes", v.Gate, v.ExitCode(), v.Experiments[0].State)
	}
}

// Rule 8: what happened to an instance inside a window is said beside what the window shows.
func TestWhatHappensInsideAWindowIsNoted(t *testing.T) {
	begin := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	at := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Second) }
	s := &story{t: t, spoil: func(e journal.Event) (journal.Event, bool) {
		e.Time = begin
		return e, true
	}}
	s.note(journal.RunStarted, "", "", journal.RunInfo{FormatVersion: "1"})
	s.note(journal.Planned, "e", "", samplePlan())
	s.note(journal.ExperimentStarted, "e", "", nil)
	s.note(journal.EnvironmentUp, "e", "", journal.EnvironmentInfo{})
	s.note(journal.PhaseStarted, "e", "", journal.Phase{Name: journal.Method})
	o := seen(journal.Method, 0, 2)
	o.From, o.At = at(10), at(20)
	s.note(journal.Looked, "e", "holds", o)
	calm := seen(journal.Steady, 0, 1)
	calm.From, calm.At = at(1), at(4)
	s.note(journal.Looked, "e", "calm", calm)
	for _, i := range []target.Event{
		{Type: target.Started, Instance: "a-1", Time: at(-1)}, {Type: target.Exited, Instance: "a-1", Time: at(15), Detail: "killed by signal 9 (fault)"},
		{Type: target.Started, Instance: "a-1", Time: at(16)}, {Type: target.Exited, Instance: "b-1", Time: at(21), Detail: "later"},
	} {
		s.note(journal.InstanceEvent, "e", "", i)
	}
	s.note(journal.FindingNoted, "e", "", journal.Finding{Kind: journal.CounterReset, Subject: "a-1", Message: "counters fell", At: at(17)})
	checks := map[string][]string{}
	for _, c := range decide(t, s.events).Experiments[0].Checks {
		checks[c.ID] = c.Notes
	}
	want := []string{"a-1 ended inside the window: killed by signal 9 (fault)", "a-1 was started again inside the window", "counters fell"}
	if !slices.Equal(checks["holds"], want) {
		t.Errorf("got %q, want %q", checks["holds"], want)
	}
	if len(checks["calm"]) > 0 {
		t.Errorf("a calm window has the notes %q", checks["calm"])
	}
}

// Every event of the good story carries weight: without it the gate must not open, unless the event is only for show.
func TestTheGateStaysClosedWhenAnyEvidenceIsMissing(t *testing.T) {
	forShow := []journal.Type{journal.StepStarted, journal.FaultEnding, journal.Recovered}
	all := goodRun(t, nil)
	for i := 1; i < len(all); i++ {
		missing := all[i]
		if slices.Contains(forShow, missing.Type) || missing.Type == journal.PhaseStarted {
			continue
		}
		events := slices.Delete(slices.Clone(all), i, i+1)
		v, err := Decide(events)
		if missing.Type == journal.Looked && strings.Contains(string(missing.Data), `"v":9`) {
			continue // a failed look of the recovery, followed by one that held
		}
		if err == nil && v.Gate == Open {
			t.Errorf("the gate opened without event %d (%s %s)", missing.Seq, missing.Type, missing.Step)
		}
		if err == nil && v.ExitCode() == 0 {
			t.Errorf("exit 0 without event %d (%s)", missing.Seq, missing.Type)
		}
	}
}

// A run that died at any event is closed.
func TestTheGateStaysClosedForEveryPrefix(t *testing.T) {
	all := goodRun(t, nil)
	for n := 1; n < len(all); n++ {
		v := decide(t, all[:n])
		if v.Gate == Open || v.ExitCode() == 0 {
			t.Errorf("the gate opened for a run that ended at event %d (%s)", n, all[n-1].Type)
		}
	}
	if _, err := Decide(nil); err == nil {
		t.Error("an empty journal has a verdict")
	}
}

func replace(typ journal.Type, step string, data any) func(journal.Event) (journal.Event, bool) {
	return func(e journal.Event) (journal.Event, bool) {
		if e.Type == typ && e.Step == step {
			e.Data, _ = json.Marshal(data)
		}
		return e, true
	}
}

func TestWhatClosesTheGate(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(journal.Event) (journal.Event, bool)
		state State
		rule  string
		exit  int
	}{
		"check fails":              {replace(journal.Looked, "holds", seen(journal.Method, 0, 9)), Fail, RuleLimit, 1},
		"check without data":       {replace(journal.Looked, "holds", journal.Observation{Phase: journal.Method}), Inconclusive, RuleNoData, 4},
		"check could not look":     {replace(journal.Looked, "holds", journal.Observation{Phase: journal.Method, Error: "refused"}), Error, RuleLook, 5},
		"steady state not met":     {replace(journal.Looked, "calm", seen(journal.Steady, 0, 9)), Inconclusive, "steady-state", 4},
		"no effect":                {replace(journal.FaultActive, "hit", fault.Effect{Summary: "as fast as before"}), Inconclusive, "no-effect", 4},
		"effect lost before end":   {replace(journal.FaultChecked, "hit", fault.Effect{Summary: "no traffic passed"}), Inconclusive, "no-effect", 4},
		"revert not verified":      {replace(journal.FaultReverted, "hit", fault.Effect{Summary: "still slow"}), Dirty, "revert", 6},
		"undo not verified":        {replace(journal.UndoDone, "hit", journal.UndoResult{ID: "u", Error: "x"}), Dirty, "rollback", 6},
		"environment not clean":    {replace(journal.EnvironmentDown, "", journal.Outcome{Error: "port open"}), Dirty, "environment", 6},
		"step skipped":             {replace(journal.StepEnded, "holds", journal.StepResult{Status: journal.Skipped, Reason: "x"}), Inconclusive, "skipped", 4},
		"step timed out":           {replace(journal.StepEnded, "holds", journal.StepResult{Status: journal.TimedOut, Error: "x"}), Error, "timed-out", 5},
		"injection failed":         {replace(journal.StepEnded, "hit", journal.StepResult{Status: journal.Failed, Error: "x"}), Error, "failed", 5},
		"never recovered":          {replace(journal.Looked, "calm", seen(journal.Recovery, 3*time.Second, 9)), Inconclusive, "steady-state", 4},
		"abort condition blind":    {replace(journal.Looked, "outage", journal.Observation{Phase: journal.Method}), Inconclusive, RuleNoData, 4},
		"experiment failed to end": {replace(journal.ExperimentEnded, "", journal.ExperimentResult{}), Error, "error", 5},
		"run failed":               {replace(journal.RunEnded, "", journal.Outcome{Error: "disk full"}), Error, "run-failed", 5},
	} {
		v := decide(t, goodRun(t, c.spoil))
		if v.Gate != Closed || v.State != c.state || v.ExitCode() != c.exit {
			t.Errorf("%s: gate %s, state %v, exit %d; want closed, %v, %d: %v", name, v.Gate, v.State, v.ExitCode(), c.state, c.exit, v.Reasons)
		}
		if !slices.ContainsFunc(v.Reasons, func(r Reason) bool { return r.Rule == c.rule }) {
			t.Errorf("%s: no reason by rule %s: %v", name, c.rule, v.Reasons)
		}
	}
}

func TestWhatIsAddedCloses(t *testing.T) {
	end := func(add ...journal.Event) []journal.Event {
		all := goodRun(t, nil)
		return slices.Insert(all, len(all)-2, add...)
	}
	event := func(typ journal.Type, experiment string, data any) journal.Event {
		raw, _ := json.Marshal(data)
		return journal.Event{Type: typ, Experiment: experiment, Data: raw}
	}
	for name, c := range map[string]struct {
		event journal.Event
		exit  int
	}{
		"aborted":           {event(journal.Aborted, "e", journal.AbortInfo{Cause: "condition", By: "outage", Reason: "x"}), 1},
		"out of time":       {event(journal.Aborted, "e", journal.AbortInfo{Cause: "timeout", Reason: "x"}), 5},
		"interrupted":       {event(journal.Aborted, "e", journal.AbortInfo{Cause: "interrupt", By: "SIGINT"}), 130},
		"terminated":        {event(journal.Aborted, "e", journal.AbortInfo{Cause: "interrupt", By: "SIGTERM"}), 143},
		"another is left":   {event(journal.UndoRecorded, "e", target.Undo{ID: "u2", Kind: "service.pause"}), 6},
		"a closing finding": {event(journal.FindingNoted, "e", journal.Finding{Kind: "x", Closes: "INCONCLUSIVE"}), 4},
		"one not run":       {event(journal.Planned, "f", plan.Plan{Name: "f"}), 5},
	} {
		v := decide(t, end(c.event))
		if v.Gate != Closed || v.ExitCode() != c.exit {
			t.Errorf("%s: gate %s, exit %d, want closed and %d: %v", name, v.Gate, v.ExitCode(), c.exit, v.Reasons)
		}
	}
	open := decide(t, end(event(journal.FindingNoted, "e", journal.Finding{Kind: "x"})))
	if open.Gate != Open {
		t.Errorf("a finding that closes nothing closed the gate: %v", open.Reasons)
	}
}

// A run that was killed and then cleaned up by its guard is an error, but the environment is not dirty.
func TestGuardCleansUpAfterAKilledRun(t *testing.T) {
	all := goodRun(t, nil)
	at := slices.IndexFunc(all, func(e journal.Event) bool { return e.Type == journal.FaultEnding })
	killed := all[:at]
	if v := decide(t, killed); v.ExitCode() != ExitDirty {
		t.Errorf("before the guard: exit %d, want %d", v.ExitCode(), ExitDirty)
	}
	for _, id := range []string{"u", "env"} {
		raw, _ := json.Marshal(journal.UndoResult{ID: id, Verified: true, By: "guard"})
		e := journal.Event{Type: journal.UndoDone, Experiment: "e", Data: raw}
		if id == "u" {
			e.Step = "hit"
		}
		killed = append(killed, e)
	}
	v := decide(t, killed)
	if v.ExitCode() != ExitError || v.Gate != Closed {
		t.Errorf("after the guard: exit %d, gate %s; want %d and closed: %v", v.ExitCode(), v.Gate, ExitError, v.Reasons)
	}
}

func TestDryRunAndEmptyRunDoNotOpen(t *testing.T) {
	dry := goodRun(t, replace(journal.RunStarted, "", journal.RunInfo{FormatVersion: "1", RunID: "r", DryRun: true}))
	if v := decide(t, dry); v.Gate == Open || v.ExitCode() == 0 {
		t.Errorf("a dry run opened the gate: %+v", v)
	}
	all := goodRun(t, nil)
	empty := []journal.Event{all[0], all[len(all)-1]}
	if v := decide(t, empty); v.Gate == Open || v.ExitCode() != ExitInconclusive {
		t.Errorf("a run of nothing: gate %s, exit %d", v.Gate, v.ExitCode())
	}
}

func TestRecoveryIsTheFirstMomentFromWhichItHeld(t *testing.T) {
	p := samplePlan()
	p.Recovery = plan.Recovery{Within: plan.Duration(2 * time.Second), For: plan.Duration(time.Second), Takes: plan.Duration(time.Second)}
	http := plan.Check{ID: "up", Required: true, Mode: plan.AtStart, Probe: plan.Probe{Kind: "http"}, Expect: []plan.Expect{{On: "status", Op: plan.Equals, Limit: 200}}}
	p.Steady = append(p.Steady, http)
	status := func(offset time.Duration, code float64) RecoveryLook {
		return RecoveryLook{Check: "up", Observation: journal.Observation{Offset: plan.Duration(offset), Numbers: map[string]float64{"status": code}}}
	}
	calm := func(offset time.Duration, v float64) RecoveryLook {
		return RecoveryLook{Check: "calm", Observation: seen(journal.Recovery, offset, v)}
	}
	ms := time.Millisecond
	looks := []RecoveryLook{
		status(0, 503), status(500*ms, 200), status(1000*ms, 200), calm(1000*ms, 1), // up has held for half a second only
		status(1500*ms, 200), calm(1500*ms, 1),
	}
	if r := JudgeRecovery(p, looks[:4]); r.State != Inconclusive || r.Reason != "" {
		t.Errorf("after 1s: %+v, want to keep looking", r)
	}
	if r := JudgeRecovery(p, looks); r.State != Pass || r.Took != plan.Duration(500*ms) {
		t.Errorf("after 1.5s: %+v, want PASS after 500ms", r)
	}
	late := []RecoveryLook{status(3500*ms, 200), calm(3500*ms, 9)}
	if r := JudgeRecovery(p, late); r.State != Fail || !strings.Contains(r.Reason, "calm") {
		t.Errorf("too late: %+v, want FAIL by calm", r)
	}
	if r := JudgeRecovery(p, nil); r.State != Inconclusive {
		t.Errorf("never looked: %+v", r)
	}
}

func TestStateNamesRoundTrip(t *testing.T) {
	for s := Pass; s <= Dirty; s++ {
		text, err := s.MarshalText()
		var back State
		if err2 := back.UnmarshalText(text); err != nil || err2 != nil || back != s {
			t.Errorf("%v became %s became %v", s, text, back)
		}
	}
	if new(State).UnmarshalText([]byte("OK")) == nil {
		t.Error("an unknown state was taken")
	}
	if Merge() != Inconclusive || Merge(Pass, Error, Fail) != Error {
		t.Error("merge is not the worst")
	}
}
