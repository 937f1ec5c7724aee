package plan

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/target"
)

// unsaid are the fields that the text leaves out, each by a part of its path, and why.
func unsaid() map[string]string {
	const inAbort, onMetrics = "an abort condition has none", "an abort condition is on metrics"
	const forReport, spread = "for the report; decides nothing", "the map for the report of how a fault spreads; nothing is judged by it"
	return map[string]string{
		"Description": "the author's own words; decides nothing", "Tags": forReport, "Line": forReport, "Chart.Query": forReport, "Chart.Unit": forReport,
		"Places.Name": spread, "Places.Calls": spread, "Places.Signals": spread,
		"Probe.Kind":     "names the probe that is set, which is shown",
		"Expect.Text":    "Written has it, quoted",
		"Expect.Path":    "Written has it",
		"Selection.Seed": "follows from the seed of the run, the name and the id, which are shown",
		"Abort.Reuses":   inAbort, "Abort.Required": inAbort, "Abort.Mode": inAbort, "Abort.Within": inAbort, "Abort.Hold": inAbort,
		"Abort.Baseline": inAbort, "Abort.Sample": inAbort,
		"Abort.Probe.HTTP": onMetrics, "Abort.Probe.TCP": onMetrics, "Abort.Probe.Exec": onMetrics, "Abort.Probe.State": onMetrics,
	}
}

// Whoever approves a plan approves its text, so no field of it can change without the text: one that is added to a plan is to be added to its text as well, or
// above, with the reason. What is set must show wherever it is set, and what is not set somewhere.
func TestTheTextLeavesNothingOut(t *testing.T) {
	said, excused := map[string]bool{}, map[string]bool{}
	for _, p := range wholePlans() {
		sayAll(t, p, said)
	}
	for _, path := range paths("", reflect.TypeFor[Plan]()) {
		reason := excuse(path, excused)
		switch shown, tried := said[path]; {
		case !tried && reason == "":
			t.Errorf("no plan of the test has %s", path)
		case !shown && reason == "":
			t.Errorf("%s can change without the text", path)
		case shown && reason != "":
			t.Errorf("%s changes the text, so it needs no reason to be left out: %s", path, reason)
		}
	}
	for part := range unsaid() {
		if !excused[part] {
			t.Errorf("there is no field %s", part)
		}
	}
}

// sayAll changes each field of a plan alone, and notes in said whether its text has changed.
func sayAll(t *testing.T, p *Plan, said map[string]bool) {
	t.Helper()
	before := p.String()
	fields("", reflect.ValueOf(p).Elem(), func(path string, v reflect.Value) {
		was := reflect.New(v.Type()).Elem()
		was.Set(v)
		change(t, path, v)
		shown := p.String() != before
		if !shown && !was.IsZero() && excuse(path, map[string]bool{}) == "" {
			t.Errorf("%s is %v and can change without the text\n%s", path, was, before)
		}
		said[path] = said[path] || shown
		v.Set(was)
	})
	if p.String() != before {
		t.Error("the test has changed its plan")
	}
}

// excuse is why a field is left out, "" if it is not, and notes in used whose reason it was.
func excuse(path string, used map[string]bool) string {
	for part, reason := range unsaid() {
		if strings.Contains(path+".", "."+part+".") {
			used[part] = true
			return reason
		}
	}
	return ""
}

// fields visits all that can be set below a value; the elements of a list have one path.
func fields(path string, v reflect.Value, visit func(string, reflect.Value)) {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		fields(path, v.Elem(), visit)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fields(path+"."+v.Type().Field(i).Name, v.Field(i), visit)
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			fields(path, v.Index(i), visit)
		}
	case v.Kind() != reflect.Pointer:
		visit(path, v)
	}
}

// paths are all that fields can visit in values of a type.
func paths(path string, t reflect.Type) []string {
	switch {
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return paths(path, t.Elem())
	case t.Kind() == reflect.Struct:
		var all []string
		for i := range t.NumField() {
			all = append(all, paths(path+"."+t.Field(i).Name, t.Field(i).Type)...)
		}
		return all
	}
	return []string{path}
}

// change makes another value of one.
func change(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch was := v.Interface().(type) {
	case Duration:
		v.Set(reflect.ValueOf(was + 7*second))
		return
	case Mode:
		v.Set(reflect.ValueOf(map[Mode]Mode{AtEnd: Eventually}[was]))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("changed")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int:
		v.SetInt(v.Int() + 1)
	case reflect.Uint64:
		v.SetUint(v.Uint() + 1)
	case reflect.Float64:
		v.SetFloat(v.Float() + 1)
	case reflect.Slice:
		v.Set(reflect.ValueOf([]string{"changed"}))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"changed": "changed"}).Convert(v.Type()))
	default:
		t.Fatalf("%s: the test does not know how to change a %s", path, v.Type())
	}
}

const second = Duration(time.Second)

// wholePlans have every field somewhere: each probe in each mode at each place of a check, and each kind of a step. Nobody could carry them out.
func wholePlans() []*Plan {
	all := []*Plan{{
		Name: "whole", Title: "It holds", Owner: "team", Tags: []string{"gate"}, File: "whole.yaml", Environment: "local", Target: "process", Interval: second, Expected: second, Timeout: second,
		Traffic:   []Traffic{{Service: "a", Method: "GET", Path: "/", Rate: 5, Headers: map[string]string{"X": "1"}, Body: "b", Timeout: second}},
		SteadyFor: second,
		Recovery:  Recovery{Within: second, For: second, Takes: second},
		Steps:     wholeSteps(),
		Places:    []Place{{Name: "callers", Calls: []string{"a"}}, {Name: "a/orders", Service: "a", Database: "orders"}},
	}}
	for _, c := range wholeChecks() {
		all = append(all, &Plan{Steady: []Check{c}}, &Plan{Steps: []Step{{Check: &c}}})
		if c.Probe.Metric() {
			all = append(all, &Plan{Abort: []Check{c}})
		}
	}
	return all
}

// wholeSteps has each kind of a step but checks.
func wholeSteps() []Step {
	all := make([]Step, 6)
	for i := range all {
		all[i] = Step{ID: "step", Needs: []string{"other"}, When: WhenPass, Retry: Retry{Times: 1, Every: second}}
	}
	all[0].Fault = &Fault{Kind: "network.latency", Selection: target.Selection{Services: []string{"a"}}, Candidates: []string{"a", "b"}, To: "b", Params: fault.Params{"delay": "1s"}, Duration: second}
	all[1].Fault = &Fault{Kind: "db.lock", Selection: target.Selection{Services: []string{"a"}}}
	all[2].Action = &Action{HTTP: &HTTP{Service: "a", Method: "GET", Path: "/"}}
	all[3].Action = &Action{Exec: &Exec{Command: []string{"true"}}}
	all[4].Wait = second
	all[0].ID, all[5].During = "outer", "outer"
	return all
}

// wholeChecks has every probe in every mode.
func wholeChecks() []Check {
	probes := []Probe{
		{Promql: &Promql{Query: "sum(rate(x[$window]))", NoData: "zero", Presence: "y"}}, {Ratio: &Ratio{Part: "x", Total: "y"}}, {Quantile: &Quantile{Q: 0.5, Of: "x_seconds"}},
		{HTTP: &HTTP{Service: "a", Method: "GET", Path: "/"}}, {TCP: &TCP{Service: "a"}}, {Exec: &Exec{Command: []string{"true"}}}, {State: &State{Service: "a"}},
	}
	modes := []Check{
		{Mode: AtEnd, Timeout: second, Baseline: true, Sample: second}, {Mode: Continuous, Every: 2 * second, For: second, Hold: Hold{MinRatio: 0.5}},
		{Mode: Continuous, Every: 2 * second, Hold: Hold{MaxBreach: second}}, {Mode: Eventually, Every: 2 * second, For: second, Within: second},
	}
	var all []Check
	for _, probe := range probes {
		for _, c := range modes {
			c.ID, c.Required, c.Probe = "check", true, probe
			if probe.Metric() {
				c.Window = 10 * second
			}
			c.Expect = []Expect{
				{On: "status", Op: Max, Written: "0"},
				{On: "value", Op: Between, Limit: 1, High: 2, Unit: quantity.Time, Threshold: "limit", Override: "local"},
			}
			all = append(all, c)
		}
	}
	return all
}
