package verdict

import (
	"strings"
	"testing"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

// A service that hangs until its fault is over looks as if nobody had asked it: what its callers still wait for is in no counter.
func TestWhatCallersStillWaitForIsNoSuccess(t *testing.T) {
	ratio := func(e plan.Expect) plan.Check {
		return plan.Check{Mode: plan.AtEnd, Expect: []plan.Expect{e}, Probe: plan.Probe{Kind: "ratio", Ratio: &plan.Ratio{Part: "p", Total: "t"}}}
	}
	proportion := promql("", "", atMost(0.02))
	proportion.Probe.Promql.Proportion = true
	quantile := func(e plan.Expect) plan.Check {
		return plan.Check{Mode: plan.AtEnd, Expect: []plan.Expect{e}, Probe: plan.Probe{Kind: "quantile", Quantile: &plan.Quantile{Q: 0.95, Of: "h"}}}
	}
	events := func(pairs ...any) map[string]float64 {
		all := map[string]float64{}
		for i := 0; i < len(pairs); i += 2 {
			all[pairs[i].(string)] = float64(pairs[i+1].(int))
		}
		return all
	}
	none := promql("", "zero", atMost(5))
	for name, c := range map[string]struct {
		check plan.Check
		seen  map[string]float64
		value float64
		state State
	}{
		"few errors":                       {ratio(atMost(0.02)), events(EventsPart, 0, EventsTotal, 1000), 0, Pass},
		"they change nothing":              {ratio(atMost(0.02)), events(EventsPart, 0, EventsTotal, 1000, EventsWaiting, 5), 0, Pass},
		"they may be errors":               {ratio(atMost(0.02)), events(EventsPart, 0, EventsTotal, 1000, EventsWaiting, 50), 0, Inconclusive},
		"they may be no successes":         {ratio(atLeast(0.98)), events(EventsPart, 1000, EventsTotal, 1000, EventsWaiting, 50), 1, Inconclusive},
		"it fails as it is":                {ratio(atMost(0.02)), events(EventsPart, 100, EventsTotal, 1000, EventsWaiting, 50), 0.1, Fail},
		"a proportion":                     {proportion, events(EventsPart, 0, EventsTotal, 1000, EventsWaiting, 50), 0, Inconclusive},
		"any other query":                  {promql("", "", atMost(5)), events(EventsWaiting, 1), 3, Inconclusive},
		"no data counted as zero":          {none, events(EventsPresence, 1, EventsWaiting, 1), -1, Inconclusive},
		"a quantile that holds with them":  {quantile(atMost(3)), events(EventsCount, 1000, EventsWaiting, 10, EventsSlowest, 2), 1, Pass},
		"a quantile that does not":         {quantile(atMost(3)), events(EventsCount, 1000, EventsWaiting, 40, EventsSlowest, 4), 1, Inconclusive},
		"a quantile that nobody knows":     {quantile(atMost(3)), events(EventsCount, 1000, EventsWaiting, 400), 1, Inconclusive},
		"what is slow enough as it is":     {quantile(atLeast(1)), events(EventsCount, 1000, EventsWaiting, 400), 1, Pass},
		"a quantile between, and too slow": {quantile(plan.Expect{On: "value", Op: plan.Between, Limit: 0, High: 3}), events(EventsCount, 1000, EventsWaiting, 40, EventsSlowest, 4), 1, Inconclusive},
	} {
		o := journal.Observation{Events: c.seen, Series: series(c.value)}
		if c.value < 0 {
			o.Series = nil
		}
		j := JudgeLook(c.check, o)
		if j.State != c.state {
			t.Errorf("%s: judged %v (%s), want %v", name, j.State, j.Reason, c.state)
		}
		if c.state == Inconclusive && (j.Rule != RuleWaiting || !strings.Contains(j.Reason, "still waiting for")) {
			t.Errorf("%s: judged by %s: %s", name, j.Rule, j.Reason)
		}
	}
	change := plan.Expect{On: "value", Op: plan.MaxIncrease, Limit: 0.2}
	compared := journal.Observation{Series: series(1), Baseline: series(1), Events: events(EventsAsked, 20, EventsBaselineAsked, 20)}
	for range 20 {
		compared.Samples, compared.BaselineSamples = append(compared.Samples, 1), append(compared.BaselineSamples, 1)
	}
	check := promql("", "", change)
	check.Baseline = true
	if j := JudgeLook(check, compared); j.State != Pass {
		t.Fatalf("a comparison of what is alike: %v (%s)", j.State, j.Reason)
	}
	compared.Events[EventsWaiting] = 3
	if j := JudgeLook(check, compared); j.Rule != RuleWaiting {
		t.Errorf("a comparison: judged %v by %s (%s)", j.State, j.Rule, j.Reason)
	}
}
