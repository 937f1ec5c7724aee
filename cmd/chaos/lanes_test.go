package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

// at builds an event of experiment "slow" at so many seconds.
func at(t *testing.T, seconds float64, kind journal.Type, step string, data any) journal.Event {
	t.Helper()
	e := journal.Event{Type: kind, Mono: time.Duration(seconds * float64(time.Second)), Experiment: "slow", Step: step}
	if data != nil {
		text, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		e.Data = text
	}
	return e
}

func runInfo() journal.RunInfo {
	return journal.RunInfo{FormatVersion: journal.FormatVersion, RunID: "r"}
}

func slowPlan() plan.Plan {
	return plan.Plan{
		Name: "slow", Expected: plan.Duration(20 * time.Second), SteadyFor: plan.Duration(5 * time.Second),
		Steps: []plan.Step{{ID: "link", Fault: &plan.Fault{Kind: "network.latency", Duration: plan.Duration(10 * time.Second)}}},
	}
}

func lanesAfter(t *testing.T, events ...journal.Event) (*lanes, []string) {
	t.Helper()
	l := newLanes(style{}, 1)
	first := at(t, 0, journal.RunStarted, "", runInfo())
	first.Experiment = ""
	l.event(first)
	l.event(at(t, 0, journal.Planned, "", slowPlan()))
	var stay []string
	for _, e := range events {
		stay = append(stay, l.event(e)...)
	}
	return l, stay
}

func TestLanesShowWhatIsUnderWay(t *testing.T) {
	l, stay := lanesAfter(t,
		at(t, 0, journal.ExperimentStarted, "", nil),
		at(t, 1, journal.EnvironmentUp, "", journal.EnvironmentInfo{}),
		at(t, 1, journal.PhaseStarted, "", journal.Phase{Name: journal.Steady}),
		at(t, 6, journal.CheckEnded, "few-errors", journal.CheckResult{Phase: journal.Steady, State: "PASS", Reason: "0%, at most 1%"}),
		at(t, 6, journal.PhaseStarted, "", journal.Phase{Name: journal.Method}),
		at(t, 6, journal.StepStarted, "link", nil),
		at(t, 6.5, journal.FaultActive, "link", fault.Effect{Proven: true, Summary: "round trip rose to 302ms"}),
	)
	got := strings.Join(l.render(8*time.Second, 80, 24), "\n")
	want := strings.Join([]string{
		"0 of 1 experiments done, 8.0s elapsed, about 13.0s to go",
		"slow ███░░░░░░░  7.0s / 20.0s  steps",
		"  ✓ steady-state: few-errors PASS: 0%, at most 1%",
		"  ● 1.5s / 10.0s link active: round trip rose to 302ms",
	}, "\n")
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if len(stay) > 0 {
		t.Errorf("lines that stay before anything has ended: %q", stay)
	}
}

func TestLanesLeaveALineWhenAnExperimentEnds(t *testing.T) {
	l, stay := lanesAfter(t,
		at(t, 0, journal.ExperimentStarted, "", nil),
		at(t, 3, journal.ExperimentEnded, "", journal.ExperimentResult{Outcome: journal.Outcome{Error: "start the environment: port in use"}}),
	)
	if len(stay) != 1 || !strings.HasPrefix(stay[0], "+00:03.0 slow ERROR in 0s: ") {
		t.Errorf("got %q", stay)
	}
	if lines := l.render(4*time.Second, 80, 24); lines != nil {
		t.Errorf("a block of what has ended: %q", lines)
	}
}

func TestLanesKeepWithinTheTerminal(t *testing.T) {
	events := []journal.Event{at(t, 0, journal.ExperimentStarted, "", nil), at(t, 1, journal.EnvironmentUp, "", journal.EnvironmentInfo{})}
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		events = append(events, at(t, 2, journal.CheckEnded, id, journal.CheckResult{State: "PASS", Reason: strings.Repeat("long ", 40)}))
	}
	l, _ := lanesAfter(t, events...)
	l.style = style{colours: true}
	lines := l.render(3*time.Second, 40, 5)
	if len(lines) != 5 {
		t.Errorf("%d lines, want 5: %q", len(lines), lines)
	}
	for _, line := range lines {
		if n := visible(line); n > 40 {
			t.Errorf("%d characters on 40: %q", n, line)
		}
	}
	if last := lines[len(lines)-1]; !strings.Contains(last, " f ") {
		t.Errorf("the newest check is not the last line: %q", last)
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		line  string
		width int
		want  string
	}{
		{"short", 10, "short"},
		{"exactly", 7, "exactly"},
		{"too long for this", 8, "too lon…"},
		{"ünïcödé", 4, "ünï…"},
		{"\x1b[31mred\x1b[0m", 3, "\x1b[31mred\x1b[0m"},
		{"\x1b[31mvery red\x1b[0m", 5, "\x1b[31mvery…\x1b[0m"},
		{"two\nlines", 20, "two lines"},
	} {
		if got := clip(c.line, c.width); got != c.want {
			t.Errorf("clip(%q, %d) = %q, want %q", c.line, c.width, got, c.want)
		}
	}
}

func TestClock(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0.0s", 8240 * time.Millisecond: "8.2s", 68 * time.Second: "1m08s"} {
		if got := clock(d); got != want {
			t.Errorf("clock(%v) = %q, want %q", d, got, want)
		}
	}
	if got := offset(63240 * time.Millisecond); got != "+01:03.2" {
		t.Errorf("offset: %q", got)
	}
}

func TestMoreExperimentsThanProcessorsAreWarnedOf(t *testing.T) {
	for _, c := range []struct {
		jobs, processors int
		want             string
	}{
		{1, 1, ""}, {2, 2, ""}, {3, 2, " on 2 processors (what they cannot carry is left undecided)"},
	} {
		if got := crowded(c.jobs, c.processors); got != c.want {
			t.Errorf("%d at once on %d: got %q, want %q", c.jobs, c.processors, got, c.want)
		}
	}
}
