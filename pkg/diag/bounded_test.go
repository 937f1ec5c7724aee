package diag

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// many makes n problems of a file, the last line first.
func many(file string, n int, severity Severity) (l List) {
	for i := range n {
		p := at(n-i, 1, 1, fmt.Sprintf("problem %d", i))
		p.File, p.Severity = file, severity
		l = append(l, p)
	}
	return l
}

func TestOfEachFileTheFirstProblemsAreKept(t *testing.T) {
	cases := map[string]struct {
		list  List
		lines map[string]int // how many of a file are kept, the one that says so with them
		note  Severity       // of that one; "" if there is none
	}{
		"none":                           {nil, map[string]int{}, ""},
		"as many as are shown":           {many("a", 100, Error), map[string]int{"a": 100}, ""},
		"one more":                       {many("a", 101, Error), map[string]int{"a": 101}, Error},
		"doubles are one":                {append(many("a", 60, Error), many("a", 60, Error)...), map[string]int{"a": 60}, ""},
		"two files that have few":        {append(many("a", 60, Error), many("b", 60, Error)...), map[string]int{"a": 60, "b": 60}, ""},
		"two files, one of them full":    {append(many("a", 300, Error), many("b", 60, Error)...), map[string]int{"a": 101, "b": 60}, Error},
		"warnings make nothing invalid":  {many("a", 300, Warning), map[string]int{"a": 101}, Warning},
		"an error that is not shown":     {append(many("a", 300, Warning), List{{Span: Span{Pos: Pos{"a", 400, 1}}, Severity: Error}}...), map[string]int{"a": 101}, Error},
		"bounded before, and then again": {append(many("a", 300, Error).Bounded(), many("a", 5, Warning)...), map[string]int{"a": 101}, Error},
	}
	for name, c := range cases {
		got := c.list.Bounded()
		lines, note := map[string]int{}, Severity("")
		for _, p := range got.Sorted() {
			lines[p.File]++
			switch {
			case p.Rule == tooMany:
				note = p.Severity
			case p.Line > 100 && note != "":
				t.Errorf("%s: line %d is not one of the first", name, p.Line)
			}
		}
		if fmt.Sprint(lines) != fmt.Sprint(c.lines) || note != c.note || got.Invalid() != c.list.Invalid() {
			t.Errorf("%s: got %v and the note %q, want %v and %q", name, lines, note, c.lines, c.note)
		}
	}
}

func TestEveryFormIsBounded(t *testing.T) {
	l := append(many("a.yaml", 300, Error), at(1, 1, 1, `there is no fault "`+strings.Repeat("x", 5000)+`", but others`))
	var text, json, sarif strings.Builder
	if err := l.WriteText(&text, nil, Style{}); err != nil {
		t.Fatal(err)
	}
	if err := l.WriteJSON(&json); err != nil {
		t.Fatal(err)
	}
	if err := l.WriteSARIF(&sarif, "1"); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"text": text.String(), "json": json.String(), "sarif": sarif.String()} {
		if n := strings.Count(got, "problem "); n != 99 {
			t.Errorf("%s: %d problems, want 99 and the long one", name, n)
		}
		if !strings.Contains(got, tooMany) || strings.Contains(got, strings.Repeat("x", 101)) || !strings.Contains(got, "but others") {
			t.Errorf("%s: got %s", name, got)
		}
	}
	if !strings.HasSuffix(text.String(), "101 errors in 1 file\n") {
		t.Errorf("got %s", text.String()[max(0, text.Len()-100):])
	}
}

func TestWhatIsEchoedIsShortened(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	cases := map[string]struct{ text, want string }{
		"short":               {`name is "a", expected b`, `name is "a", expected b`},
		"just short enough":   {x(200), x(200)},
		"a word":              {"the tag " + x(300) + " is not supported", "the tag " + x(100) + "... is not supported"},
		"in quotes":           {fmt.Sprintf("name is %q, expected b", x(300)), `name is "` + x(99) + `...", expected b`},
		"words in quotes":     {fmt.Sprintf("name is %q, expected b", strings.Repeat("é ", 300)), `name is "` + strings.Repeat("é ", 50)[:len(strings.Repeat("é ", 50))-1] + `...", expected b`},
		"quotes in quotes":    {fmt.Sprintf("name is %q, expected b", strings.Repeat(`"`, 300)), `name is "` + strings.Repeat(`\"`, 50)[:99] + `...", expected b`},
		"a quote left open":   {`text "` + strings.Repeat("a ", 300), `text "` + strings.Repeat("a ", 300)},
		"three bytes a piece": {strings.Repeat("日", 300), strings.Repeat("日", 100) + "..."},
		"many short words":    {strings.Repeat("a ", 3000), strings.Repeat("a ", 1000) + "..."},
		"many in quotes":      {strings.Repeat(`"a", `, 100), strings.Repeat(`"a", `, 100)},
	}
	for name, c := range cases {
		got := shortened(c.text)
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		if !utf8.ValidString(got) {
			t.Errorf("%s: %q is not UTF-8", name, got)
		}
	}
}

// Whether a quote ends is asked once if it does not: this would otherwise take minutes, and the test its deadline.
func TestAMegabyteOfQuotesIsShortened(t *testing.T) {
	if got := shortened(strings.Repeat(`"\`, 1<<20)); utf8.RuneCountInString(got) > maxMessage+3 {
		t.Errorf("%d characters are left", utf8.RuneCountInString(got))
	}
}

func TestTheListIsLeftAlone(t *testing.T) {
	l := List{at(1, 1, 1, strings.Repeat("x", 300))}
	before := slices.Clone(l)
	l.shown()
	if !slices.Equal(l, before) {
		t.Error("the list itself was shortened")
	}
}
