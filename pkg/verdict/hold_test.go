package verdict

import (
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

// What the last look saw lasts to the end of the phase, by the check's own time or by that of its step.
func TestABreachLastsToTheEndOfItsPhase(t *testing.T) {
	check := promql("", "", atMost(5))
	check.ID, check.Mode, check.Hold = "holds", plan.Continuous, plan.Hold{MaxBreach: plan.Duration(500 * time.Millisecond)}
	for _, c := range []struct {
		pattern    string
		own, phase time.Duration
		state      State
	}{
		{"++-", 0, 900 * time.Millisecond, Pass},
		{"++-", 0, 2 * time.Second, Fail},
		{"++?", 0, 2 * time.Second, Inconclusive},
		{"++-", 2 * time.Second, 2 * time.Second, Fail},
		{"++-+", 0, 2 * time.Second, Pass},
	} {
		r := &record{looks: map[string][]look{}, steps: map[string]*stepRecord{"holds": {started: plan.Duration(time.Second), ended: plan.Duration(time.Second + c.phase)}}}
		for _, o := range looks(c.pattern) {
			o.Phase = journal.Method
			r.looks["holds"] = append(r.looks["holds"], look{attempt: 1, Observation: o})
		}
		check.For = plan.Duration(c.own)
		if j := r.judgeCheck(check, "step", journal.Method); j.State != c.state {
			t.Errorf("%s in %v of %v: got %v: %s; want %v", c.pattern, c.own, c.phase, j.State, j.Reason, c.state)
		}
	}
}

// How long a step took is what its last attempt took: a breach that a look saw last lasts as long.
func TestAStepKnowsHowLongItTook(t *testing.T) {
	s := &stepRecord{}
	for _, e := range []journal.Event{
		{Type: journal.StepStarted, Mono: time.Second},
		{Type: journal.StepStarted, Mono: 3 * time.Second},
		{Type: journal.StepEnded, Mono: 5 * time.Second, Data: []byte(`{"status":"done"}`)},
	} {
		if err := s.add(e); err != nil {
			t.Fatal(err)
		}
	}
	if s.took() != 2*time.Second {
		t.Errorf("it took %v, want 2s", s.took())
	}
}

// A look that hangs keeps others from being made. Those have not held either.
func TestALookThatHangsCostsThoseThatFellOut(t *testing.T) {
	check := promql("", "", atMost(5))
	check.Mode, check.Every, check.Hold = plan.Continuous, plan.Duration(250*time.Millisecond), plan.Hold{MinRatio: 0.75}
	for pattern, want := range map[string]State{"++++++-": Fail, "++++++!": Error, "+++++++": Pass} {
		seen := looks(pattern)
		last := &seen[len(seen)-1]
		if j := Judge(check, seen); j.State != Pass {
			t.Fatalf("%s: got %v: %s", pattern, j.State, j.Reason)
		}
		last.Took = target.Duration(2 * time.Second)
		if j := Judge(check, seen); j.State != want {
			t.Errorf("%s, the last for 2 s: got %v: %s; want %v", pattern, j.State, j.Reason, want)
		}
	}
}
