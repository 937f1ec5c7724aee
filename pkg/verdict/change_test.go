package verdict

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/quantity"
)

var (
	atMost80Up   = plan.Expect{On: "value", Op: plan.MaxIncrease, Limit: 0.8, Unit: quantity.Percent}
	atMost50Down = plan.Expect{On: "value", Op: plan.MaxDecrease, Limit: 0.5, Unit: quantity.Percent}
)

// around are n values that vary by a few percent around a middle, always the same ones.
func around(middle float64, n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = middle * (1 + 0.05*math.Sin(float64(7*i)))
	}
	return values
}

func compared(before, now []float64) journal.Observation {
	o := journal.Observation{
		Series: series(1), Baseline: series(1), Samples: now, BaselineSamples: before,
		Events: map[string]float64{EventsAsked: float64(len(now)), EventsBaselineAsked: float64(len(before))},
	}
	if len(before) > 0 && len(now) > 0 {
		o.Series, o.Baseline = series(now[0]), series(before[0])
	}
	return o
}

func TestChangeAgainstTheBaseline(t *testing.T) {
	for name, c := range map[string]struct {
		expect      plan.Expect
		before, now []float64
		state       State
	}{
		"a little more":      {atMost80Up, around(10, 12), around(15, 12), Pass},
		"too much more":      {atMost80Up, around(10, 12), around(25, 12), Fail},
		"on the limit":       {atMost80Up, around(10, 12), around(18, 12), Inconclusive},
		"less":               {atMost80Up, around(10, 12), around(1, 12), Pass},
		"too much less":      {atMost50Down, around(10, 12), around(2, 12), Fail},
		"a little less":      {atMost50Down, around(10, 12), around(8, 12), Pass},
		"more is not less":   {atMost50Down, around(10, 12), around(80, 12), Pass},
		"nine samples":       {atMost80Up, around(10, 9), around(10, 12), Inconclusive},
		"no samples":         {atMost80Up, nil, nil, Inconclusive},
		"baseline zero":      {atMost80Up, make([]float64, 12), around(1, 12), Inconclusive},
		"both zero":          {atMost80Up, make([]float64, 12), make([]float64, 12), Inconclusive},
		"some zeros, a rise": {atMost80Up, append(around(10, 11), 0), around(40, 12), Fail},
		"wild":               {atMost80Up, []float64{1, 50, 3, 90, 2, 70, 1, 60, 5, 80}, []float64{90, 2, 80, 1, 70, 4, 99, 3, 60, 5}, Inconclusive},
	} {
		j := Judge(promql("", "", c.expect), []journal.Observation{compared(c.before, c.now)})
		if j.State != c.state {
			t.Errorf("%s: got %v: %s; want %v", name, j.State, j.Reason, c.state)
		}
		if j.State != Inconclusive && (j.Value == nil || j.Value.P == nil || j.Value.Baseline == nil) {
			t.Errorf("%s: the evidence is missing: %+v", name, j.Value)
		}
	}
	for name, o := range map[string]journal.Observation{
		"no baseline":     {Series: series(1), Samples: around(1, 12), BaselineSamples: around(1, 12)},
		"several of them": {Series: series(1, 2), Baseline: series(1), Samples: around(1, 12), BaselineSamples: around(1, 12)},
		"baseline NaN":    {Series: series(math.NaN()), Baseline: []metrics.Series{}},
	} {
		if j := Judge(promql("", "", atMost80Up), []journal.Observation{o}); j.State != Inconclusive {
			t.Errorf("%s: got %v: %s", name, j.State, j.Reason)
		}
	}
}

// A service that is down has no value for as long, and as good ones as ever in the rest of the time.
func TestAComparisonIsOverWholeSides(t *testing.T) {
	for name, c := range map[string]struct {
		asked map[string]float64
		state State
		says  string
	}{
		"all of them":          {map[string]float64{EventsAsked: 18, EventsBaselineAsked: 18}, Pass, ""},
		"90 %":                 {map[string]float64{EventsAsked: 20, EventsBaselineAsked: 20}, Pass, ""},
		"gaps in the window":   {map[string]float64{EventsAsked: 33, EventsBaselineAsked: 18}, Inconclusive, "of the window only 18 of 33"},
		"gaps in the baseline": {map[string]float64{EventsAsked: 18, EventsBaselineAsked: 21}, Inconclusive, "of the baseline only 18 of 21"},
		"nobody knows":         {nil, Inconclusive, "not on record"},
	} {
		o := compared(around(10, 18), around(10, 18))
		o.Events = c.asked
		j := Judge(promql("", "", atMost50Down), []journal.Observation{o})
		if j.State != c.state || !strings.Contains(j.Reason, c.says) {
			t.Errorf("%s: got %v: %s; want %v saying %q", name, j.State, j.Reason, c.state, c.says)
		}
	}
}

// Noise alone must hardly ever close the gate, nor must a doubling open it.
func TestNoiseIsNoChangeAndADoublingIsOne(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	draw := func(scale float64) []float64 {
		values := make([]float64, 20)
		for i := range values {
			values[i] = scale * math.Exp(0.3*r.NormFloat64())
		}
		return values
	}
	const runs = 1000
	noise, doubling := map[State]int{}, map[State]int{}
	limit := plan.Expect{On: "value", Op: plan.MaxIncrease, Limit: 0.3, Unit: quantity.Percent}
	for range runs {
		noise[Judge(promql("", "", limit), []journal.Observation{compared(draw(1), draw(1))}).State]++
		doubling[Judge(promql("", "", limit), []journal.Observation{compared(draw(1), draw(2))}).State]++
	}
	if noise[Fail] > runs/100 || noise[Pass] < runs*3/4 {
		t.Errorf("without a change: %v", noise)
	}
	if doubling[Pass] > 0 || doubling[Fail] < runs*9/10 {
		t.Errorf("with a doubling: %v", doubling)
	}
}

func TestAmongManyComparisonsOneMayLookBad(t *testing.T) {
	judged := func(p float64) Check {
		return Check{Judgement: Judgement{State: Fail, Rule: RuleLimit, Value: &Value{P: &p}}}
	}
	checks := []Check{judged(0.04), {Judgement: Judgement{State: Pass}}, judged(0.001), judged(0.03)}
	correct(checks)
	want := []State{Inconclusive, Pass, Fail, Inconclusive}
	for i, c := range checks {
		if c.State != want[i] {
			t.Errorf("check %d is %v, want %v: %s", i, c.State, want[i], c.Reason)
		}
	}
	if !strings.Contains(checks[0].Reason, "corrected for 3 comparisons") {
		t.Errorf("the reason does not say why: %q", checks[0].Reason)
	}
	alone := []Check{judged(0.04)}
	if correct(alone); alone[0].State != Fail {
		t.Errorf("a single comparison is %v, want FAIL", alone[0].State)
	}
}
