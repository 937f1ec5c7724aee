package verdict

import (
	"fmt"
	"math"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/stat"
)

// significant is the level at which a change counts as seen.
const significant = 0.05

// judgeChange compares the relative change against the baseline, by samples of both: PASS if even the upper end of its 95 % interval is within the limit, FAIL if
// even the lower end is beyond it and the difference is significant, else INCONCLUSIVE.
func judgeChange(e plan.Expect, o journal.Observation) Judgement {
	if len(o.Series) != 1 {
		return several(o.Series)
	}
	if len(o.Baseline) != 1 {
		return Judgement{State: Inconclusive, Rule: RuleBaseline, Reason: fmt.Sprintf("the baseline answered %d series, expected one", len(o.Baseline))}
	}
	if n := min(len(o.Samples), len(o.BaselineSamples)); n < plan.LeastSamples {
		return Judgement{State: Inconclusive, Rule: RuleThin, Reason: fmt.Sprintf("a comparison takes %d samples a side; there are %d in the window and %d in the baseline",
			plan.LeastSamples, len(o.Samples), len(o.BaselineSamples))}
	}
	if why := gaps(o); why != "" {
		return Judgement{State: Inconclusive, Rule: RuleThin, Reason: "a comparison takes a value from at least 90 % of its stretches on either side; " + why}
	}
	change, ok := relativeShift(o.BaselineSamples, o.Samples)
	if !ok {
		return Judgement{State: Inconclusive, Rule: RuleBaseline, Reason: "the baseline is zero in the middle, so no change can be computed"}
	}
	if e.Op == plan.MaxDecrease {
		change = stat.Shift{Low: -change.High, Mid: -change.Mid, High: -change.Low}
	}
	_, p := stat.MannWhitney(o.Samples, o.BaselineSamples)
	before := last(o.Baseline[0])
	j := compare(e, math.Round(change.Mid*1e4)/1e4, fmt.Sprintf("the change from %.4g to %.4g", before, last(o.Series[0])))
	if j.Rule != RuleLimit {
		return j
	}
	j.Value.Baseline, j.Value.P = &before, &p
	j.State = side(change.High <= e.Limit, change.Low > e.Limit && p <= significant)
	j.Reason += fmt.Sprintf("; by %d and %d samples it lies between %s and %s (p %.2g)", len(o.BaselineSamples), len(o.Samples),
		quantity.Format(change.Low, quantity.Percent), quantity.Format(change.High, quantity.Percent), p)
	if j.State == Inconclusive {
		j.Rule = RuleThin
		j.Reason += ", so that it may be on either side of the limit: look longer"
	}
	return j
}

// leastSampled is the part of the stretches of a side that must have a value. Those without one are not like the others: a service that is down for half of the
// time has its usual values in the other half.
const leastSampled = 0.9

// gaps says which side of a comparison has too few values for the stretches that were asked for one, "" if none.
func gaps(o journal.Observation) string {
	for _, side := range []struct {
		name    string
		samples []float64
		asked   string
	}{{"window", o.Samples, EventsAsked}, {"baseline", o.BaselineSamples, EventsBaselineAsked}} {
		switch asked, ok := o.Events[side.asked]; {
		case !ok:
			return "of the " + side.name + " it is not on record how many there were"
		case float64(len(side.samples)) < leastSampled*asked:
			return fmt.Sprintf("of the %s only %d of %.0f have one", side.name, len(side.samples), asked)
		}
	}
	return ""
}

// relativeShift is the shift as a part of the baseline: of logarithms where all values are positive, so that a doubling is one whatever the spread, else beside the
// baseline's middle.
func relativeShift(before, after []float64) (stat.Shift, bool) {
	if allPositive(before) && allPositive(after) {
		s := stat.HodgesLehmann(logs(before), logs(after))
		return stat.Shift{Low: math.Expm1(s.Low), Mid: math.Expm1(s.Mid), High: math.Expm1(s.High)}, true
	}
	middle := math.Abs(stat.Median(before))
	if middle == 0 {
		return stat.Shift{}, false
	}
	s := stat.HodgesLehmann(before, after)
	return stat.Shift{Low: s.Low / middle, Mid: s.Mid / middle, High: s.High / middle}, true
}

func allPositive(values []float64) bool {
	for _, v := range values {
		if v <= 0 {
			return false
		}
	}
	return true
}

func logs(values []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = math.Log(v)
	}
	return out
}

// correct takes back a FAIL that is not significant any more when all comparisons of the experiment are counted (Holm): among many comparisons one is bound to look
// bad.
func correct(checks []Check) {
	var compared []int
	var p []float64
	for i, c := range checks {
		if c.Value != nil && c.Value.P != nil {
			compared, p = append(compared, i), append(p, *c.Value.P)
		}
	}
	for k, adjusted := range stat.Holm(p) {
		c := &checks[compared[k]]
		c.Value.P = &adjusted
		if c.State == Fail && adjusted > significant {
			c.State, c.Rule = Inconclusive, RuleThin
			c.Reason += fmt.Sprintf("; corrected for %d comparisons its p is %.2g, which is not significant", len(p), adjusted)
		}
	}
}
