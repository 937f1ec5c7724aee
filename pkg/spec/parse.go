package spec

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"chaosgate/pkg/diag"
)

// The limits of a file, which a person reads in a review.
const (
	maxFile  = 1 << 20
	maxDepth = 100
	maxKeys  = 1000 // of one mapping
)

// newDocument reads the text of a file into nodes. Nothing that could surprise a reviewer gets through: no second document, no doubled keys, no anchors.
func newDocument(file string, text []byte, kind form) (*Document, diag.List) {
	d := &Document{File: file}
	problems := diag.List{}
	add := func(rule, format string, args ...any) {
		problems = append(problems, diag.Problem{Span: diag.Span{Pos: diag.Pos{File: file, Line: 1, Col: 1}, Len: 1}, Severity: diag.Error, Rule: rule, Message: fmt.Sprintf(format, args...)})
	}
	switch {
	case len(text) > maxFile:
		add("file-size", "the file is larger than %d MiB, which is all that is read", maxFile>>20)
		return d, problems
	case !utf8.Valid(text):
		add("encoding", "the file is not UTF-8 text")
		return d, problems
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	d.Text = strings.ReplaceAll(string(text), "\r\n", "\n")
	d.lines = strings.Split(d.Text, "\n")
	if p, found := d.hidden(); found {
		return d, append(problems, p)
	}
	if at := tooDeep(d.Text); at >= 0 {
		add("nesting", "brackets or dashes are nested more than %d deep", maxDepth)
		problems[0].Span = d.offset(at, at+1)
		return d, problems
	}
	root, err := readYAML(strings.NewReader(d.Text))
	switch {
	case errors.Is(err, errDocuments):
		return d, append(problems, d.documents(err, kind.several))
	case err != nil:
		return d, append(problems, d.syntax(err))
	case root == nil:
		add("empty", "the file is empty")
		return d, problems
	}
	d.root = root
	problems = append(problems, d.checkNodes()...)
	return d, problems
}

func turning(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }

// steering says whether a character of a value is for a terminal and not for people.
func steering(r rune) bool {
	return unicode.IsControl(r) && !strings.ContainsRune("\t\n\r", r) || turning(r)
}

// hidden finds the first character that a reviewer does not see: a line end other than \n, where there is one line to the eye, a comment perhaps, and two to YAML,
// and every place behind it would be another one than the editor's; a control character; a mark of the byte order inside of the text.
func (d *Document) hidden() (diag.Problem, bool) {
	at := strings.IndexFunc(d.Text, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\ufeff' || turning(r)
	})
	if at < 0 {
		return diag.Problem{}, false
	}
	r, size := utf8.DecodeRuneInString(d.Text[at:])
	p := diag.Problem{Span: d.offset(at, at+size), Severity: diag.Error, Rule: "encoding", Message: fmt.Sprintf("the character %U cannot be seen, so it does not stand in a text that people review", r)}
	switch {
	case turning(r):
		p.Rule, p.Message = "control-character", "this character turns the order of the text around it: it hides from a reviewer what is approved"
	case strings.ContainsRune("\r\u0085\u2028\u2029", r):
		p.Rule, p.Message = "line-break", fmt.Sprintf("the character %U ends a line in YAML, and hardly an editor shows it", r)
		p.Hint = "end lines with a newline; inside double quotes write \\r, \\L or \\P"
	}
	return p, true
}

// tooDeep answers the offset at which brackets and list dashes are nested more than maxDepth deep, -1 if they are not; it counts those in quotes as well, which
// come in pairs. The YAML library would take a second for what is deeper than that.
func tooDeep(text string) int {
	depth, dashes := 0, 0
	for at, r := range text {
		switch r {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		case '-', '?':
			dashes++
		case '\n':
			dashes = 0
		case ' ':
		default:
			dashes = -1 << 20 // only dashes at the beginning of a line nest
		}
		if max(depth, dashes) > maxDepth {
			return at
		}
	}
	return -1
}

// checkNodes walks everything that was read. The depth is bounded by the walk itself.
func (d *Document) checkNodes() diag.List {
	c := nodeCheck{d: d}
	c.visit(d.root, "", 0)
	return c.problems
}

type nodeCheck struct {
	d        *Document
	problems diag.List
	tooDeep  bool
}

func (c *nodeCheck) add(n *yaml.Node, rule, hint, format string, args ...any) {
	if len(c.problems) > diag.MaxProblems {
		return
	}
	c.problems = append(c.problems, diag.Problem{Span: c.d.span(n), Severity: diag.Error, Rule: rule, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

func (c *nodeCheck) visit(n *yaml.Node, pointer string, depth int) {
	switch {
	case depth > maxDepth:
		if !c.tooDeep {
			c.add(n, "nesting", "", "values are nested more than %d deep", maxDepth)
		}
		c.tooDeep = true
		return
	case n.Kind == yaml.AliasNode:
		c.add(n, "anchor", "write the value out", "aliases are not supported: they hide from a reviewer what is approved")
		return
	case n.Anchor != "":
		c.add(n, "anchor", "remove it", "anchors are not supported: they hide from a reviewer what is approved")
	case n.Style&yaml.TaggedStyle != 0:
		c.add(n, "tag", "remove it", "the tag %s is not supported", n.Tag)
	case n.Kind == yaml.ScalarNode:
		c.text(n)
	}
	switch n.Kind {
	case yaml.MappingNode:
		c.keys(n, depth)
	case yaml.SequenceNode:
		for i, item := range n.Content {
			c.visit(item, pointer+"/"+strconv.Itoa(i), depth+1)
		}
	}
}

func (c *nodeCheck) text(n *yaml.Node) {
	if at := strings.IndexFunc(n.Value, steering); at >= 0 {
		r, _ := utf8.DecodeRuneInString(n.Value[at:])
		c.add(n, "control-character", "", "the control character U+%04X is not text", r)
	}
}

func (c *nodeCheck) keys(n *yaml.Node, depth int) {
	if len(n.Content)/2 > maxKeys {
		c.add(n, "mapping-size", "", "this mapping has %d keys, expected at most %d", len(n.Content)/2, maxKeys)
		return
	}
	seen := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch first := seen[key.Value]; {
		case key.Tag == "!!merge":
			c.add(key, "anchor", "write the keys out", "merging with << is not supported: it hides from a reviewer what is approved")
			continue
		case key.Kind != yaml.ScalarNode || key.Tag != "!!str":
			c.add(key, "key", "", "a key must be text")
		case first != nil:
			c.add(key, "duplicate-key", "", "%q is here twice; the first is on line %d", key.Value, first.Line)
		default:
			seen[key.Value] = key
			c.text(key)
		}
		if key.Anchor != "" {
			c.add(key, "anchor", "remove it", "anchors are not supported: they hide from a reviewer what is approved")
		}
		c.visit(value, "", depth+1)
	}
}
