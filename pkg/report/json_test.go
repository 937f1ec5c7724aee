package report

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/verdict"
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
				s.Check.Baseline, s.Check.Expect = true, []plan.Expect{{On: "value", Op: plan.MaxIncrease, Limit: 0.8, Unit: quantity.Percent, Written: "80%"}}
			}
		}
		return true
	})
	events = changed(t, events, journal.Looked, func(e *journal.Event, o *journal.Observation) bool {
		if e.Step == "p99-holds" {
			o.Baseline = o.Series
			o.Events[verdict.EventsAsked], o.Events[verdict.EventsBaselineAsked] = 20, 20
			for n := range 20 {
				o.Samples, o.BaselineSamples = append(o.Samples, 1+float64(n)/100), append(o.BaselineSamples, 1+float64(n)/100)
			}
		}
		return true
	})
	m := modelOf(t, events)
	s := parsed(t, m)["scenarios"].([]any)[0].(map[string]any)
	if s["degradation_percent"] != 0.0 || s["threshold_percent"] != 80.0 || s["p99_latency_ms"] != nil {
		t.Errorf("degradation %v of %v, p99 %v", s["degradation_percent"], s["threshold_percent"], s["p99_latency_ms"])
	}
	wantAll(t, written(t, "html", m), "p99-holds: at most 80% above the steady state")
}

// A field that is added to anything in the report has to be added to its schema as well: one that no recorded run has would otherwise be found by a user.
func TestTheSchemaKnowsEveryField(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(schema.Report, &root); err != nil {
		t.Fatal(err)
	}
	compareFields(t, "report", reflect.TypeFor[jsonReport](), root, root)
}

func compareFields(t *testing.T, at string, typ reflect.Type, node, root map[string]any) {
	t.Helper()
	if name, ok := node["$ref"].(string); ok {
		node = root["$defs"].(map[string]any)[strings.TrimPrefix(name, "#/$defs/")].(map[string]any)
	}
	switch {
	case typ.Kind() == reflect.Pointer:
		compareFields(t, at, typ.Elem(), node, root)
	case typ.Implements(reflect.TypeFor[json.Marshaler]()) || typ.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
	case typ.Kind() == reflect.Slice:
		items, ok := node["items"].(map[string]any)
		if !ok {
			t.Errorf("%s is a list, and its schema has no items", at)
			return
		}
		compareFields(t, at+"[]", typ.Elem(), items, root)
	case typ.Kind() == reflect.Struct:
		known, _ := node["properties"].(map[string]any)
		fields := fieldsOf(typ)
		for name, field := range fields {
			if _, ok := known[name]; ok && field == reflect.PointerTo(typ) {
				continue // it holds one of its own kind
			}
			property, ok := known[name].(map[string]any)
			if !ok {
				t.Errorf("%s has the field %q, and its schema does not", at, name)
				continue
			}
			compareFields(t, at+"."+name, field, property, root)
		}
		for name := range known {
			if fields[name] == nil {
				t.Errorf("the schema of %s has %q, and the report does not", at, name)
			}
		}
	}
}

// fieldsOf answers the JSON fields of a struct, those of embedded ones included.
func fieldsOf(typ reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			for inner, t := range fieldsOf(f.Type) {
				if fields[inner] == nil {
					fields[inner] = t
				}
			}
		case name != "-":
			fields[name] = f.Type
		}
	}
	return fields
}
