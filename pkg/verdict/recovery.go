package verdict

import (
	"fmt"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

// RecoveryLook is one look of one steady-state check in the recovery phase; its offset counts from the end of the last fault.
type RecoveryLook struct {
	Check string
	journal.Observation
}

// JudgeRecovery finds the first moment from which the whole steady state held again: the least t such that over [t, t+Takes] every
// metric check passes over its window and every look of the other checks in the last For of it passes. Recovery.Took is t.
// Inconclusive with an empty reason means: not yet, keep looking.
func JudgeRecovery(p plan.Plan, looks []RecoveryLook) Recovery {
	result := Recovery{State: Inconclusive, Within: p.Recovery.Within}
	within := time.Duration(p.Recovery.Within)
	latest := time.Duration(-1)
	for _, l := range looks {
		end := time.Duration(l.Offset)
		if end == latest { // the same round
			continue
		}
		latest = end
		if took, ok := RecoveredAt(p, looks, end); ok {
			result.State = Pass
			result.Took = plan.Duration(took)
			result.Reason = fmt.Sprintf("the steady state held again after %v, expected within %v", took.Round(time.Millisecond), within)
			return result
		}
	}
	if latest-time.Duration(p.Recovery.Takes) > within {
		return notRecovered(p, looks, result)
	}
	return result
}

// RecoveredAt says whether the round of looks at end shows that the steady state held again, in time, and since when.
func RecoveredAt(p plan.Plan, looks []RecoveryLook, end time.Duration) (took time.Duration, ok bool) {
	took = end - time.Duration(p.Recovery.Takes)
	if took < 0 || took > time.Duration(p.Recovery.Within) {
		return took, false
	}
	return took, recoveredAt(p, looks, end)
}

// recoveredAt says whether every required check is shown to hold by the looks at end.
func recoveredAt(p plan.Plan, looks []RecoveryLook, end time.Duration) bool {
	shown := 0
	for _, c := range p.Steady {
		if !c.Required {
			continue
		}
		since := end
		if !c.Probe.Metric() {
			since = end - time.Duration(p.Recovery.For)
		}
		if !heldBetween(c, looks, since, end) {
			return false
		}
		shown++
	}
	return shown > 0
}

// heldBetween says whether there are looks in [since, end] and all of them pass. The looks of one round carry the same offset.
func heldBetween(c plan.Check, looks []RecoveryLook, since, end time.Duration) bool {
	seen := false
	for _, l := range looks {
		at := time.Duration(l.Offset)
		if l.Check != c.ID || at < since || at > end {
			continue
		}
		if JudgeLook(c, l.Observation).State != Pass {
			return false
		}
		seen = true
	}
	return seen
}

// notRecovered says which check stood in the way at the last look.
func notRecovered(p plan.Plan, looks []RecoveryLook, result Recovery) Recovery {
	decides := Judgement{State: Pass}
	var id string
	for _, c := range p.Steady {
		if !c.Required {
			continue
		}
		if j := lastLook(c, looks); j.State > decides.State {
			decides, id = j, c.ID
		}
	}
	result.State = max(decides.State, Fail)
	if decides.State == Inconclusive {
		result.State = Inconclusive
	}
	within := time.Duration(p.Recovery.Within)
	if decides.State == Pass {
		result.Reason = fmt.Sprintf("the steady state did not hold for %v at a stretch within %v", time.Duration(p.Recovery.For), within)
		return result
	}
	result.Reason = fmt.Sprintf("the steady state did not hold again within %v: %s: %s", within, id, decides.Reason)
	return result
}

func lastLook(c plan.Check, looks []RecoveryLook) Judgement {
	for i := len(looks) - 1; i >= 0; i-- {
		if looks[i].Check == c.ID {
			return JudgeLook(c, looks[i].Observation)
		}
	}
	return Judgement{State: Inconclusive, Rule: RuleNoLook, Reason: "it was never looked at"}
}
