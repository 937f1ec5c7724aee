package verdict

import (
	"fmt"
	"math"
	"strings"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/quantity"
)

// The rules that decide a judgement, as reports name them.
const (
	RuleLimit    = "limit"           // the value was compared
	RuleNoLook   = "never-looked"    // there is no observation
	RuleLook     = "could-not-look"  // the probe could not be carried out
	RuleNoData   = "no-data"         // empty is not zero
	RuleSeveral  = "several-series"  // a scalar check means exactly one
	RuleNumber   = "not-a-number"    // NaN and Inf satisfy no comparison
	RuleThin     = "too-few-events"  // an interval or an event floor leaves it open
	RuleBucket   = "last-bucket"     // the quantile is beyond the histogram's last bound
	RuleBaseline = "no-baseline"     // nothing to compare with
	RuleCoverage = "coverage"        // a target was not scraped often enough
	RuleWaiting  = "unanswered"      // too many requests had no answer yet when the window ended
	RuleWarnings = "source-warnings" // the metrics source said that its answer is incomplete
	RuleHold     = "hold"            // of a continuous check
	RuleWithin   = "within"          // of a check that must hold eventually
)

// Judge judges a check by all its looks, of one attempt and in their order.
func Judge(c plan.Check, looks []journal.Observation) Judgement {
	if len(looks) == 0 {
		return Judgement{State: Inconclusive, Rule: RuleNoLook, Reason: "it was never looked at"}
	}
	switch c.Mode {
	case plan.Continuous:
		return judgeHold(c, looks)
	case plan.Eventually:
		return judgeEventually(c, looks)
	default:
		return JudgeLook(c, looks[len(looks)-1])
	}
}

// JudgeLook judges a single look.
func JudgeLook(c plan.Check, o journal.Observation) Judgement {
	if o.Error != "" {
		return Judgement{State: Error, Rule: RuleLook, Reason: "could not look: " + o.Error}
	}
	var all []Judgement
	for _, e := range c.Expect {
		if c.Probe.Metric() {
			all = append(all, judgeMetric(c, e, o))
		} else {
			all = append(all, judgeFact(e, o))
		}
	}
	if o.Outer != nil && len(all) > 0 {
		all = append(all, JudgeLook(c, *o.Outer))
	}
	return worst(all)
}

// worst answers the judgement that decides; a check without any expectation has shown nothing.
func worst(all []Judgement) Judgement {
	if len(all) == 0 {
		return Judgement{State: Inconclusive, Rule: RuleNoLook, Reason: "nothing is expected of it, so nothing is shown"}
	}
	decides := all[0]
	for _, j := range all[1:] {
		if j.State > decides.State {
			decides = j
		}
	}
	return decides
}

// judgeFact compares what a probe other than a metric one has seen.
func judgeFact(e plan.Expect, o journal.Observation) Judgement {
	if problem := o.Text["problem"]; problem != "" && e.On != "connected" {
		return Judgement{State: Fail, Rule: RuleLimit, Reason: fmt.Sprintf("%s; expected %s %s", problem, e.On, describe(e))}
	}
	switch e.Op {
	case plan.Contains, plan.Matches, plan.JSONEquals:
		return judgeText(e, o)
	case plan.Equals:
		if e.Text != "" {
			return judgeText(e, o)
		}
	}
	v, ok := o.Numbers[e.On]
	if !ok {
		return Judgement{State: Inconclusive, Rule: RuleNoData, Reason: fmt.Sprintf("the probe did not see any %s", e.On)}
	}
	return compare(e, v, spoken(e.On))
}

func spoken(on string) string {
	return strings.ReplaceAll(strings.TrimSuffix(on, "_seconds"), "_", " ")
}

// compare is the comparison of one number; NaN and the infinities satisfy none.
func compare(e plan.Expect, v float64, what string) Judgement {
	if !finite(v) {
		return Judgement{State: Inconclusive, Rule: RuleNumber, Reason: fmt.Sprintf("%s is %v, which can be compared with nothing", what, v)}
	}
	j := Judgement{State: Fail, Rule: RuleLimit, Value: value(e, v)}
	if holds(e, v) {
		j.State = Pass
	}
	j.Reason = fmt.Sprintf("%s is %s, expected %s", what, quantity.Format(v, e.Unit), describe(e))
	return j
}

func holds(e plan.Expect, v float64) bool {
	switch e.Op {
	case plan.Min:
		return v >= e.Limit
	case plan.Max, plan.MaxIncrease, plan.MaxDecrease:
		return v <= e.Limit
	case plan.Equals:
		return v == e.Limit
	case plan.Between:
		return e.Limit <= v && v <= e.High
	case plan.Class:
		return math.Floor(v/100) == e.Limit
	default:
		return false
	}
}

func value(e plan.Expect, v float64) *Value {
	return &Value{
		Measured: v, Limit: e.Limit, Op: string(e.Op), Unit: string(e.Unit),
		Text: quantity.Format(v, e.Unit) + ", " + describe(e),
	}
}

// describe says an expectation in words, with the name of the threshold it came from.
func describe(e plan.Expect) string {
	if e.Impossible() {
		return "the impossible"
	}
	limit := quantity.Format(e.Limit, e.Unit)
	var text string
	switch e.Op {
	case plan.Min:
		text = "at least " + limit
	case plan.Max:
		text = "at most " + limit
	case plan.Between:
		text = "between " + limit + " and " + quantity.Format(e.High, e.Unit)
	case plan.MaxIncrease:
		text = "an increase of at most " + limit
	case plan.MaxDecrease:
		text = "a decrease of at most " + limit
	case plan.Class:
		text = fmt.Sprintf("%.0fxx", e.Limit)
	case plan.Contains:
		text = fmt.Sprintf("containing %q", e.Text)
	case plan.Matches:
		text = fmt.Sprintf("matching %q", e.Text)
	case plan.JSONEquals:
		text = fmt.Sprintf("with %s equal to %q", e.Path, e.Text)
	default:
		text = limit
		if e.Text != "" {
			text = fmt.Sprintf("%q", e.Text)
		}
	}
	if e.Threshold != "" {
		text += " ($" + e.Threshold + ")"
	}
	return text
}
