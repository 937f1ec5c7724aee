package verdict

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/stat"
)

// The keys of Observation.Events.
const (
	EventsPart     = "part"           // of ratio, and of promql that is one: how much the part counter rose
	EventsTotal    = "total"          // likewise: how much the total rose
	EventsCount    = "count"          // of quantile: how many observations the histogram took
	EventsLast     = "in_last_bucket" // of quantile: 1 if it lies beyond the last finite bound
	EventsBound    = "last_bound"     // of quantile: that bound
	EventsPresence = "presence"       // of promql with noData: zero: how many series the presence selector found
	EventsWaiting  = "waiting"        // of what the callers count: how many requests they were still waiting for at the window's end

	EventsSlowest = "with_waiting_slowest" // of quantile: what it would be if those were slower than all others; absent if that is not known

	EventsAsked         = "samples_asked"          // of a comparison: how many stretches of the window were asked for a sample
	EventsBaselineAsked = "baseline_samples_asked" // likewise of the steady state
)

// judgeMetric applies the rules about evidence first and compares last.
func judgeMetric(c plan.Check, e plan.Expect, o journal.Observation) Judgement {
	if len(o.Warnings) > 0 {
		return Judgement{State: Inconclusive, Rule: RuleWarnings, Reason: "the metrics source warned: " + strings.Join(o.Warnings, "; ")}
	}
	return judgeWaiting(c, e, o, judgeCounted(c, e, o))
}

// judgeCounted judges what the counters hold.
func judgeCounted(c plan.Check, e plan.Expect, o journal.Observation) Judgement {
	switch {
	case o.Missing != "" || len(o.Series) == 0:
		return judgeMissing(c, e, o)
	case e.Op == plan.MaxIncrease || e.Op == plan.MaxDecrease:
		return judgeChange(e, o)
	case c.Probe.Ratio != nil:
		return judgeRatio(e, o)
	case c.Probe.Promql != nil && c.Probe.Promql.Proportion:
		return judgeProportion(c.Probe.Promql, e, o)
	case c.Probe.Quantile != nil:
		return judgeQuantile(c.Probe.Quantile.Q, e, o)
	default:
		return judgeSeries(c.Probe.Promql, e, o.Series)
	}
}

func judgeMissing(c plan.Check, e plan.Expect, o journal.Observation) Judgement {
	reason := o.Missing
	if reason == "" {
		reason = "the query answered no series"
	}
	j := Judgement{State: Inconclusive, Rule: RuleNoData, Reason: "no data: " + reason}
	if c.Probe.Promql == nil {
		return j
	}
	switch c.Probe.Promql.NoData {
	case "fail":
		j.State = Fail
	case "zero":
		if o.Events[EventsPresence] > 0 {
			return compare(e, 0, "the value (no data, counted as 0 because "+c.Probe.Promql.Presence+" has data)")
		}
		j.Reason += fmt.Sprintf(", and %s has no data either", c.Probe.Promql.Presence)
	}
	return j
}

func judgeSeries(p *plan.Promql, e plan.Expect, series []metrics.Series) Judgement {
	if p == nil || p.Each == "" {
		if len(series) != 1 {
			return several(series)
		}
		return compare(e, last(series[0]), "the value")
	}
	all := make([]Judgement, len(series))
	for i, s := range series {
		all[i] = compare(e, last(s), "the value of "+labels(s))
	}
	if p.Each == "any" {
		return slices.MinFunc(all, func(a, b Judgement) int { return int(a.State) - int(b.State) })
	}
	return worst(all)
}

func several(series []metrics.Series) Judgement {
	return Judgement{State: Inconclusive, Rule: RuleSeveral, Reason: fmt.Sprintf(
		"%d series where exactly one is expected (%s, %s, ...): aggregate them, or say each: all or each: any",
		len(series), labels(series[0]), labels(series[1]))}
}

// last is the value of a series, NaN if it has none.
func last(s metrics.Series) float64 {
	if len(s.Points) == 0 {
		return math.NaN()
	}
	return float64(s.Points[len(s.Points)-1].V)
}

func labels(s metrics.Series) string {
	var parts []string
	for name, v := range s.Labels {
		parts = append(parts, fmt.Sprintf("%s=%q", name, v))
	}
	slices.Sort(parts)
	return "{" + strings.Join(parts, ", ") + "}"
}

// countable says why the events of a ratio cannot be compared, if so. The journal holds no count that is not a number: one that is absent is not zero.
func countable(o journal.Observation) (Judgement, bool) {
	_, parted := o.Events[EventsPart]
	total, totalled := o.Events[EventsTotal]
	switch {
	case len(o.Series) != 1:
		return several(o.Series), false
	case totalled && total < 1:
		return Judgement{State: Inconclusive, Rule: RuleNoData, Reason: "no event in the window: the total did not rise"}, false
	case !parted || !totalled || !finite(last(o.Series[0])):
		return Judgement{State: Inconclusive, Rule: RuleNumber, Reason: "how much the part or the total rose is not a number, and can be compared with nothing"}, false
	}
	return Judgement{}, true
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// sheer says whether a ratio is what a limit of 0 or of 100 % asks for. No interval reaches there, so the number of events alone decides.
func sheer(ratio, limit float64) bool {
	return limit == 0 && ratio == 0 || limit == 1 && ratio >= 1
}

// judgeRatio compares the 95 % bounds of the ratio with the limit, not the ratio: few events show little.
func judgeRatio(e plan.Expect, o journal.Observation) Judgement {
	if j, ok := countable(o); !ok {
		return j
	}
	part, total := o.Events[EventsPart], o.Events[EventsTotal]
	j := compare(e, part/total, fmt.Sprintf("the ratio (%.0f of %.0f)", part, total))
	if j.Rule != RuleLimit {
		return j
	}
	low, high := stat.Wilson(part, total, z95)
	limit := e.Limit
	kept := sheer(part/total, limit)
	switch e.Op {
	case plan.Max:
		j.State = side((high <= limit || kept) && total >= stat.Faultless(limit), low > limit && !kept)
	case plan.Min:
		j.State = side((low >= limit || kept) && total >= stat.Faultless(1-limit), high < limit && !kept)
	case plan.Equals:
		j.State = side(kept && total >= stat.Faultless(0), (low > limit || high < limit) && !kept)
	case plan.Between:
		j.State = side(low >= limit && high <= e.High, high < limit || low > e.High)
		if e.High < 1 && (limit == 0 || part/total > (limit+e.High)/2) {
			limit = e.High
		}
	}
	if j.State == Inconclusive {
		j.Rule = RuleThin
		j.Reason = thin(j.Reason, part, total, low, high, limit)
	}
	return j
}

// judgeProportion is judgeRatio for a query of the author's. What turns out to be more than the whole is no proportion, whatever it looked like.
func judgeProportion(p *plan.Promql, e plan.Expect, o journal.Observation) Judgement {
	if part, ok := o.Events[EventsPart]; ok && part > o.Events[EventsTotal] && o.Events[EventsTotal] >= 1 || len(o.Series) != 1 {
		return judgeSeries(p, e, o.Series)
	}
	return judgeRatio(e, o)
}

func thin(reason string, part, total, low, high, limit float64) string {
	need := settling(part, total, limit)
	text := fmt.Sprintf("%s, but so few events leave anything from %s to %s possible", reason,
		quantity.Format(low, quantity.Percent), quantity.Format(high, quantity.Percent))
	if math.IsInf(need, 1) {
		return text + "; it lies on the limit, so no number of events would settle it"
	}
	return fmt.Sprintf("%s; about %.0f events would settle it", text, need)
}

func side(pass, fail bool) State {
	switch {
	case pass:
		return Pass
	case fail:
		return Fail
	default:
		return Inconclusive
	}
}

// judgeQuantile asks for 10/(1-q) events, so that about ten of them lie beyond the quantile.
func judgeQuantile(q float64, e plan.Expect, o journal.Observation) Judgement {
	if len(o.Series) != 1 {
		return several(o.Series)
	}
	need := math.Ceil(10/(1-q) - 1e-9)
	if got := o.Events[EventsCount]; !(math.Round(got) >= need) {
		return Judgement{State: Inconclusive, Rule: RuleThin, Reason: fmt.Sprintf(
			"%.0f events are too few for the %g-quantile; it takes %.0f", got, q, need)}
	}
	what := fmt.Sprintf("the %g-quantile", q)
	if o.Events[EventsLast] == 0 {
		return compare(e, last(o.Series[0]), what)
	}
	return judgeBeyond(e, o.Events[EventsBound], what)
}

// judgeBeyond compares a value of which only a lower bound is known.
func judgeBeyond(e plan.Expect, bound float64, what string) Judgement {
	j := Judgement{State: Inconclusive, Rule: RuleBucket, Value: value(e, bound)}
	switch e.Op {
	case plan.Max:
		j.State = side(false, bound > e.Limit)
	case plan.Min:
		j.State = side(bound >= e.Limit, false)
	case plan.Between:
		j.State = side(false, bound > e.High)
	}
	j.Value.Text = "more than " + j.Value.Text
	j.Reason = fmt.Sprintf("%s is more than %s, the last bound of its histogram; expected %s", what, quantity.Format(bound, e.Unit), describe(e))
	return j
}
