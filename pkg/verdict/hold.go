package verdict

import (
	"fmt"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

// judgeHold judges a continuous check. A look without evidence is not a pass: it can cost the check its PASS, but only looks
// that failed can make it FAIL.
func judgeHold(c plan.Check, looks []journal.Observation) Judgement {
	judged := judgeEach(c, looks)
	switch {
	case c.Hold.MinRatio > 0:
		return holdRatio(c, looks, judged)
	case c.Hold.MaxBreach > 0:
		return holdBreach(c, looks, judged)
	default:
		return holdAll(judged)
	}
}

func judgeEach(c plan.Check, looks []journal.Observation) []Judgement {
	judged := make([]Judgement, len(looks))
	for i, o := range looks {
		judged[i] = JudgeLook(c, o)
	}
	return judged
}

func count(judged []Judgement, counts func(State) bool) int {
	n := 0
	for _, j := range judged {
		if counts(j.State) {
			n++
		}
	}
	return n
}

func passed(s State) bool { return s == Pass }
func failed(s State) bool { return s == Fail }

func holdAll(judged []Judgement) Judgement {
	if n := count(judged, failed); n > 0 {
		return tell(firstOf(judged, Fail), fmt.Sprintf("%d of %d looks failed, all must hold", n, len(judged)))
	}
	j := worst(judged)
	return tell(j, fmt.Sprintf("%d of %d looks held", count(judged, passed), len(judged)))
}

// holdRatio counts a look that did not hold together with those that fell out because it took so long: a service that hangs is not asked less often because of it.
func holdRatio(c plan.Check, looks []journal.Observation, judged []Judgement) Judgement {
	good := float64(count(judged, passed))
	total, bad := good, 0.0
	for i, j := range judged {
		if passed(j.State) {
			continue
		}
		n := due(c, looks[i])
		total += n
		if failed(j.State) {
			bad += n
		}
	}
	text := fmt.Sprintf("%g of %g looks held, expected at least %g%%", good, total, c.Hold.MinRatio*100)
	if out := total - float64(len(looks)); out > 0 {
		text += fmt.Sprintf(" (%g were due while others hung)", out)
	}
	switch {
	case good/total >= c.Hold.MinRatio:
		return tell(firstOf(judged, Pass), text)
	case (total-bad)/total < c.Hold.MinRatio:
		return tell(firstOf(judged, Fail), text)
	default:
		return tell(unclear(judged), text)
	}
}

// due is how many looks were due until one was over, itself included.
func due(c plan.Check, o journal.Observation) float64 {
	if c.Every <= 0 {
		return 1
	}
	return float64(1 + max(0, time.Duration(o.Took)/time.Duration(c.Every)))
}

func holdBreach(c plan.Check, looks []journal.Observation, judged []Judgement) Judgement {
	limit := time.Duration(c.Hold.MaxBreach)
	breach := longest(c.For, looks, judged, failed)
	without := longest(c.For, looks, judged, func(s State) bool { return !passed(s) })
	text := fmt.Sprintf("the longest breach lasted %v, expected at most %v", breach.Round(time.Millisecond), limit)
	switch {
	case breach > limit:
		return tell(firstOf(judged, Fail), text)
	case without > limit:
		return tell(unclear(judged), fmt.Sprintf("for %v there was no look that held, expected at most %v", without.Round(time.Millisecond), limit))
	case count(judged, passed) == 0:
		return tell(unclear(judged), fmt.Sprintf("none of %d looks held, and too few were made to tell for how long", len(judged)))
	default:
		return tell(Judgement{State: Pass, Rule: RuleHold}, text)
	}
}

// Over answers a continuous check that was bounded by its phase alone as one that is to hold for as long as it took: what the last look saw lasts to the phase's end.
func Over(c plan.Check, took time.Duration) plan.Check {
	if c.Mode == plan.Continuous && c.For == 0 {
		c.For = plan.Duration(max(0, took))
	}
	return c
}

// longest is the longest stretch in which every look counts: from the first such look to the next that does not, or to the end of the last look, or to the end of the
// time that was looked over, if that is later; 0 if it is not known.
func longest(over plan.Duration, looks []journal.Observation, judged []Judgement, counts func(State) bool) time.Duration {
	var most time.Duration
	begun := -1
	for i := range looks {
		if begun >= 0 {
			most = max(most, time.Duration(looks[i].Offset-looks[begun].Offset))
		}
		switch {
		case !counts(judged[i].State):
			begun = -1
		case begun < 0:
			begun = i
		}
	}
	if last := len(looks) - 1; begun >= 0 {
		most = max(most, time.Duration(max(over, looks[last].Offset+looks[last].Took)-looks[begun].Offset))
	}
	return most
}

func firstOf(judged []Judgement, s State) Judgement {
	for _, j := range judged {
		if j.State == s {
			return j
		}
	}
	return Judgement{State: s}
}

// unclear is the judgement that stands for looks without evidence.
func unclear(judged []Judgement) Judgement {
	if count(judged, func(s State) bool { return s == Error }) > 0 {
		return firstOf(judged, Error)
	}
	return firstOf(judged, Inconclusive)
}

// tell puts the summary of all looks before the reason of the one that decides.
func tell(j Judgement, summary string) Judgement {
	j.Rule = RuleHold
	if j.Reason != "" {
		summary += ": " + j.Reason
	}
	j.Reason = summary
	return j
}

// judgeEventually passes if there is a streak of looks that held for c.For, begun within c.Within.
func judgeEventually(c plan.Check, looks []journal.Observation) Judgement {
	at, ok := Held(c, looks)
	if ok && at <= time.Duration(c.Within) {
		return Judgement{State: Pass, Rule: RuleWithin, Reason: fmt.Sprintf("it held from %v on, expected within %v",
			at.Round(time.Millisecond), time.Duration(c.Within)), Value: JudgeLook(c, looks[len(looks)-1]).Value}
	}
	j := JudgeLook(c, looks[len(looks)-1])
	if j.State == Pass {
		j = Judgement{State: Fail, Reason: fmt.Sprintf("it did not hold for %v", time.Duration(c.For)), Value: j.Value}
	}
	j.Rule = RuleWithin
	j.Reason = fmt.Sprintf("it did not hold within %v; last: %s", time.Duration(c.Within), j.Reason)
	return j
}

// Held answers the offset from which a check held for c.For, up to the last look.
func Held(c plan.Check, looks []journal.Observation) (time.Duration, bool) {
	if len(looks) == 0 {
		return 0, false
	}
	begun := -1
	for i, o := range looks {
		switch held := JudgeLook(c, o).State == Pass; {
		case !held:
			begun = -1
			continue
		case begun < 0:
			begun = i
		}
		if o.Offset-looks[begun].Offset >= c.For {
			return time.Duration(looks[begun].Offset), true
		}
	}
	return 0, false
}

// Breached says whether an abort condition was missed for c.For without a look that held in between. A look without data neither begins a breach nor ends one:
// what was breached may be gone.
func Breached(c plan.Check, looks []journal.Observation) (Judgement, bool) {
	begun := -1
	for i, o := range looks {
		j := JudgeLook(c, o)
		if !failed(j.State) {
			if passed(j.State) {
				begun = -1
			}
			continue
		}
		if begun < 0 {
			begun = i
		}
		if o.Offset-looks[begun].Offset >= c.For {
			return tell(j, fmt.Sprintf("breached for %v", time.Duration(c.For))), true
		}
	}
	return Judgement{}, false
}
