package diag

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

func TestTheJSONFormIsComplete(t *testing.T) {
	cases := map[string]struct {
		list List
		want string
	}{
		"nothing": {nil, `{"format_version":"1","valid":true,"problems":[]}`},
		"one": {List{at(3, 5, 2, `"x" <y>`)},
			`{"format_version":"1","valid":false,"problems":[{"file":"a.yaml","line":3,"col":5,"len":2,"severity":"error","rule":"rule","message":"\"x\" <y>"}]}`},
		"a warning is valid": {List{{Span: Span{Pos: Pos{File: "a"}}, Severity: Warning, Rule: "r", Message: "m", Hint: "h"}},
			`{"format_version":"1","valid":true,"problems":[{"file":"a","line":0,"col":0,"len":0,"severity":"warning","rule":"r","message":"m","hint":"h"}]}`},
	}
	for name, c := range cases {
		var b strings.Builder
		if err := c.list.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		if got := compact(t, b.String()); got != compact(t, c.want) {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func compact(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// sarifShape is what SARIF 2.1.0 asks of the parts that are written here; it is narrower than the standard so that a stray key shows.
const sarifShape = `{
  "type": "object", "required": ["$schema", "version", "runs"], "additionalProperties": false,
  "properties": {
    "$schema": {"type": "string"}, "version": {"const": "2.1.0"},
    "runs": {"type": "array", "minItems": 1, "items": {
      "type": "object", "required": ["tool", "results"], "additionalProperties": false,
      "properties": {
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
        "tool": {"type": "object", "required": ["driver"], "properties": {"driver": {
          "type": "object", "required": ["name"], "additionalProperties": false,
          "properties": {"name": {"type": "string", "minLength": 1}, "version": {"type": "string", "minLength": 1},
            "rules": {"type": "array", "uniqueItems": true, "items": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "minLength": 1}}}}}}}},
        "results": {"type": "array", "items": {
          "type": "object", "required": ["ruleId", "level", "message", "locations"], "additionalProperties": false,
          "properties": {
            "ruleId": {"type": "string", "minLength": 1}, "level": {"enum": ["none", "note", "warning", "error"]},
            "message": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}},
            "locations": {"type": "array", "items": {"type": "object", "required": ["physicalLocation"], "properties": {"physicalLocation": {
              "type": "object", "required": ["artifactLocation"], "additionalProperties": false,
              "properties": {
                "artifactLocation": {"type": "object", "required": ["uri"], "properties": {"uri": {"type": "string", "pattern": "^[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]+$"}}},
                "region": {"type": "object", "required": ["startLine", "startColumn", "endColumn"], "additionalProperties": false, "properties": {
                  "startLine": {"type": "integer", "minimum": 1}, "startColumn": {"type": "integer", "minimum": 1}, "endColumn": {"type": "integer", "minimum": 1}}}}}}}}}}}}}}}}`

func sarif(t *testing.T, l List) map[string]any {
	t.Helper()
	var b strings.Builder
	if err := l.WriteSARIF(&b, "1.2.3"); err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(b.String()), &v); err != nil {
		t.Fatal(err)
	}
	if err := jsonschema.MustCompileString("sarif.json", sarifShape).Validate(v); err != nil {
		t.Fatalf("%#v\n%s", err, b.String())
	}
	return v["runs"].([]any)[0].(map[string]any)
}

func TestSARIF(t *testing.T) {
	p, whole, nowhere, odd := at(3, 5, 2, "m"), at(0, 0, 0, "the file is empty"), at(0, 0, 0, "no file"), at(1, 1, 0, "m")
	p.Hint, whole.Severity, nowhere.File, nowhere.Severity, odd.File = "do this", Warning, "", "", "b c/[x=1]#é.yaml"
	run := sarif(t, List{odd, p, whole, nowhere, p})
	results := run["results"].([]any)
	if len(results) != 4 {
		t.Fatalf("%d results, want 4: each problem once", len(results))
	}
	if n := len(run["tool"].(map[string]any)["driver"].(map[string]any)["rules"].([]any)); n != 1 {
		t.Errorf("%d rules, want 1", n)
	}
	want := []string{
		`{"level":"error","locations":[],"message":{"text":"no file"},"ruleId":"rule"}`,
		`{"level":"warning","locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.yaml"}}}],"message":{"text":"the file is empty"},"ruleId":"rule"}`,
		`{"level":"error","locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.yaml"},"region":{"endColumn":7,"startColumn":5,"startLine":3}}}],"message":{"text":"m (do this)"},"ruleId":"rule"}`,
		`{"level":"error","locations":[{"physicalLocation":{"artifactLocation":{"uri":"b%20c/%5Bx=1%5D%23%C3%A9.yaml"},"region":{"endColumn":2,"startColumn":1,"startLine":1}}}],"message":{"text":"m"},"ruleId":"rule"}`,
	}
	for i, w := range want {
		got, err := json.Marshal(results[i])
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != w {
			t.Errorf("result %d: got %s\nwant %s", i, got, w)
		}
	}
	if n := len(sarif(t, nil)["results"].([]any)); n != 0 {
		t.Errorf("an empty list gave %d results", n)
	}
}

func TestAFileURI(t *testing.T) {
	for path, want := range map[string]string{"a.yaml": "a.yaml", "x:y.yaml": "./x:y.yaml", "/tmp/a b.yaml": "file:///tmp/a%20b.yaml"} {
		if got := fileURI(path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}
