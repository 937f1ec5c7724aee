package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"gopkg.in/yaml.v3"

	"chaosgate/pkg/diag"
	"chaosgate/schema"
)

// shape is a JSON Schema, compiled, and as it is written: the messages look up in it what would have been right.
type shape struct {
	compiled *jsonschema.Schema
	written  map[string]any
}

// form is what a kind of file has to look like.
type form struct {
	shape   func() shape // compiled once, when the first file is checked
	several string       // the hint for a file that holds several documents
}

var (
	experimentForm = form{sync.OnceValue(func() shape { return newShape(schema.Experiment) }), "one file is one experiment: split it"}
	configForm     = form{sync.OnceValue(func() shape { return newShape(schema.Config) }), "one chaos.yaml is one document: put all environments under one environments key"}
)

// newShape panics on a schema that does not compile: it is part of the program, and the tests compile it.
func newShape(text []byte) shape {
	const name = "schema.json"
	compiler := jsonschema.NewCompiler()
	compiler.Draft = jsonschema.Draft2020
	if err := compiler.AddResource(name, bytes.NewReader(text)); err != nil {
		panic(err)
	}
	s := shape{compiled: compiler.MustCompile(name)}
	if err := json.Unmarshal(text, &s.written); err != nil {
		panic(err)
	}
	return s
}

// check validates the document and translates what the schema says into sentences.
func (s shape) check(d *Document) diag.List {
	err := s.compiled.Validate(plain(d.root))
	if err == nil {
		return nil
	}
	invalid, ok := err.(*jsonschema.ValidationError)
	if !ok {
		return diag.List{{Span: d.Value(""), Severity: diag.Error, Rule: "schema", Message: err.Error()}}
	}
	var problems diag.List
	for _, leaf := range leaves(invalid) {
		problems = append(problems, s.translate(d, leaf)...)
	}
	return problems
}

// plain turns nodes into what the schema library reads.
func plain(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plain(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = plain(item)
		}
		return list
	default:
		return scalar(n)
	}
}

// scalar keeps numbers, booleans and null; everything else, dates too, is text.
func scalar(n *yaml.Node) any {
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		var v bool
		if n.Decode(&v) == nil {
			return v
		}
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value)
		}
	}
	return n.Value
}

// leaves are the errors that have no causes of their own.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	var all []*jsonschema.ValidationError
	for _, c := range e.Causes {
		all = append(all, leaves(c)...)
	}
	return all
}

func (s shape) translate(d *Document, e *jsonschema.ValidationError) diag.List {
	at := e.InstanceLocation
	_, where, _ := strings.Cut(e.AbsoluteKeywordLocation, "#")
	cut := strings.LastIndexByte(where, '/')
	keyword, holder := where[cut+1:], s.lookup(where[:cut])
	problem := func(span diag.Span, rule, hint, format string, args ...any) diag.Problem {
		return diag.Problem{Span: span, Severity: diag.Error, Rule: rule, Hint: hint, Message: fmt.Sprintf(format, args...)}
	}
	name := nameOf(at)
	switch keyword {
	case "additionalProperties":
		return s.unknownKeys(d, at, holder)
	case "required":
		return s.missingKeys(d, at, holder)
	case "type":
		_, n := d.find(at)
		return diag.List{problem(d.Value(at), "type", "", "%s is %s, expected %s", name, found(n), types(holder))}
	case "const":
		_, n := d.find(at)
		return diag.List{problem(d.Value(at), "value", "", "%s is %q, expected %q", name, n.Value, holder["const"])}
	case "enum":
		_, n := d.find(at)
		choices := texts(holder["enum"])
		return diag.List{problem(d.Value(at), "value", diag.DidYouMean(n.Value, choices), "%s is %q, expected one of %s", name, n.Value, strings.Join(choices, ", "))}
	case "pattern":
		_, n := d.find(at)
		return diag.List{problem(d.Value(at), "value", "", "%s is %q, expected %s", name, n.Value, patterns[fmt.Sprint(holder["pattern"])])}
	case "minItems", "minProperties":
		return diag.List{problem(d.Key(at), "empty-value", "", "%s is empty, expected at least one entry", name)}
	default:
		return diag.List{problem(d.Value(at), "schema", "", "%s: %s", name, e.Message)}
	}
}

// patterns says in words what the schemas' patterns ask for.
var patterns = map[string]string{
	"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$": "a DNS label: lower-case letters, digits and dashes, at most 63",
	"^[A-Za-z_][A-Za-z0-9_]*$":             "the name of an environment variable",
	"^/":                                   "a path that begins with /",
	"^[a-z0-9][a-z0-9_-]*$":                "the name of a Compose project: lower-case letters, digits, dashes and underscores, and a letter or digit first",
}

func nameOf(pointer string) string {
	all := tokens(pointer)
	for i := len(all) - 1; i >= 0; i-- {
		if strings.Trim(all[i], "0123456789") != "" {
			return all[i]
		}
	}
	return "the file"
}

// lookup answers the part of the schema at a pointer.
func (s shape) lookup(pointer string) map[string]any {
	var at any = s.written
	for _, t := range tokens(pointer) {
		m, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = m[t]
	}
	m, _ := at.(map[string]any)
	return m
}

func (s shape) unknownKeys(d *Document, at string, holder map[string]any) diag.List {
	properties, _ := holder["properties"].(map[string]any)
	var known []string
	for k := range properties {
		known = append(known, k)
	}
	slices.Sort(known)
	_, n := d.find(at)
	var problems diag.List
	for i := 0; n != nil && i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if _, ok := properties[key.Value]; ok || n.Kind != yaml.MappingNode {
			continue
		}
		if len(problems) > diag.MaxProblems {
			break
		}
		hint := diag.DidYouMean(key.Value, known)
		if hint == "" {
			hint = "known here: " + strings.Join(known, ", ")
		}
		problems = append(problems, diag.Problem{Span: d.span(key), Severity: diag.Error, Rule: "unknown-key", Hint: hint, Message: fmt.Sprintf("unknown key %q", key.Value)})
	}
	return problems
}

func (s shape) missingKeys(d *Document, at string, holder map[string]any) diag.List {
	var missing []string
	for _, k := range texts(holder["required"]) {
		if !d.Has(at + "/" + Escape(k)) {
			missing = append(missing, k)
		}
	}
	what := nameOf(at)
	if what != "the file" && at != "" {
		what = "this entry of " + what
	}
	return diag.List{{Span: d.Key(at), Severity: diag.Error, Rule: "missing-key", Message: fmt.Sprintf("%s has no %s", what, strings.Join(missing, " and no "))}}
}

func texts(v any) []string {
	var all []string
	list, _ := v.([]any)
	for _, x := range list {
		all = append(all, fmt.Sprint(x))
	}
	return all
}

// found says what a node is.
func found(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "empty"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "the number " + n.Value
	case n.Tag == "!!bool":
		return n.Value
	default:
		return fmt.Sprintf("%q", n.Value)
	}
}

var typeNames = map[string]string{"string": "text", "object": "a mapping", "array": "a list", "number": "a number", "integer": "a whole number", "boolean": "true or false"}

func types(holder map[string]any) string {
	all := texts(holder["type"])
	if one, ok := holder["type"].(string); ok {
		all = []string{one}
	}
	for i, t := range all {
		all[i] = typeNames[t]
	}
	text := strings.Join(all, " or ")
	if examples := texts(holder["examples"]); len(examples) > 0 {
		text += " such as " + examples[0]
	}
	return text
}
