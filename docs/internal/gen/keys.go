package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// format says how a schema is told: which name its top level goes by, how definitions are called, and which are told as what they differ in from another.
type format struct {
	top    string
	titles map[string]string // of definitions whose own name does not say it
	like   map[string]string
}

var (
	experimentFormat = format{
		top:    "the experiment",
		titles: map[string]string{"steady": "a check of steadyState", "step": "a step", "abort": "a condition of abortWhen", "traffic": "an entry of traffic"},
		like:   map[string]string{"steady": "step", "abort": "step"},
	}
	configFormat = format{top: "the project", titles: map[string]string{"environment": "an environment", "service": "a service of an environment", "databaseSignals": "signals of a database"}}
)

// object is something with keys in a schema.
type object struct {
	name string
	node *yaml.Node
}

// teller tells a schema, object by object, each once, in the order in which they are met. JSON is read as YAML because that keeps the order of the keys.
type teller struct {
	format
	defs *yaml.Node
	todo []object
	told []string
	out  strings.Builder
}

func keysOf(schema []byte, f format) (string, error) {
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(schema)).Decode(&doc); err != nil {
		return "", err
	}
	if len(doc.Content) != 1 || get(doc.Content[0], "properties") == nil {
		return "", errors.New("the schema describes no object")
	}
	root := doc.Content[0]
	t := teller{format: f, defs: get(root, "$defs"), todo: []object{{name: f.top, node: root}}}
	for len(t.todo) > 0 {
		next := t.todo[0]
		t.todo = t.todo[1:]
		t.tell(next)
	}
	return t.out.String(), nil
}

func (t *teller) title(name string) string {
	if title, ok := t.titles[name]; ok {
		return title
	}
	return name
}

// heading is a title as a heading: a key as code, a phrase with a capital.
func (t *teller) heading(name string) string {
	title := t.title(name)
	if !strings.Contains(title, " ") && title != t.top {
		return code(title)
	}
	return strings.ToUpper(title[:1]) + title[1:]
}

func (t *teller) tell(o object) {
	fmt.Fprintf(&t.out, "### %s\n\n%s\n\n", t.heading(o.name), text(o.node, "description"))
	required := get(o.node, "required")
	same := t.likeness(o.name)
	var rows [][]string
	var shared []string
	for name, node := range pairs(get(o.node, "properties")) {
		kind := t.kind(name, node) // also queues what is met
		if twin := get(same, name); twin != nil && equal(twin, node) && name != "id" {
			shared = append(shared, "`"+name+"`")
			continue
		}
		key := code(name)
		if required != nil && slices.ContainsFunc(required.Content, func(r *yaml.Node) bool { return r.Value == name }) {
			key += " **required**"
		}
		rows = append(rows, []string{key, kind, t.meaning(node)})
	}
	t.out.WriteString(table([]string{"key", "value", "meaning"}, rows) + "\n")
	if len(shared) > 0 {
		title := t.title(t.like[o.name])
		fmt.Fprintf(&t.out, "These are what they are in [%s](#%s): %s.\n\n", title, anchor(title), strings.Join(shared, ", "))
	}
}

func (t *teller) likeness(name string) *yaml.Node {
	if other, ok := t.like[name]; ok {
		return get(get(t.defs, other), "properties")
	}
	return nil
}

// kind says what a value is, with a link where it has keys of its own.
func (t *teller) kind(name string, n *yaml.Node) string {
	if ref := text(n, "$ref"); ref != "" {
		name = strings.TrimPrefix(ref, "#/$defs/")
		n = get(t.defs, name)
	}
	var all []string
	for _, kind := range types(n) {
		all = append(all, t.oneKind(kind, name, n))
	}
	if values := get(n, "enum"); values != nil {
		all = nil
		for _, v := range values.Content {
			all = append(all, code(v.Value))
		}
	}
	if only := text(n, "const"); only != "" {
		all = []string{code(only)}
	}
	return strings.Join(slices.Compact(all), " or ")
}

func (t *teller) oneKind(kind, name string, n *yaml.Node) string {
	switch kind {
	case "string":
		return spoken(n)
	case "integer", "number":
		return "number"
	case "boolean":
		return "true or false"
	case "array":
		return "list of " + t.kind(name, get(n, "items"))
	}
	if get(n, "properties") != nil {
		return t.link(name, n)
	}
	if values := get(n, "additionalProperties"); values != nil && values.Kind == yaml.MappingNode {
		return "mapping of names to " + t.kind(name, values)
	}
	return "mapping"
}

func (t *teller) link(name string, n *yaml.Node) string {
	if !slices.Contains(t.told, name) {
		t.told = append(t.told, name)
		t.todo = append(t.todo, object{name: name, node: n})
	}
	title := t.title(name)
	return fmt.Sprintf("[%s](#%s)", title, anchor(title))
}

// spoken tells a text that is a quantity by its examples.
func spoken(n *yaml.Node) string {
	if first := get(n, "examples"); first != nil && len(first.Content) == 3 && first.Content[0].Value == "300ms" {
		return "duration"
	}
	return "text"
}

// meaning is the description, that of the definition included, and the examples where they say more than "duration".
func (t *teller) meaning(n *yaml.Node) string {
	said := text(n, "description")
	if ref := text(n, "$ref"); ref != "" && said == "" {
		said = text(get(t.defs, strings.TrimPrefix(ref, "#/$defs/")), "description")
	}
	examples := get(n, "examples")
	if examples == nil || spoken(n) == "duration" {
		return said
	}
	var all []string
	for _, e := range examples.Content {
		all = append(all, code(e.Value))
	}
	return said + " For example " + strings.Join(all, ", ") + "."
}

// types are the types of a value; all but those that only spare the author quotes are told.
func types(n *yaml.Node) []string {
	kind := get(n, "type")
	switch {
	case kind == nil:
		return nil
	case kind.Kind == yaml.ScalarNode:
		return []string{kind.Value}
	}
	var all []string
	for _, k := range kind.Content {
		all = append(all, k.Value)
	}
	if slices.Contains(all, "string") && slices.Contains(all, "integer") { // a quantity, or a number that may be ${matrix.NAME}
		return []string{"number", "string"}
	}
	return all
}

func get(n *yaml.Node, key string) *yaml.Node {
	for k, v := range pairs(n) {
		if k == key {
			return v
		}
	}
	return nil
}

func text(n *yaml.Node, key string) string {
	if v := get(n, key); v != nil {
		return v.Value
	}
	return ""
}

// pairs walks a mapping in its order; there is nothing to walk in anything else.
func pairs(n *yaml.Node) func(func(string, *yaml.Node) bool) {
	return func(yield func(string, *yaml.Node) bool) {
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, n.Content[i+1]) {
				return
			}
		}
	}
}

func equal(a, b *yaml.Node) bool {
	return a.Value == b.Value && slices.EqualFunc(a.Content, b.Content, equal)
}
