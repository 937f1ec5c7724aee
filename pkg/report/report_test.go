package report

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/verdict"
)

// The journals below testdata are of real runs: service-kill that passed, network-latency with --weakened no-timeout that failed, one interrupted by SIGINT, and one
// whose runner was killed, so that the guard ended its environment. testdata/record.sh makes them.
var recorded = []string{"passed", "failed", "interrupted", "killed"}

func read(t *testing.T, name string) []journal.Event {
	t.Helper()
	events, err := journal.ReadFile(filepath.Join("testdata", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func modelOf(t *testing.T, events []journal.Event) Model {
	t.Helper()
	v, err := verdict.Decide(events)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewModel(events, v)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func recordedModel(t *testing.T, name string) Model { return modelOf(t, read(t, name)) }

// written is a report as text.
func written(t *testing.T, format string, m Model) string {
	t.Helper()
	f, err := Find(format)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.Write(&b, m); err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return b.String()
}

// changed answers the events with one kind of data changed; what change answers false for is dropped.
func changed[T any](t *testing.T, events []journal.Event, typ journal.Type, change func(*journal.Event, *T) bool) []journal.Event {
	t.Helper()
	var all []journal.Event
	for _, e := range events {
		if e.Type == typ {
			data, err := journal.Decode[T](e)
			if err != nil {
				t.Fatal(err)
			}
			if !change(&e, &data) {
				continue
			}
			if e.Data, err = json.Marshal(data); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, e)
	}
	return all
}

// until cuts a journal behind the first event of a type, as a runner does that dies there.
func until(t *testing.T, events []journal.Event, typ journal.Type) []journal.Event {
	t.Helper()
	i := slices.IndexFunc(events, func(e journal.Event) bool { return e.Type == typ })
	if i < 0 {
		t.Fatalf("there is no event %s", typ)
	}
	return events[:i+1]
}

func wantAll(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing in:\n%.3000s", p, text)
		}
	}
}

func wantNone(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if i := strings.Index(text, p); i >= 0 {
			t.Errorf("%q should not be there: ...%q...", p, text[max(0, i-100):min(len(text), i+200)])
		}
	}
}

func TestAnEmptyJournalIsAnError(t *testing.T) {
	if _, err := NewModel(nil, verdict.Verdict{}); err == nil {
		t.Error("want an error")
	}
}

func TestTheModelOfARunThatPassed(t *testing.T) {
	m := recordedModel(t, "passed")
	if len(m.Experiments) != 1 || m.Verdict.Gate != verdict.Open {
		t.Fatalf("%d experiments, gate %s", len(m.Experiments), m.Verdict.Gate)
	}
	x := m.Experiments[0]
	if len(x.Bars) != len(x.Plan.Steps) {
		t.Errorf("%d bars for %d steps", len(x.Bars), len(x.Plan.Steps))
	}
	var names []string
	for i, p := range x.Phases {
		names = append(names, p.Name)
		if p.To <= p.From || i > 0 && p.From < x.Phases[i-1].From {
			t.Errorf("phase %+v is not in order", p)
		}
	}
	if got := strings.Join(names, " "); got != "steady-state steps recovery" {
		t.Errorf("phases %s", got)
	}
	byName := map[string]Bar{}
	for _, b := range x.Bars {
		byName[b.Name] = b
	}
	for _, b := range x.Bars {
		for _, need := range b.Needs {
			if b.From < byName[need].To {
				t.Errorf("%s began at %v, before %s ended at %v", b.Name, b.From, need, byName[need].To)
			}
		}
	}
	if len(x.Bands) != 1 || x.Wall <= 0 || x.Took < x.Wall || x.EnvTook <= 0 || m.Took < x.Took {
		t.Errorf("bands %v, wall %v, took %v, environment %v, run %v", x.Bands, x.Wall, x.Took, x.EnvTook, m.Took)
	}
}

// A run that died has no end: what was open is closed at its last event, and a rollback days later does not stretch the axis.
func TestTheModelOfARunThatDied(t *testing.T) {
	events := slices.Clone(read(t, "killed"))
	last := &events[len(events)-1]
	if last.Type != journal.UndoDone {
		t.Fatalf("the journal ends in %s", last.Type)
	}
	before := recordedModel(t, "killed")
	last.Mono += 1e15
	m := modelOf(t, events)
	if m.Took != before.Took || m.Experiments[0].Took != before.Experiments[0].Took {
		t.Errorf("the rollback stretched the run from %v to %v", before.Took, m.Took)
	}
	if x := m.Experiments[0]; x.Wall <= 0 || x.Phases[len(x.Phases)-1] != (Span{"steps", x.Phases[len(x.Phases)-1].From, x.Took}) {
		t.Errorf("wall %v, phases %v", x.Wall, x.Phases)
	}

	m = modelOf(t, until(t, read(t, "failed"), journal.FaultActive))
	x := m.Experiments[0]
	states := map[string]string{}
	for _, b := range x.Bars {
		states[b.Name] = b.State
	}
	if states["slow-link"] != "UNFINISHED" || states["p99-holds"] != "NOT RUN" {
		t.Errorf("states %v", states)
	}
	if len(x.Bands) != 1 || x.Bands[0].To != x.Took {
		t.Errorf("the fault's band %v should last until %v", x.Bands, x.Took)
	}
}

// What is known only at the end of the run, a change that nobody took back, is shown where it belongs: with its experiment.
func TestAChangeThatWasNotTakenBackIsShownWithItsExperiment(t *testing.T) {
	events := until(t, read(t, "failed"), journal.FaultActive)
	m := modelOf(t, events)
	x := m.Experiments[0]
	if m.Verdict.ExitCode() != verdict.ExitDirty || x.State != verdict.Dirty || x.Reasons[0].State != verdict.Dirty {
		t.Fatalf("exit %d, state %v, reasons %v", m.Verdict.ExitCode(), x.State, x.Reasons)
	}
	for _, f := range Formats() {
		if text := written(t, f.Name, m); !strings.Contains(text, "not verified as undone") {
			t.Errorf("%s does not say what is left", f.Name)
		}
	}
}

// A step that ran out of time closes the gate although its looks passed; a check skipped by its own condition closes nothing.
func TestAStepIsShownAsWhatItCloses(t *testing.T) {
	timedOut := changed(t, read(t, "passed"), journal.StepEnded, func(e *journal.Event, r *journal.StepResult) bool {
		if r.State != "" {
			r.Status, r.Error = journal.TimedOut, "no answer within 5s"
		}
		return true
	})
	m := modelOf(t, timedOut)
	shown := 0
	for _, c := range m.Experiments[0].Verdict.Checks {
		if c.Role == "step" {
			shown++
			if s := m.Experiments[0].checkState(c); c.State != verdict.Pass || s != "ERROR" {
				t.Errorf("%s: its looks came to %v, shown as %s", c.ID, c.State, s)
			}
		}
	}
	if shown == 0 {
		t.Fatal("no check to look at")
	}
	wantAll(t, written(t, "junit", m), "no answer within 5s", `type="ERROR limit"`)

	var id string
	skippedRun := changed(t, read(t, "passed"), journal.Planned, func(_ *journal.Event, p *plan.Plan) bool {
		for i := range p.Steps {
			if id == "" && p.Steps[i].Check != nil {
				p.Steps[i].When, id = plan.WhenFail, p.Steps[i].ID
			}
		}
		return true
	})
	skippedRun = changed(t, skippedRun, journal.StepEnded, func(e *journal.Event, r *journal.StepResult) bool {
		if e.Step == id {
			*r = journal.StepResult{Status: journal.Skipped, Reason: "nothing it needs has failed"}
		}
		return true
	})
	m = modelOf(t, skippedRun)
	if m.Verdict.Gate != verdict.Open {
		t.Fatalf("a step skipped by its own condition closes nothing: %v", m.Verdict.Reasons)
	}
	junit := written(t, "junit", m)
	wantAll(t, junit, `errors="0"`, "<skipped message=\"skipped: nothing it needs has failed\">")
	wantAll(t, written(t, "html", m), "– SKIPPED")
}

// An earlier attempt of a fault shows nothing of the last.
func TestARetriedFaultIsShownByItsLastAttempt(t *testing.T) {
	var again []journal.Event
	for _, e := range read(t, "failed") {
		again = append(again, e)
		if e.Type == journal.FaultReverted {
			break
		}
	}
	for _, e := range again {
		if e.Type == journal.FaultActive {
			e.Attempt, e.Mono = 2, again[len(again)-1].Mono+1e9
			again = append(again, e)
			break
		}
	}
	f := modelOf(t, again).Experiments[0].Faults["slow-link"]
	if f.Active == nil || f.Checked != nil || f.Reverted != nil {
		t.Errorf("evidence of the first attempt is still there: %+v", f)
	}
}

// Wherever a run dies, every report is whole, says CLOSED, and its JSON keeps to its schema.
func TestEveryBeginningOfAJournalGivesAllReports(t *testing.T) {
	check := reportSchema(t)
	for _, name := range recorded {
		events := read(t, name)
		for n := 1; n < len(events); n += 5 {
			m := modelOf(t, events[:n])
			for _, f := range Formats() {
				text := written(t, f.Name, m)
				switch f.Name {
				case "json":
					check(t, text)
				case "junit":
					parseJUnit(t, text)
				case "github":
				default:
					wantAll(t, text, "CLOSED")
				}
			}
		}
	}
}

func TestNoExperimentAtAll(t *testing.T) {
	m := modelOf(t, read(t, "passed")[:1])
	wantAll(t, written(t, "html", m), "No experiment was run", "CLOSED")
	wantAll(t, written(t, "junit", m), `name="no-experiment"`)
	wantAll(t, written(t, "summary", m), "no experiment was run")
}
