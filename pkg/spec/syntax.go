package spec

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"chaosgate/pkg/diag"
)

var errDocuments = errors.New("the file holds several YAML documents, expected one")

// readYAML answers the root value, nil for an empty file. The library's panics are errors.
func readYAML(text io.Reader) (root *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	decoder := yaml.NewDecoder(text)
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, fmt.Errorf("yaml: line %d: %w", second.Line, errDocuments)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	root = first.Content[0]
	if root.Tag == "!!null" {
		return nil, nil
	}
	return root, nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:unmarshal errors:\n\s*)?line (\d+): `)

// named takes an error of the YAML library apart: the line that it names, 0 if it names none, and what it says.
func named(err error) (line int, message string) {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return 0, strings.TrimPrefix(err.Error(), "yaml: ")
	}
	line, _ = strconv.Atoi(m[1])
	return line, strings.TrimPrefix(err.Error(), m[0])
}

// notYAML is a problem of a line as a whole, or of the tab that it is indented with.
func (d *Document) notYAML(line int, message string) diag.Problem {
	text := d.Line(line)
	col := len(text) - len(strings.TrimLeft(text, " ")) + 1
	p := diag.Problem{Span: diag.Span{Pos: diag.Pos{File: d.File, Line: line, Col: col}, Len: max(1, utf8.RuneCountInString(strings.TrimSpace(text)))}, Severity: diag.Error, Rule: "yaml", Message: "not YAML: " + message}
	if tab := strings.IndexByte(text[:indentation(text)], '\t'); tab >= 0 {
		p.Col, p.Len, p.Hint = tab+1, 1, "YAML is indented with spaces, and this line has a tab"
	}
	return p
}

// indentation is how much stands before the first key or value of a line: white space, and the dashes of lists.
func indentation(text string) int { return len(text) - len(strings.TrimLeft(text, " \t-")) }

// undecoded turns an error of decoding into a problem. The library counts its lines as people do.
func (d *Document) undecoded(err error) diag.Problem {
	line, message := named(err)
	return d.notYAML(min(max(1, line), len(d.lines)), message)
}

// documents turns errDocuments into a problem.
func (d *Document) documents(err error, hint string) diag.Problem {
	p := d.undecoded(err)
	p.Rule, p.Message, p.Hint = "documents", errDocuments.Error(), hint
	return p
}

// syntax turns another error of readYAML into a problem: at the line that it is about, or, of what is not closed, at the line where it opens.
func (d *Document) syntax(err error) diag.Problem {
	_, message := named(err)
	line, hint := d.begun(), ""
	switch {
	case strings.HasPrefix(message, "found unexpected end of stream"), strings.HasPrefix(message, "found unexpected document indicator"):
		line, hint = line-1, "the quote that opens on this line is not closed"
	case strings.HasPrefix(message, "did not find expected ',' or"):
		hint = unclosed(line, d.firstBroken(err))
	case strings.HasPrefix(message, "did not find expected node content"): // where that begins is where it is missing
	default:
		begun := line
		line = d.firstBroken(err)
		hint = d.misplaced(message, begun, line)
	}
	p := d.notYAML(d.filled(line), message)
	if p.Hint == "" {
		p.Hint = hint
	}
	return p
}

// begun answers the line where the list or mapping begins that the library was reading when it failed. Its parser names that line counted from 0, and another one if it
// is the first: with an empty line above them all it names the right one. (Its scanner counts from 1 and names the next.)
func (d *Document) begun() int {
	_, err := readYAML(strings.NewReader("\n" + d.Text))
	if err == nil {
		return 0
	}
	line, _ := named(err)
	return line
}

// firstBroken answers the line that an error of readYAML is about. The library names where what it was reading began, which may be far above. But it reads forward
// only, so the line is that with which the text down to there fails in the same words, and without which it does not.
func (d *Document) firstBroken(whole error) int {
	fails := func(n int) bool {
		_, err := readYAML(strings.NewReader(strings.Join(d.lines[:n], "\n") + "\n"))
		return err != nil && err.Error() == whole.Error()
	}
	last, step := d.asked(), 1
	for last > step && fails(last-step) {
		last, step = last-step, step*2
	}
	least := max(0, last-step) // which does not fail
	return least + 1 + sort.Search(last-least-1, func(i int) bool { return fails(least + 1 + i) })
}

// asked answers how many lines the library asks for before it fails: hardly more than it needs.
func (d *Document) asked() int {
	r := &lineReader{rest: d.Text}
	_, _ = readYAML(r)
	return len(d.lines) - strings.Count(r.rest, "\n")
}

// lineReader gives away a text, at most a line for each call.
type lineReader struct{ rest string }

func (r *lineReader) Read(into []byte) (int, error) {
	if r.rest == "" {
		return 0, io.EOF
	}
	line, _, _ := strings.Cut(r.rest, "\n")
	n := copy(into, r.rest[:min(len(line)+1, len(r.rest))])
	r.rest = r.rest[n:]
	return n, nil
}

// filled answers the line, or the nearest above that is not empty.
func (d *Document) filled(line int) int {
	line = min(max(1, line), len(d.lines))
	for line > 1 && strings.Trim(d.Line(line), " ") == "" {
		line--
	}
	return line
}

// unclosed is the hint for a bracket that opens on a line while the trouble is noticed on another, or the same.
func unclosed(opens, noticed int) string {
	where := "on this line"
	if noticed > opens {
		where = fmt.Sprintf("between this line and line %d", noticed)
	}
	return where + " a bracket or a quote is not closed, a comma is missing, or a text with brackets in it is not quoted"
}

// misplaced is the hint for a line that does not go on with the list or mapping that began on another.
func (d *Document) misplaced(message string, begun, line int) string {
	text := d.Line(line)
	switch {
	case strings.HasPrefix(message, "mapping values are not allowed"):
		return "quote a value that has a colon and a space in it, and indent each key like those beside it"
	case strings.HasPrefix(message, "did not find expected '-' indicator"):
		return fmt.Sprintf("in the list that begins on line %d each entry begins with a dash, and what belongs to it is indented alike", begun)
	case !strings.HasPrefix(message, "did not find expected key"):
		return ""
	case strings.ContainsAny(text, "\"'[]{}") && (begun == line || len(text)-len(strings.TrimLeft(text, " ")) == indentation(d.Line(begun))):
		return "the value ends before this line does: quote all of it or none, and look above for a quote that is not closed"
	case begun < line:
		return fmt.Sprintf("indent this line like what it belongs to: it does not go on with the mapping that begins on line %d", begun)
	}
	return ""
}
