package diag

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func at(line, col, length int, message string) Problem {
	return Problem{Span: Span{Pos{"a.yaml", line, col}, length}, Severity: Error, Rule: "rule", Message: message}
}

func written(t *testing.T, l List, source Source) string {
	t.Helper()
	var b strings.Builder
	if err := l.WriteText(&b, source, Style{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAProblemIsShownWithItsLineAndACaret(t *testing.T) {
	asked := 0
	source := func(file string, line int) string {
		asked++
		return map[int]string{3: "  duratoin: 20s"}[line]
	}
	p := at(3, 3, 8, "unknown key \"duratoin\"")
	p.Hint = "did you mean \"duration\"?"
	warning := Problem{Span: Span{Pos: Pos{File: "a.yaml"}}, Severity: Warning, Rule: "empty", Message: "the file is empty"}
	want := `a.yaml: warning: the file is empty [empty]

a.yaml:3:3: error: unknown key "duratoin" [rule]
    3 |   duratoin: 20s
      |   ^~~~~~~~
  hint: did you mean "duration"?

1 error and 1 warning in 1 file
`
	if got := written(t, List{p, warning, p}, source); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if asked != 1 {
		t.Errorf("asked for %d lines, want only the one that a problem names", asked)
	}
}

// The mark stands under the place whatever stands before it: the columns of the marked text and of the caret's line are compared.
func TestTheCaretStandsUnderThePlace(t *testing.T) {
	long := strings.Repeat("x", 300)
	cases := map[string]struct {
		line   string
		col, n int
		marked string // what the mark is under
	}{
		"plain":                       {"key: value", 6, 5, "value"},
		"first column":                {"key: value", 1, 3, "key"},
		"a tab before it":             {"\tkey: value", 2, 3, "key"},
		"tabs inside it":              {"a\tb c", 1, 3, "a  b"},
		"wide characters before":      {"名前: value", 5, 5, "value"},
		"wide punctuation before":     {"「、」: value", 6, 5, "value"},
		"half-width kana before":      {"ｱｲｳ: value", 6, 5, "value"},
		"wide characters marked":      {"key: 名前", 6, 2, "名前"},
		"emoji before":                {"🚀: value", 4, 5, "value"},
		"a combining mark before":     {"e\u0301: value", 5, 5, "value"},
		"a bidirectional override":    {"\u202ekey: value", 7, 5, "value"},
		"an escape sequence before":   {"\x1b[31mkey: value", 11, 5, "value"},
		"no length":                   {"key: value", 6, 0, "v"},
		"longer than the line":        {"key: value", 6, 500, "value"},
		"beyond the end":              {"key:", 40, 3, ""},
		"column zero":                 {"key:", 0, 3, "key"},
		"the end of a long line":      {long + "value", 301, 5, "value"},
		"the middle of a long line":   {long + "value" + long, 301, 5, "value"},
		"the beginning of a long one": {"value" + long, 1, 5, "value"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := written(t, List{at(1, c.col, c.n, "m")}, func(string, int) string { return c.line })
			lines := strings.Split(got, "\n")
			line, caret := lines[1], lines[2]
			before, _, found := strings.Cut(caret, "^")
			if !found {
				t.Fatalf("no caret in\n%s", got)
			}
			mark := strings.TrimLeft(caret[len(before):], " ")
			if c.marked != "" {
				text, _, ok := strings.Cut(line, c.marked)
				if !ok || Width(text) != Width(before) || Width(c.marked) != len(mark) {
					t.Errorf("the mark is not under %q:\n%s\n%s", c.marked, line, caret)
				}
			}
			if Width(line) > maxShown*2+20 || utf8.RuneCountInString(line) > maxShown+20 {
				t.Errorf("the line was not cut: %d characters", utf8.RuneCountInString(line))
			}
			if strings.ContainsAny(got, "\x1b\u202e") {
				t.Errorf("a control character got through: %q", got)
			}
		})
	}
}

func TestNothingCanSteerTheTerminal(t *testing.T) {
	evil := "a\x1b[2J\u202eb\r\nc\x00d\u2066\u200f\u2028e\xff"
	p := at(2, 1, 1, evil)
	p.File, p.Hint = evil, evil
	got := written(t, List{p}, func(string, int) string { return evil })
	for i, line := range strings.Split(got, "\n") {
		for _, r := range line {
			if r < ' ' || r == 0x7f || strings.ContainsRune("\u202e\u2066\u200f\u2028", r) {
				t.Errorf("line %d holds %q", i+1, r)
			}
		}
	}
	if n := strings.Count(got, "\n"); n != 6 {
		t.Errorf("%d lines, want 6: no text may break a line\n%s", n, got)
	}
	if want := "a�[2J�b c�d�� e�"; Printable(evil) != want {
		t.Errorf("got %q, want %q", Printable(evil), want)
	}
}

func TestNoPlaceAtAll(t *testing.T) {
	p := Problem{Rule: "usage", Message: "there is no chaos.yaml"}
	if got, want := written(t, List{p}, nil), "error: there is no chaos.yaml [usage]\n\n1 error\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := written(t, nil, nil); got != "" {
		t.Errorf("an empty list wrote %q", got)
	}
}

func TestStylesPaintThePartsOnly(t *testing.T) {
	tag := func(name string) func(string) string {
		return func(s string) string { return "<" + name + ">" + s + "</>" }
	}
	style := Style{Error: tag("e"), Warning: tag("w"), Place: tag("p"), Hint: tag("h")}
	p := at(1, 1, 1, "m")
	p.Hint = "do this"
	q := at(2, 1, 1, "m")
	q.Severity = Warning
	var b strings.Builder
	if err := (List{p, q}).WriteText(&b, nil, style); err != nil {
		t.Fatal(err)
	}
	want := "<p>a.yaml:1:1</>: <e>error</>: m [rule]\n  <h>hint: do this</>\n\n<p>a.yaml:2:1</>: <w>warning</>: m [rule]\n\n1 error and 1 warning in 1 file\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAWriteErrorIsReturned(t *testing.T) {
	l := List{at(1, 1, 1, "m")}
	for name, err := range map[string]error{
		"text": l.WriteText(brokenWriter{}, nil, Style{}), "json": l.WriteJSON(brokenWriter{}), "sarif": l.WriteSARIF(brokenWriter{}, ""),
	} {
		if err == nil || err.Error() != "disk full" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
