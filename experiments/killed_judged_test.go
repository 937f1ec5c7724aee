package experiments

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/verdict"
)

// code is how the run ended: its exit code, or -1 if it was killed.
func (v *victim) code() int { return v.cmd.ProcessState.ExitCode() }

// judged answers what is wrong with how the run ended and with what its journal comes to.
func (v *victim) judged() []string {
	events, err := v.events()
	if err != nil {
		return nil // it is told already
	}
	code, status := v.code(), v.cmd.ProcessState.Sys().(syscall.WaitStatus)
	ended := slices.ContainsFunc(events, func(e journal.Event) bool { return e.Type == journal.RunEnded })
	came := verdict.Verdict{State: verdict.Error, Gate: verdict.Closed}
	if len(events) > 0 {
		if came, err = verdict.Decide(events); err != nil {
			return []string{"the journal cannot be judged: " + err.Error()}
		}
	}
	var wrong []string
	byItself := ended && came.Interrupted == "" // it was over before the signal was heard
	unheard := status.Signaled() && (len(events) == 0 || byItself)
	switch {
	case v.order.kind.ends == nil:
		wrong = v.unguarded(events, came)
	case !byItself && !unheard && !slices.Contains(v.order.kind.ends, code):
		wrong = append(wrong, fmt.Sprintf("exit code %d (%v), expected one of %v", code, v.cmd.ProcessState, v.order.kind.ends))
	}
	if came.Gate == verdict.Open && !byItself {
		wrong = append(wrong, "the gate is open, though the run did not come to its end")
	}
	if code == verdict.ExitOpen && came.Gate != verdict.Open {
		wrong = append(wrong, "the exit code is 0 and the gate closed")
	}
	return wrong
}

// unguarded answers what is wrong with a run whose guard was killed: it goes on to its end with another guard, and tells. What its checks come to is not
// asked: with several runs at once on a small machine there may be too little evidence.
func (v *victim) unguarded(events []journal.Event, came verdict.Verdict) []string {
	var wrong []string
	if !came.Complete || came.State > verdict.Fail || v.code() != came.ExitCode() {
		wrong = append(wrong, fmt.Sprintf("exit code %d, %v: %+v; expected a run that came to its end", v.code(), came.State, came.Reasons))
	}
	told := slices.ContainsFunc(events, func(e journal.Event) bool {
		f, err := journal.Decode[journal.Finding](e)
		return err == nil && e.Type == journal.FindingNoted && f.Kind == journal.GuardDied
	})
	left := slices.IndexFunc(events, func(e journal.Event) bool {
		return e.Type == journal.ExperimentEnded && e.Time.Before(v.hitAt.Add(time.Second))
	})
	if !told && left < 0 {
		wrong = append(wrong, "nothing tells that the guard has died")
	}
	return wrong
}

// phaseNames are the parts of a run's life.
var phaseNames = []string{"before", "start", "steady", "steps", "fault", "revert", "recovery", "end"}

// begins says which part of a run's life an event begins; those that are not here begin none.
func begins(e journal.Event) string {
	switch e.Type {
	case journal.RunStarted:
		return "start"
	case journal.FaultActive:
		return "fault"
	case journal.FaultEnding:
		return "revert"
	case journal.FaultReverted:
		return "steps"
	case journal.PhaseStarted:
		p, err := journal.Decode[journal.Phase](e)
		if err != nil {
			return ""
		}
		return map[journal.PhaseName]string{journal.Steady: "steady", journal.Method: "steps", journal.Recovery: "recovery"}[p.Name]
	case journal.PhaseEnded:
		p, err := journal.Decode[journal.Phase](e)
		if err == nil && p.Name == journal.Recovery {
			return "end"
		}
	}
	return ""
}

// phase is the part of the run's life in which it was hit.
func (v *victim) phase() string {
	events, _ := v.events()
	name := phaseNames[0]
	for _, e := range events {
		if e.Time.After(v.hitAt) {
			break
		}
		if next := begins(e); next != "" {
			name = next
		}
	}
	return name
}
