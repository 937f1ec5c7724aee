package spec

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"chaosgate/pkg/diag"
)

// Document is a file's text and where each value stands in it. Pointers are JSON pointers ("/steps/2/with/delay").
type Document struct {
	File string
	// Text is the file without a BOM and with \n line ends; positions refer to it.
	Text string

	lines []string   // of Text
	root  *yaml.Node // the value of the only YAML document
}

// Key answers where the key of a value stands; of a list item, where the item stands. What does not exist is shown at its nearest parent.
func (d *Document) Key(pointer string) diag.Span {
	key, value := d.find(pointer)
	if key == nil {
		key = value
	}
	return d.span(key)
}

// Value answers where a value stands. What does not exist is shown at its nearest parent.
func (d *Document) Value(pointer string) diag.Span {
	_, value := d.find(pointer)
	return d.span(value)
}

// Has says whether the file has a value at the pointer.
func (d *Document) Has(pointer string) bool {
	at := d.root
	for _, token := range tokens(pointer) {
		_, value := childNode(at, token)
		if value == nil {
			return false
		}
		at = value
	}
	return at != nil
}

// Line answers a line of the text, counted from 1, without its end.
func (d *Document) Line(n int) string {
	if n < 1 || n > len(d.lines) {
		return ""
	}
	return d.lines[n-1]
}

func tokens(pointer string) []string {
	if pointer == "" {
		return nil
	}
	all := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, t := range all {
		all[i] = unescaped.Replace(t)
	}
	return all
}

// The escapes of JSON pointers (RFC 6901), made once: a thousand files ask for a million parts.
var (
	escaped   = strings.NewReplacer("~", "~0", "/", "~1")
	unescaped = strings.NewReplacer("~1", "/", "~0", "~")
)

// Escape makes a key a part of a pointer.
func Escape(key string) string { return escaped.Replace(key) }

// find walks to the value at pointer, or to the nearest parent that exists.
func (d *Document) find(pointer string) (key, value *yaml.Node) {
	value = d.root
	for _, token := range tokens(pointer) {
		k, v := childNode(value, token)
		if v == nil {
			return key, value
		}
		key, value = k, v
	}
	return key, value
}

func childNode(n *yaml.Node, token string) (key, value *yaml.Node) {
	if n == nil {
		return nil, nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == token {
				return n.Content[i], n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(n.Content) {
			return nil, n.Content[i]
		}
	}
	return nil, nil
}

func (d *Document) span(n *yaml.Node) diag.Span {
	s := diag.Span{Pos: diag.Pos{File: d.File}, Len: 1}
	if n == nil {
		return s
	}
	s.Line, s.Col = n.Line, n.Column
	if n.Kind == yaml.ScalarNode {
		s.Len = d.rawLen(n)
	}
	return s
}

// rawLen is how long a scalar is on its first line, with its quotes.
func (d *Document) rawLen(n *yaml.Node) int {
	rest := from(d.Line(n.Line), n.Column)
	switch n.Style {
	case yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle:
		quote := rest[:min(1, len(rest))]
		if end := closing(rest, quote); end > 0 {
			return utf8.RuneCountInString(rest[:end])
		}
		return utf8.RuneCountInString(rest)
	case yaml.LiteralStyle, yaml.FoldedStyle:
		return 1
	}
	if strings.HasPrefix(rest, n.Value) {
		return max(1, utf8.RuneCountInString(n.Value))
	}
	return max(1, utf8.RuneCountInString(strings.TrimRight(rest, " ")))
}

// closing is the offset behind the quote that ends a quoted scalar on its line, 0 if it goes on.
func closing(text, quote string) int {
	for i := 1; i < len(text); i++ {
		switch {
		case quote == `"` && text[i] == '\\':
			i++
		case quote == "'" && strings.HasPrefix(text[i:], "''"):
			i++
		case quote != "" && text[i] == quote[0]:
			return i + 1
		}
	}
	return 0
}

// from cuts a line off before a column, counted from 1 in characters.
func from(line string, col int) string {
	for range col - 1 {
		_, size := utf8.DecodeRuneInString(line)
		line = line[size:]
	}
	return line
}

// Inside answers where a part of a scalar's decoded value stands in the file, given in bytes of the value: inside quotes, in literal and in folded blocks. White
// space is where a value and its text differ, so the place is found by counting the other characters.
func (d *Document) Inside(pointer string, offset, length int) diag.Span {
	_, n := d.find(pointer)
	if n == nil || n.Kind != yaml.ScalarNode {
		return d.span(n)
	}
	offset = min(max(offset, 0), len(n.Value))
	end := min(offset+max(length, 1), len(n.Value))
	skip := solid(n.Value[:offset])
	if all := solid(n.Value); skip == all && all > 0 { // behind the end
		line, col := d.place(n, skip-1)
		return diag.Span{Pos: diag.Pos{File: d.File, Line: line, Col: col + 1}, Len: 1}
	}
	line, col := d.place(n, skip)
	return diag.Span{Pos: diag.Pos{File: d.File, Line: line, Col: col}, Len: max(1, utf8.RuneCountInString(firstLine(n.Value[offset:end])))}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// solid counts the characters that are not white space.
func solid(text string) int {
	n := 0
	for _, r := range text {
		if !blank(r) {
			n++
		}
	}
	return n
}

func blank(r rune) bool { return r == ' ' || r == '\n' || r == '\t' }

// place answers the line and column of the solid character of a scalar that comes after skip others; behind the last one if there is none.
func (d *Document) place(n *yaml.Node, skip int) (line, col int) {
	lines := d.lines
	line, col = n.Line, n.Column
	switch n.Style {
	case yaml.LiteralStyle, yaml.FoldedStyle:
		line, col = n.Line+1, 1
	case yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle:
		col++
	}
	for ; line <= len(lines); line, col = line+1, 1 {
		rest := []rune(from(lines[line-1], col))
		for i := 0; i < len(rest); {
			width, counts := unit(rest[i:], n.Style)
			if counts && skip == 0 {
				return line, col + i
			}
			if counts {
				skip--
			}
			i += width
		}
		if skip == 0 && solidRest(lines, line) {
			return line, col + len(rest)
		}
	}
	return n.Line, n.Column
}

// solidRest says that there is nothing to look for behind a line: the value ends there.
func solidRest(lines []string, line int) bool { return line >= len(lines) }

// unit answers how many characters of text stand for one of the value, and whether that one is solid.
func unit(rest []rune, style yaml.Style) (width int, counts bool) {
	if style == yaml.SingleQuotedStyle && len(rest) > 1 && rest[0] == '\'' && rest[1] == '\'' {
		return 2, true
	}
	if style != yaml.DoubleQuotedStyle || rest[0] != '\\' {
		return 1, !blank(rest[0])
	}
	if len(rest) < 2 {
		return 1, false // a line break that is escaped stands for nothing
	}
	width = min(max(2, map[rune]int{'x': 4, 'u': 6, 'U': 10}[rest[1]]), len(rest))
	if width == 2 {
		return width, !strings.ContainsRune("nt \t", rest[1])
	}
	code, err := strconv.ParseInt(string(rest[2:width]), 16, 32)
	return width, err != nil || !blank(rune(code))
}

// offset answers the place of a stretch of the text, in bytes.
func (d *Document) offset(begin, end int) diag.Span {
	before := d.Text[:begin]
	line := strings.Count(before, "\n") + 1
	col := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	return diag.Span{Pos: diag.Pos{File: d.File, Line: line, Col: col}, Len: max(1, utf8.RuneCountInString(firstLine(d.Text[begin:end])))}
}
