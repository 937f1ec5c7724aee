package verdict

import (
	"fmt"
	"slices"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

func (r *record) judgeAbortConditions(e *Experiment) {
	for _, c := range r.plan.Abort {
		var looks []journal.Observation
		for _, l := range r.looks[c.ID] {
			looks = append(looks, l.Observation)
		}
		check := Check{ID: c.ID, Role: "abort", Required: c.Required, Attempts: 1, Notes: []string{}, Looks: len(looks)}
		check.Judgement = judgeCondition(c, time.Duration(r.plan.Interval), looks)
		e.Checks = append(e.Checks, check)
		switch told := slices.ContainsFunc(r.aborts, func(a journal.AbortInfo) bool { return a.By == c.ID }); {
		case check.State == Fail && !told:
			e.close(c.ID, Fail, "aborted", "the abort condition was breached: "+check.Reason)
		case check.State == Inconclusive:
			e.close(c.ID, Inconclusive, check.Rule, check.Reason)
		}
	}
}

// judgeCondition judges an abort condition. One that saw nothing for as long as a breach takes would not have noticed one: it did not guard.
func judgeCondition(c plan.Check, interval time.Duration, looks []journal.Observation) Judgement {
	if j, breached := Breached(c, looks); breached {
		return j
	}
	judged := judgeEach(c, looks)
	seeing := count(judged, sighted)
	darkness := longest(0, looks, judged, func(s State) bool { return !sighted(s) })
	switch bearable := max(time.Duration(c.For), 2*time.Duration(c.Every), 2*interval); {
	case seeing == 0:
		return Judgement{State: Inconclusive, Rule: RuleNoData, Reason: "the abort condition never had data, so it guarded nothing"}
	case darkness > bearable:
		return Judgement{State: Inconclusive, Rule: RuleNoData, Reason: fmt.Sprintf("the abort condition had no data for %v, longer than %v, so it guarded nothing meanwhile: %s",
			darkness.Round(time.Millisecond), bearable, unclear(judged).Reason)}
	default:
		return Judgement{State: Pass, Rule: RuleHold, Reason: fmt.Sprintf("never breached for %s in %d looks", time.Duration(c.For), len(looks))}
	}
}

// sighted says whether a look has seen enough to be judged.
func sighted(s State) bool { return s == Pass || s == Fail }
