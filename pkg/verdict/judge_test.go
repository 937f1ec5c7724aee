package verdict

import (
	"math"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/stat"
)

func series(values ...float64) []metrics.Series {
	var all []metrics.Series
	for i, v := range values {
		all = append(all, metrics.Series{
			Labels: map[string]string{"n": string(rune('a' + i))},
			Points: []metrics.Point{{T: 1, V: metrics.Float(v)}},
		})
	}
	return all
}

func promql(each, noData string, expect ...plan.Expect) plan.Check {
	return plan.Check{
		Required: true, Mode: plan.AtEnd, Expect: expect,
		Probe: plan.Probe{Kind: "promql", Promql: &plan.Promql{Query: "q", Each: each, NoData: noData, Presence: "up"}},
	}
}

func atMost(limit float64) plan.Expect {
	return plan.Expect{On: "value", Op: plan.Max, Limit: limit}
}

func atLeast(limit float64) plan.Expect {
	return plan.Expect{On: "value", Op: plan.Min, Limit: limit}
}

func TestPromqlEvidence(t *testing.T) {
	for name, c := range map[string]struct {
		check plan.Check
		seen  journal.Observation
		state State
		rule  string
		says  string
	}{
		"within":                   {promql("", "", atMost(5)), journal.Observation{Series: series(5)}, Pass, RuleLimit, "at most 5"},
		"beyond":                   {promql("", "", atMost(5)), journal.Observation{Series: series(5.1)}, Fail, RuleLimit, "is 5.1"},
		"empty is not zero":        {promql("", "", atMost(5)), journal.Observation{}, Inconclusive, RuleNoData, "no series"},
		"typo":                     {promql("", "", atMost(5)), journal.Observation{Missing: "no metric named htp_requests_total"}, Inconclusive, RuleNoData, "htp_requests_total"},
		"NaN":                      {promql("", "", atMost(5)), journal.Observation{Series: series(math.NaN())}, Inconclusive, RuleNumber, "NaN"},
		"NaN is not at least":      {promql("", "", atLeast(5)), journal.Observation{Series: series(math.NaN())}, Inconclusive, RuleNumber, "NaN"},
		"infinite is not at least": {promql("", "", atLeast(5)), journal.Observation{Series: series(math.Inf(1))}, Inconclusive, RuleNumber, "Inf"},
		"no point":                 {promql("", "", atMost(5)), journal.Observation{Series: []metrics.Series{{}}}, Inconclusive, RuleNumber, "NaN"},
		"two series":               {promql("", "", atMost(5)), journal.Observation{Series: series(1, 2)}, Inconclusive, RuleSeveral, "exactly one"},
		"all of two":               {promql("all", "", atMost(5)), journal.Observation{Series: series(1, 2)}, Pass, RuleLimit, ""},
		"one of all is beyond":     {promql("all", "", atMost(5)), journal.Observation{Series: series(1, 7)}, Fail, RuleLimit, `n="b"`},
		"one of all is NaN":        {promql("all", "", atMost(5)), journal.Observation{Series: series(1, math.NaN())}, Inconclusive, RuleNumber, ""},
		"all of none":              {promql("all", "", atMost(5)), journal.Observation{}, Inconclusive, RuleNoData, ""},
		"any of two":               {promql("any", "", atMost(5)), journal.Observation{Series: series(9, 2)}, Pass, RuleLimit, `n="b"`},
		"any of none":              {promql("any", "", atMost(5)), journal.Observation{}, Inconclusive, RuleNoData, ""},
		"no data may fail":         {promql("", "fail", atMost(5)), journal.Observation{}, Fail, RuleNoData, ""},
		"no data as zero":          {promql("", "zero", atMost(5)), journal.Observation{Events: map[string]float64{EventsPresence: 2}}, Pass, RuleLimit, "counted as 0"},
		"zero needs presence":      {promql("", "zero", atMost(5)), journal.Observation{}, Inconclusive, RuleNoData, "up has no data either"},
		"zero can fail":            {promql("", "zero", atLeast(5)), journal.Observation{Events: map[string]float64{EventsPresence: 2}}, Fail, RuleLimit, ""},
		"could not look":           {promql("", "", atMost(5)), journal.Observation{Error: "connection refused", Series: series(1)}, Error, RuleLook, "connection refused"},
		"partial answer":           {promql("", "", atMost(5)), journal.Observation{Series: series(1), Warnings: []string{"1 of 2 replicas"}}, Inconclusive, RuleWarnings, "replicas"},
		"nothing expected":         {promql("", ""), journal.Observation{Series: series(1)}, Inconclusive, RuleNoLook, ""},
		"worst of two":             {promql("", "", atMost(5), atLeast(3)), journal.Observation{Series: series(2)}, Fail, RuleLimit, "at least 3"},
		"between":                  {promql("", "", plan.Expect{Op: plan.Between, Limit: 1, High: 2}), journal.Observation{Series: series(2)}, Pass, RuleLimit, "between 1 and 2"},
		"unknown comparison":       {promql("", "", plan.Expect{Op: "about", Limit: 2}), journal.Observation{Series: series(2)}, Fail, RuleLimit, ""},
		"threshold is named":       {promql("", "", plan.Expect{Op: plan.Max, Limit: 1, Unit: quantity.Time, Threshold: "p99"}), journal.Observation{Series: series(2)}, Fail, RuleLimit, "($p99)"},
	} {
		j := Judge(c.check, []journal.Observation{c.seen})
		if j.State != c.state || j.Rule != c.rule || !strings.Contains(j.Reason, c.says) {
			t.Errorf("%s: got %v by %s: %s; want %v by %s saying %q", name, j.State, j.Rule, j.Reason, c.state, c.rule, c.says)
		}
	}
	if j := Judge(promql("", "", atMost(5)), nil); j.State != Inconclusive {
		t.Errorf("a check that was never looked at is %v", j.State)
	}
}

// counted are the events of a ratio as a look keeps them: a count that is not a number is left out, as no journal can hold it.
func counted(part, total float64) map[string]float64 {
	events := map[string]float64{}
	for name, n := range map[string]float64{EventsPart: part, EventsTotal: total} {
		if finite(n) {
			events[name] = n
		}
	}
	return events
}

func TestRatioNeedsEnoughEvents(t *testing.T) {
	limit := plan.Expect{On: "value", Op: plan.Max, Limit: 0.01, Unit: quantity.Percent}
	atLeast99 := plan.Expect{On: "value", Op: plan.Min, Limit: 0.99, Unit: quantity.Percent}
	none := plan.Expect{On: "value", Op: plan.Max, Limit: 0, Unit: quantity.Percent}
	all := plan.Expect{On: "value", Op: plan.Min, Limit: 1, Unit: quantity.Percent}
	equals := func(limit float64) plan.Expect {
		return plan.Expect{On: "value", Op: plan.Equals, Limit: limit, Unit: quantity.Percent}
	}
	upTo := plan.Expect{On: "value", Op: plan.Between, Limit: 0, High: 0.01, Unit: quantity.Percent}
	for _, c := range []struct {
		expect      plan.Expect
		part, total float64
		state       State
		says        string
	}{
		{limit, 0, 298, Inconclusive, "299 events"},
		{limit, 0, 299, Pass, ""},
		{limit, 3, 300, Inconclusive, ""}, // looks like exactly 1 %
		{limit, 5, 300, Inconclusive, ""}, // 1.7 %, still possible by chance
		{limit, 12, 300, Fail, ""},
		{limit, 1, 1, Fail, ""},
		{limit, 0, 0, Inconclusive, "did not rise"},
		{limit, math.NaN(), 500, Inconclusive, "not a number"},
		{limit, math.Inf(1), 500, Inconclusive, "not a number"},
		{limit, 0, math.NaN(), Inconclusive, "not a number"},
		{atLeast99, 500, math.Inf(1), Inconclusive, "not a number"},
		{atLeast99, 298, 298, Inconclusive, "299 events"},
		{atLeast99, 299, 299, Pass, ""},
		{atLeast99, 200, 300, Fail, ""},
		{none, 0, 1, Inconclusive, "299 events"}, // an interval never reaches 0
		{none, 0, 298, Inconclusive, "299 events"},
		{none, 0, 299, Pass, ""},
		{none, 1, 5, Fail, ""},
		{all, 5, 5, Inconclusive, "299 events"},
		{all, 299, 299, Pass, ""},
		{all, 298, 299, Fail, ""},
		{equals(0), 0, 1, Inconclusive, "299 events"},
		{equals(0), 0, 299, Pass, ""},
		{equals(0), 1, 299, Fail, ""},
		{equals(1), 7, 7, Inconclusive, "299 events"},
		{equals(1), 299, 299, Pass, ""},
		{equals(0.5), 1, 2, Inconclusive, "no number of events"}, // a half, exactly, is never shown
		{equals(0.5), 45, 100, Inconclusive, "events would settle"},
		{equals(0.5), 1, 100, Fail, ""},
		{upTo, 0, 100, Inconclusive, "299 events"},
	} {
		check := plan.Check{Mode: plan.AtEnd, Expect: []plan.Expect{c.expect}, Probe: plan.Probe{Ratio: &plan.Ratio{}}}
		o := journal.Observation{Series: series(c.part / c.total), Events: counted(c.part, c.total)}
		j := Judge(check, []journal.Observation{o})
		if j.State != c.state || !strings.Contains(j.Reason, c.says) {
			t.Errorf("%v of %v, %s %v: got %v: %s; want %v saying %q", c.part, c.total, c.expect.Op, c.expect.Limit, j.State, j.Reason, c.state, c.says)
		}
	}
}

// Written out in PromQL a ratio takes as many events as any other.
func TestAProportionNeedsEnoughEvents(t *testing.T) {
	check := promql("", "", plan.Expect{On: "value", Op: plan.Max, Limit: 0.01, Unit: quantity.Percent})
	check.Probe.Promql.Proportion = true
	for name, c := range map[string]struct {
		value  float64
		events map[string]float64
		state  State
		rule   string
	}{
		"too few":                {0, map[string]float64{EventsPart: 0, EventsTotal: 298}, Inconclusive, RuleThin},
		"enough":                 {0, map[string]float64{EventsPart: 0, EventsTotal: 299}, Pass, RuleLimit},
		"too many errors":        {0.5, map[string]float64{EventsPart: 150, EventsTotal: 300}, Fail, RuleLimit},
		"events are not known":   {0, nil, Inconclusive, RuleNumber},
		"part is not a number":   {math.NaN(), counted(math.NaN(), 500), Inconclusive, RuleNumber},
		"value is not a number":  {math.NaN(), counted(0, 500), Inconclusive, RuleNumber},
		"no event":               {0, map[string]float64{EventsPart: 0, EventsTotal: 0}, Inconclusive, RuleNoData},
		"more than the whole":    {3, map[string]float64{EventsPart: 900, EventsTotal: 300}, Fail, RuleLimit},
		"more than next to none": {7, map[string]float64{EventsPart: 0.7, EventsTotal: 0.1}, Inconclusive, RuleNoData},
	} {
		j := Judge(check, []journal.Observation{{Series: series(c.value), Events: c.events}})
		if j.State != c.state || j.Rule != c.rule {
			t.Errorf("%s: got %v by %s: %s; want %v by %s", name, j.State, j.Rule, j.Reason, c.state, c.rule)
		}
	}
	if j := Judge(check, []journal.Observation{{Series: series(0, 0), Events: map[string]float64{EventsPart: 0, EventsTotal: 500}}}); j.Rule != RuleSeveral {
		t.Errorf("two series: %v by %s", j.State, j.Rule)
	}
}

func TestFaultlessEvents(t *testing.T) {
	if n := stat.Faultless(0.01); n != 299 {
		t.Errorf("%v faultless events show less than 1 %%, want 299", n)
	}
}

func TestQuantile(t *testing.T) {
	events := func(count, beyond float64) map[string]float64 {
		return map[string]float64{EventsCount: count, EventsLast: beyond, EventsBound: 2.5}
	}
	max1 := plan.Expect{On: "value", Op: plan.Max, Limit: 1, Unit: quantity.Time}
	max30 := plan.Expect{On: "value", Op: plan.Max, Limit: 30, Unit: quantity.Time}
	min2 := plan.Expect{On: "value", Op: plan.Min, Limit: 2, Unit: quantity.Time}
	for name, c := range map[string]struct {
		expect plan.Expect
		value  float64
		events map[string]float64
		state  State
		rule   string
	}{
		"holds":                      {max1, 0.3, events(1000, 0), Pass, RuleLimit},
		"too slow":                   {max1, 1.3, events(1000, 0), Fail, RuleLimit},
		"too few":                    {max1, 0.3, events(999, 0), Inconclusive, RuleThin},
		"count unknown":              {max1, 0.3, nil, Inconclusive, RuleThin},
		"last bucket, limit below":   {max1, 2.5, events(1000, 1), Fail, RuleBucket},
		"last bucket, limit above":   {max30, 2.5, events(1000, 1), Inconclusive, RuleBucket},
		"last bucket, at least":      {min2, 2.5, events(1000, 1), Pass, RuleBucket},
		"an empty histogram's value": {max1, math.NaN(), events(1000, 0), Inconclusive, RuleNumber},
	} {
		check := plan.Check{Mode: plan.AtEnd, Expect: []plan.Expect{c.expect}, Probe: plan.Probe{Quantile: &plan.Quantile{Q: 0.99}}}
		j := Judge(check, []journal.Observation{{Series: series(c.value), Events: c.events}})
		if j.State != c.state || j.Rule != c.rule {
			t.Errorf("%s: got %v by %s: %s; want %v by %s", name, j.State, j.Rule, j.Reason, c.state, c.rule)
		}
	}
}

func TestFacts(t *testing.T) {
	body := `{"status":"ok","db":{"rows":[1,2]}}`
	http := journal.Observation{Numbers: map[string]float64{"status": 204, "latency_seconds": 0.2}, Text: map[string]string{"body": body}}
	down := journal.Observation{Numbers: map[string]float64{"status": 0}, Text: map[string]string{"problem": "connection refused"}}
	for name, c := range map[string]struct {
		expect plan.Expect
		seen   journal.Observation
		state  State
	}{
		"status":             {plan.Expect{On: "status", Op: plan.Equals, Limit: 204}, http, Pass},
		"other status":       {plan.Expect{On: "status", Op: plan.Equals, Limit: 200}, http, Fail},
		"class":              {plan.Expect{On: "status", Op: plan.Class, Limit: 2}, http, Pass},
		"other class":        {plan.Expect{On: "status", Op: plan.Class, Limit: 5}, http, Fail},
		"refused":            {plan.Expect{On: "status", Op: plan.Equals, Limit: 200}, down, Fail},
		"latency":            {plan.Expect{On: "latency_seconds", Op: plan.Max, Limit: 0.1, Unit: quantity.Time}, http, Fail},
		"contains":           {plan.Expect{On: "body", Op: plan.Contains, Text: "ok"}, http, Pass},
		"does not contain":   {plan.Expect{On: "body", Op: plan.Contains, Text: "stale"}, http, Fail},
		"matches":            {plan.Expect{On: "body", Op: plan.Matches, Text: `"status":"\w+"`}, http, Pass},
		"json":               {plan.Expect{On: "body", Op: plan.JSONEquals, Path: "status", Text: "ok"}, http, Pass},
		"json in a list":     {plan.Expect{On: "body", Op: plan.JSONEquals, Path: "db.rows[1]", Text: "2"}, http, Pass},
		"json out of a list": {plan.Expect{On: "body", Op: plan.JSONEquals, Path: "db.rows[2]", Text: "2"}, http, Fail},
		"not there":          {plan.Expect{On: "exit_code", Op: plan.Equals}, http, Inconclusive},
		"no such text":       {plan.Expect{On: "stdout", Op: plan.Contains, Text: "x"}, http, Inconclusive},
		"exact text":         {plan.Expect{On: "stdout", Op: plan.Equals, Text: "hi"}, journal.Observation{Text: map[string]string{"stdout": "hi\n"}}, Pass},
		"not connected":      {plan.Expect{On: "connected", Op: plan.Equals, Limit: 0}, journal.Observation{Numbers: map[string]float64{"connected": 0}, Text: map[string]string{"problem": "refused"}}, Pass},
	} {
		check := plan.Check{Mode: plan.AtStart, Expect: []plan.Expect{c.expect}, Probe: plan.Probe{Kind: "http"}}
		j := Judge(check, []journal.Observation{c.seen})
		if j.State != c.state {
			t.Errorf("%s: got %v: %s; want %v", name, j.State, j.Reason, c.state)
		}
	}
}

// looks makes a series of looks 250 ms apart: + passes, - fails, ? has no data, ! could not look.
func looks(pattern string) []journal.Observation {
	var all []journal.Observation
	for i, c := range pattern {
		o := journal.Observation{Offset: plan.Duration(time.Duration(i) * 250 * time.Millisecond)}
		switch c {
		case '+':
			o.Series = series(1)
		case '-':
			o.Series = series(9)
		case '!':
			o.Error = "no answer"
		}
		all = append(all, o)
	}
	return all
}

func TestContinuousChecks(t *testing.T) {
	for _, c := range []struct {
		hold    plan.Hold
		pattern string
		state   State
	}{
		{plan.Hold{}, "++++", Pass},
		{plan.Hold{}, "+-++", Fail},
		{plan.Hold{}, "++?+", Inconclusive},
		{plan.Hold{}, "+!?+", Error},
		{plan.Hold{}, "-!?+", Fail},
		{plan.Hold{MinRatio: 0.75}, "+++-", Pass},
		{plan.Hold{MinRatio: 0.75}, "++--", Fail},
		{plan.Hold{MinRatio: 0.75}, "++-?", Inconclusive},
		{plan.Hold{MinRatio: 0.75}, "++-!", Error},
		{plan.Hold{MinRatio: 0.75}, "????", Inconclusive},
		{plan.Hold{MaxBreach: plan.Duration(500 * time.Millisecond)}, "++--+", Pass},
		{plan.Hold{MaxBreach: plan.Duration(500 * time.Millisecond)}, "+---+", Fail},
		{plan.Hold{MaxBreach: plan.Duration(500 * time.Millisecond)}, "+-??+", Inconclusive},
		{plan.Hold{MaxBreach: plan.Duration(500 * time.Millisecond)}, "?????", Inconclusive},
		{plan.Hold{MaxBreach: plan.Duration(500 * time.Millisecond)}, "+----", Fail},
		{plan.Hold{MaxBreach: plan.Duration(500 * time.Millisecond)}, "+-", Pass},
		{plan.Hold{MaxBreach: plan.Duration(500 * time.Millisecond)}, "-", Inconclusive}, // a single look has no length
		{plan.Hold{MaxBreach: plan.Duration(500 * time.Millisecond)}, "?", Inconclusive},
		{plan.Hold{MaxBreach: plan.Duration(500 * time.Millisecond)}, "?!", Error},
	} {
		check := promql("", "", atMost(5))
		check.Mode, check.Hold = plan.Continuous, c.hold
		if j := Judge(check, looks(c.pattern)); j.State != c.state {
			t.Errorf("%s with %+v: got %v: %s; want %v", c.pattern, c.hold, j.State, j.Reason, c.state)
		}
	}
}

func TestEventually(t *testing.T) {
	for _, c := range []struct {
		within, lasting time.Duration
		pattern         string
		state           State
		at              time.Duration
	}{
		{time.Second, 0, "--+", Pass, 500 * time.Millisecond},
		{time.Second, 0, "----", Fail, 0},
		{400 * time.Millisecond, 0, "--+", Fail, 500 * time.Millisecond},
		{time.Second, 500 * time.Millisecond, "-+-+++", Pass, 750 * time.Millisecond},
		{time.Second, 500 * time.Millisecond, "-++", Fail, 0},
		{time.Second, 500 * time.Millisecond, "-+?+", Fail, 0},
		{time.Second, 0, "???", Inconclusive, 0},
		{time.Second, 0, "-!!", Error, 0},
	} {
		check := promql("", "", atMost(5))
		check.Mode, check.Within, check.For = plan.Eventually, plan.Duration(c.within), plan.Duration(c.lasting)
		seen := looks(c.pattern)
		if j := Judge(check, seen); j.State != c.state {
			t.Errorf("%s for %v within %v: got %v: %s; want %v", c.pattern, c.lasting, c.within, j.State, j.Reason, c.state)
		}
		if at, _ := Held(check, seen); at != c.at {
			t.Errorf("%s for %v: held from %v, want %v", c.pattern, c.lasting, at, c.at)
		}
	}
}

func TestAbortConditionNeedsALastingBreach(t *testing.T) {
	check := promql("", "", atMost(5))
	check.For = plan.Duration(500 * time.Millisecond)
	for pattern, want := range map[string]bool{"+---": true, "-+--+--": false, "--?-": true, "-?+--": false, "-????": false, "": false, "---": true} {
		if _, got := Breached(check, looks(pattern)); got != want {
			t.Errorf("%q: breached %v, want %v", pattern, got, want)
		}
	}
}

// The last look lasts until it was given up.
func TestABreachLastsAsLongAsItsLastLook(t *testing.T) {
	check := promql("", "", atMost(5))
	check.Mode, check.Hold = plan.Continuous, plan.Hold{MaxBreach: plan.Duration(500 * time.Millisecond)}
	seen := looks("++-")
	if j := Judge(check, seen); j.State != Pass {
		t.Errorf("a short breach: %v: %s", j.State, j.Reason)
	}
	seen[2].Took = plan.Duration(4 * time.Second)
	if j := Judge(check, seen); j.State != Fail {
		t.Errorf("a look of 4s: %v: %s", j.State, j.Reason)
	}
}
