package probe

import (
	"context"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/verdict"
)

// Stretches without a value are counted: a service that is down for half of the time looks as it should in the other half.
func TestStretchesWithoutAValueAreCounted(t *testing.T) {
	s := watch(t)
	rising := []string{requests(0, 0)}
	for i := range 8 {
		rising = append(rising, requests(100*(i+1), 0))
	}
	steady := s.window(rising...)
	w := s.window(append(rising, "", "", "", "", "", "", "", "")...)
	w.BaselineFrom, w.BaselineTo = steady.From, steady.To
	c := promql(plan.Promql{Query: `sum(increase(http_requests_total[$window]))`})
	c.Baseline, c.Sample = true, plan.Duration(110*time.Millisecond)
	o := s.look(c, w)
	if asked := o.Events["samples_asked"]; asked < 7 || float64(len(o.Samples)) > asked-2 {
		t.Errorf("%v stretches were asked and %d have a value, want some without", asked, len(o.Samples))
	}
	if asked := o.Events["baseline_samples_asked"]; asked < 3 || float64(len(o.BaselineSamples)) > asked {
		t.Errorf("%v stretches of the steady state were asked and %d have a value", asked, len(o.BaselineSamples))
	}
}

// newborn is a source that cannot tell how much counters rose.
type newborn struct{ metrics.Source }

func (newborn) Born(_ context.Context, selector string, _, _ time.Time) (string, error) {
	return selector + " appeared with a value already", nil
}

// Rule 7: what a server cannot tell is neither nothing nor zero, whatever is said about no data.
func TestACounterBornWithAValueIsNotZero(t *testing.T) {
	s := watch(t)
	w := s.window(requests(0, 0), requests(500, 0))
	answers := `sum(increase(http_requests_total{status="500"}[$window]))`
	nothing := `sum(increase(http_requests_total{status="418"}[$window]))`
	for name, c := range map[string]plan.Check{
		"an answer":     promql(plan.Promql{Query: answers, NoData: "zero", Presence: "http_requests_total"}),
		"no answer":     promql(plan.Promql{Query: nothing, NoData: "zero", Presence: "http_requests_total"}),
		"by default":    promql(plan.Promql{Query: answers, NoData: "inconclusive"}),
		"or it fails":   promql(plan.Promql{Query: answers, NoData: "fail"}),
		"of a ratio":    ratio(`http_requests_total{status="500"}`, "http_requests_total"),
		"not in a part": ratio(`http_requests_total{status="418"}`, "http_requests_total"),
	} {
		c.Expect = []plan.Expect{{On: "value", Op: plan.Max, Limit: 0.05}}
		if j := verdict.JudgeLook(c, s.look(c, w)); j.State != verdict.Pass {
			t.Errorf("%s: where it can be told it is %v (%s)", name, j.State, j.Reason)
		}
		j := verdict.JudgeLook(c, Look(t.Context(), Deps{Source: newborn{s.scraper}}, c, w))
		if j.State != verdict.Inconclusive || !strings.Contains(j.Reason, "with a value already") {
			t.Errorf("%s: judged %v (%s)", name, j.State, j.Reason)
		}
	}
}

// Rule 1: a sum over a series that is not a number is none, and not no errors.
func TestAPartThatIsNotANumberIsNotNone(t *testing.T) {
	s := watch(t)
	for _, broken := range []string{"NaN", "+Inf"} {
		w := s.window(requests(0, 0), strings.Replace(requests(500, 0), "{status=\"500\"} 0", "{status=\"500\"} "+broken, 1))
		c := ratio(`http_requests_total{status="500"}`, `http_requests_total{status="200"}`)
		proportion := promql(plan.Promql{
			Query:      `sum(increase(http_requests_total{status="500"}[$window])) / sum(increase(http_requests_total{status="200"}[$window]))`,
			Proportion: true,
		})
		for _, c := range []plan.Check{c, proportion} {
			c.Expect = []plan.Expect{{On: "value", Op: plan.Max, Limit: 0.05}}
			o := s.look(c, w)
			if j := verdict.JudgeLook(c, o); j.State != verdict.Inconclusive || j.Rule != verdict.RuleNumber {
				t.Errorf("%s errors of 500 requests: judged %v by %s (%s), events %v", broken, j.State, j.Rule, j.Reason, o.Events)
			}
		}
	}
}
