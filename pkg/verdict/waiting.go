package verdict

import (
	"fmt"
	"maps"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

// judgeWaiting takes a PASS back if it would be none with the requests that the callers were still waiting for when the window ended, whatever comes of those. They
// are in no counter, so that a service that hangs until its fault is over would look as if nobody had asked it.
func judgeWaiting(c plan.Check, e plan.Expect, o journal.Observation, counted Judgement) Judgement {
	waiting := o.Events[EventsWaiting]
	if waiting <= 0 || counted.State != Pass || stands(c, e, o, waiting) {
		return counted
	}
	return Judgement{State: Inconclusive, Rule: RuleWaiting, Value: counted.Value, Reason: fmt.Sprintf(
		"%s, but when the window ended the callers were still waiting for %.0f requests, longer than a second and than for any before; with those it may not hold",
		counted.Reason, waiting)}
}

// stands says whether a PASS stays one with those requests counted.
func stands(c plan.Check, e plan.Expect, o journal.Observation, waiting float64) bool {
	p := c.Probe.Promql
	switch {
	case e.Op == plan.MaxIncrease || e.Op == plan.MaxDecrease:
		return false
	case c.Probe.Ratio != nil || p != nil && p.Proportion:
		allPart, nonePart := with(o, waiting, waiting), with(o, 0, waiting)
		return judgeRatio(e, allPart).State == Pass && judgeRatio(e, nonePart).State == Pass
	case c.Probe.Quantile != nil:
		slowest, known := o.Events[EventsSlowest]
		return e.Op == plan.Min || known && compare(e, slowest, "").State == Pass
	default:
		return false
	}
}

// with is an observation with so many more events.
func with(o journal.Observation, part, total float64) journal.Observation {
	o.Events = maps.Clone(o.Events)
	o.Events[EventsPart] += part
	o.Events[EventsTotal] += total
	return o
}
