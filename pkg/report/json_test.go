package report

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/schema"
)

// reportSchema answers a check of a report.json against the published schema.
func reportSchema(t *testing.T) func(*testing.T, string) {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.Draft, c.AssertFormat = jsonschema.Draft2020, true
	if err := c.AddResource("report.schema.json", strings.NewReader(string(schema.Report))); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("report.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, text string) {
		t.Helper()
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(v); err != nil {
			t.Fatalf("%#v", err)
		}
	}
}

func parsed(t *testing.T, m Model) map[string]any {
	t.Helper()
	text := written(t, "json", m)
	reportSchema(t)(t, text)
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheJSONReport(t *testing.T) {
	cases := map[string]struct{ overall, gate, status string }{
		"passed": {"PASS", "OPEN", "PASS"}, "failed": {"FAIL", "CLOSED", "FAIL"}, "interrupted": {"FAIL", "CLOSED", "FAIL"}, "killed": {"FAIL", "CLOSED", "FAIL"},
	}
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			r := parsed(t, recordedModel(t, name))
			s := r["scenarios"].([]any)[0].(map[string]any)
			if r["overall"] != want.overall || r["deployment_gate"] != want.gate || s["status"] != want.status {
				t.Errorf("overall %v, gate %v, status %v", r["overall"], r["deployment_gate"], s["status"])
			}
			if r["run_id"] == "" || r["seed"] != "7" || len(r["commit"].(string)) != 40 {
				t.Errorf("run %v, seed %v, commit %v", r["run_id"], r["seed"], r["commit"])
			}
		})
	}
}

func TestTheHeadlineFigures(t *testing.T) {
	s := parsed(t, recordedModel(t, "failed"))["scenarios"].([]any)[0].(map[string]any)
	for key, ok := range map[string]func(float64) bool{
		"recovery_time_seconds": func(v float64) bool { return v >= 0 && v <= 15 },
		"threshold_seconds":     func(v float64) bool { return v == 15 },
		"p99_latency_ms":        func(v float64) bool { return v > 1000 },
		"threshold_ms":          func(v float64) bool { return v == 1000 },
	} {
		if v, is := s[key].(float64); !is || !ok(v) {
			t.Errorf("%s is %v", key, s[key])
		}
	}
	for _, key := range []string{"degradation_percent", "threshold_percent"} {
		if v, is := s[key]; is {
			t.Errorf("%s is %v where nothing was compared with the steady state", key, v)
		}
	}
	if e := s["recovery"].(map[string]any)["evidence"].([]any); len(e) == 0 {
		t.Error("the recovery has no evidence")
	}
	for _, c := range s["checks"].([]any) {
		if c := c.(map[string]any); len(c["evidence"].([]any)) == 0 || len(c["expect"].([]any)) == 0 {
			t.Errorf("%v has no evidence or expectation", c["id"])
		}
	}
	s = parsed(t, recordedModel(t, "interrupted"))["scenarios"].([]any)[0].(map[string]any)
	if v, is := s["recovery_time_seconds"]; is {
		t.Errorf("a run that was interrupted has recovered after %v", v)
	}
}

// Of several checks of one kind the figure is of the one that decides, not of the first.
func TestTheHeadlineIsOfTheWorstCheck(t *testing.T) {
	events := changed(t, read(t, "failed"), journal.Planned, func(_ *journal.Event, p *plan.Plan) bool {
		for _, s := range p.Steps {
			if s.ID == "p99-holds" {
				easy, c := s, *s.Check
				c.ID, c.Expect = "easy", []plan.Expect{c.Expect[0]}
				c.Expect[0].Limit = 60
				easy.ID, easy.Check = "easy", &c
				p.Steps = append([]plan.Step{easy}, p.Steps...)
			}
		}
		return true
	})
	for _, e := range events {
		if e.Step == "p99-holds" {
			e.Step = "easy"
			events = append(events, e)
		}
	}
	s := parsed(t, modelOf(t, events))["scenarios"].([]any)[0].(map[string]any)
	if s["threshold_ms"] != 1000.0 {
		t.Errorf("the figure is of the check with the limit %v ms", s["threshold_ms"])
	}
}

func TestAComparisonWithTheSteadyState(t *testing.T) {
	events := changed(t, read(t, "failed"), journal.Planned, func(_ *journal.Event, p *plan.Plan) bool {
		for _, s := range p.Steps {
			if s.ID == "p99-holds" {
				s.Check.Baseline, s.Check.Expect = true, []plan.Expect{{On: "value", Op: plan.MaxIncrease, Limit: 0.8, Unit: "%", Written: "80%"}}
			}
		}
		return true
	})
	events = changed(t, events, journal.Looked, func(e *journal.Event, o *journal.Observation) bool {
		if e.Step == "p99-holds" {
			o.Baseline = o.Series
		}
		return true
	})
	m := modelOf(t, events)
	s := parsed(t, m)["scenarios"].([]any)[0].(map[string]any)
	if s["degradation_percent"] != 0.0 || s["threshold_percent"] != 80.0 || s["p99_latency_ms"] != nil {
		t.Errorf("degradation %v of %v, p99 %v", s["degradation_percent"], s["threshold_percent"], s["p99_latency_ms"])
	}
	wantAll(t, written(t, "html", m), "p99-holds: at most +80% over the steady state")
}
