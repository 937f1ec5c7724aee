package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chaosgate/pkg/fault"
)

const project = "../../.."

func TestTheGeneratedPartsAreCurrent(t *testing.T) {
	parts, err := generate(project)
	if err != nil {
		t.Fatal(err)
	}
	used := ""
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(project, name))
		if err != nil {
			t.Fatal(err)
		}
		used += string(text)
		want, err := fill(string(text), parts)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if want != string(text) {
			t.Errorf("%s is not current: run go generate ./docs", name)
		}
	}
	for name := range parts {
		if !strings.Contains(used, "<!-- generated: "+name+" -->") {
			t.Errorf("no file has the part %s", name)
		}
	}
}

func TestTheSameCodeGivesTheSameText(t *testing.T) {
	first, err := generate(project)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		again, err := generate(project)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range first {
			if again[name] != text {
				t.Errorf("%s is different each time", name)
			}
		}
	}
}

func TestUpdateWritesOnlyWhatIsStale(t *testing.T) {
	root := t.TempDir()
	write(t, root, "pkg/journal/event.go", "package journal\n\ntype Type string\n\nconst (\n\tStarted Type = \"run.started\" // RunInfo; always first\n)\n")
	for _, name := range files {
		write(t, root, name, "by hand\n")
	}
	write(t, root, "docs/architecture.md", "before\n<!-- generated: events -->\nold\n<!-- /generated -->\nafter\n")
	var said bytes.Buffer
	if code := run(&said, []string{root}); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	want := "before\n<!-- generated: events -->\n| event | data | note |\n|---|---|---|\n| `run.started` | `RunInfo` | always first |\n<!-- /generated -->\nafter\n"
	if got := read(t, root, "docs/architecture.md"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := read(t, root, "README.md"); got != "by hand\n" {
		t.Errorf("a file without a part was changed to %q", got)
	}
	if code := run(&said, []string{filepath.Join(root, "nowhere")}); code != 1 {
		t.Errorf("exit code %d for a folder that is not there, want 1", code)
	}
	if code := run(&said, nil); code != 2 {
		t.Errorf("exit code %d without a folder, want 2", code)
	}
	for _, want := range []string{"no such file", "usage: gen FOLDER"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it said %q, want %q in it", said.String(), want)
		}
	}
}

func TestFillRefusesBrokenMarkers(t *testing.T) {
	parts := map[string]string{"a": "text"}
	for text, want := range map[string]string{
		"<!-- generated: a -->\n":                                             "line 1: the marker is never closed",
		"x\n<!-- generated: b -->\n<!-- /generated -->\n":                     `line 2: no part is called "b"`,
		"<!-- /generated -->\n":                                               "line 1: nothing is open here",
		"<!-- generated: a -->\n<!-- generated: a -->\n<!-- /generated -->\n": "line 2: the marker of line 1 is still open",
	} {
		if _, err := fill(text, parts); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// TestKeysOf shows what a schema is told as: links to what has keys of its own, what a twin shares, quantities by their examples.
func TestKeysOf(t *testing.T) {
	schema := `{"description": "All.", "required": ["a"], "properties": {
		"a": {"type": "array", "items": {"$ref": "#/$defs/inner"}, "description": "Some | others."},
		"b": {"$ref": "#/$defs/twin"}},
		"$defs": {
		"inner": {"type": "object", "description": "Inner.", "properties": {
			"same": {"type": "string", "examples": ["300ms", "5s", "2m"], "description": "How long."},
			"n": {"type": ["integer", "string"], "description": "How many."}}},
		"twin": {"type": "object", "description": "Twin.", "properties": {
			"same": {"type": "string", "examples": ["300ms", "5s", "2m"], "description": "How long."},
			"n": {"enum": ["x", "y"], "description": "Which.", "examples": ["x"]}}}}}`
	got, err := keysOf([]byte(schema), format{top: "the file", titles: map[string]string{"inner": "an inner"}, like: map[string]string{"twin": "inner"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"### The file\n\nAll.\n",
		"| `a` **required** | list of [an inner](#an-inner) | Some \\| others. |",
		"| `b` | [twin](#twin) | Twin. |",
		"### An inner\n\nInner.\n",
		"| `same` | duration | How long. |",
		"| `n` | number or text | How many. |",
		"### `twin`\n\nTwin.\n",
		"| `n` | `x` or `y` | Which. For example `x`. |\n\nThese are what they are in [an inner](#an-inner): `same`.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
	if _, err := keysOf([]byte("[]"), format{}); err == nil {
		t.Error("a schema of no object was told")
	}
}

func TestEveryFaultIsTold(t *testing.T) {
	text := faultTexts(fault.Catalogue())
	for _, k := range fault.Catalogue() {
		for _, want := range []string{"### " + k.Name + "\n", k.Doc, k.Proof} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: there is no %q", k.Name, want)
			}
		}
		for _, p := range k.Params {
			if !strings.Contains(text, "| `"+p.Name+"` | "+string(p.Type)+" |") {
				t.Errorf("%s: there is no parameter %s", k.Name, p.Name)
			}
		}
	}
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, root, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
