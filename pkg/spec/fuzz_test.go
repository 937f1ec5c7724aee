package spec

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"chaosgate/pkg/diag"
)

// FuzzParseExperiment reads anything as an experiment and as a chaos.yaml. There is an experiment if and only if there is no error; each problem stands inside of the
// file and can be shown; and the same text is read the same again.
func FuzzParseExperiment(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.yaml", "../../experiments/*.yaml", "../../chaos.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	for _, c := range trickyDocuments {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, problems := ParseExperiment("fuzz.yaml", text)
		if (e == nil) != problems.Invalid() {
			t.Errorf("an experiment: %v, and problems: %v", e != nil, problems)
		}
		checkPlaces(t, text, problems)
		checkFirstBroken(t, text)
		if again, same := ParseExperiment("fuzz.yaml", text); (e == nil) != (again == nil) || !sameProblems(problems, same) {
			t.Errorf("the second time it has other problems:\n%v\n%v", problems, same)
		}
		if e != nil {
			_, found := Expand(e)
			checkPlaces(t, text, found)
		}
		c, problems := ParseConfig("chaos.yaml", text)
		if (c == nil) != problems.Invalid() {
			t.Errorf("a configuration: %v, and problems: %v", c != nil, problems)
		}
		checkPlaces(t, text, problems)
	})
}

func sameProblems(a, b diag.List) bool {
	return len(a) == len(b) && reflect.DeepEqual(a.Sorted(), b.Sorted())
}

// checkPlaces wants each problem inside of the file: on a line that it has, at most one column behind the line's end.
func checkPlaces(t *testing.T, text []byte, problems diag.List) {
	t.Helper()
	d, _ := newDocument("x", text, experimentForm)
	for _, p := range problems {
		if p.Line == 0 && p.Col == 0 {
			continue // about the file as a whole
		}
		width := utf8.RuneCountInString(d.Line(p.Line))
		if p.Line < 1 || p.Line > max(1, len(d.lines)) || p.Col < 1 || p.Col > width+1 || p.Len < 1 {
			t.Errorf("%d:%d (%d long) is not in the file, whose line has %d characters: %s", p.Line, p.Col, p.Len, width, p.Message)
		}
		if p.Message == "" || p.Rule == "" {
			t.Errorf("a problem without words: %+v", p)
		}
	}
	if err := problems.WriteText(&bytes.Buffer{}, sources(text), diag.Style{}); err != nil {
		t.Error(err)
	}
}

// checkFirstBroken wants of text that is no YAML the line with which it fails as a whole does, and without which it does not.
func checkFirstBroken(t *testing.T, text []byte) {
	t.Helper()
	d, problems := newDocument("x", text, experimentForm)
	_, whole := readYAML(strings.NewReader(d.Text))
	if whole == nil || len(problems) == 0 || problems[0].Rule != "yaml" {
		return
	}
	fails := func(n int) bool {
		_, err := readYAML(strings.NewReader(strings.Join(d.lines[:n], "\n") + "\n"))
		return err != nil && err.Error() == whole.Error()
	}
	if n := d.firstBroken(whole); n < len(d.lines) && !fails(n) || n > 1 && fails(n-1) {
		t.Errorf("line %d of %q is not where this begins: %v", n, d.Text, whole)
	}
}

// FuzzInside writes a value in each way that YAML has, with escapes and line breaks wherever they may be, and wants each of its characters found where it was written.
func FuzzInside(f *testing.F) {
	for style := range uint8(5) {
		for _, value := range []string{"sum(rate(a[5s]))", `a{b="c"} > 1`, "a  b   c", "it's \\d", "ü + \U0001d54f{x=\"日本\"}", "a\nb\n\nc", "x\ty"} {
			f.Add(value, style, uint64(0))
			f.Add(value, style, uint64(0x9e3779b97f4a7c15))
			f.Add(value, style, ^uint64(0))
		}
	}
	f.Fuzz(func(t *testing.T, value string, style uint8, choices uint64) {
		w := &yamlWriter{choices: choices}
		w.put("# above\n")
		w.put("key: ")
		value = w.write(value, style%5)
		if value == "" {
			return
		}
		w.put("\nafter: x\n")
		d, problems := newDocument("x.yaml", []byte(w.text.String()), experimentForm)
		if problems.Invalid() {
			t.Fatalf("the test writes wrong YAML: %v\n%s", problems, w.text.String())
		}
		if _, n := d.find("/key"); n.Value != value {
			t.Fatalf("the test writes %q so that it reads as %q:\n%s", value, n.Value, w.text.String())
		}
		for at, r := range value {
			if blank(r) {
				continue
			}
			if got := d.Inside("/key", at, 1); got.Line != w.places[at][0] || got.Col != w.places[at][1] {
				t.Errorf("%q of %q is looked for at %d:%d and stands at %v in\n%s", r, value, got.Line, got.Col, w.places[at], w.text.String())
			}
		}
	})
}

// yamlWriter writes one value and keeps where each of its characters went.
type yamlWriter struct {
	text      strings.Builder
	line, col int
	choices   uint64
	places    map[int][2]int // by offset in the value
	done      int            // bytes of the value
}

func (w *yamlWriter) put(text string) {
	for _, r := range text {
		w.col++
		if r == '\n' {
			w.line, w.col = w.line+1, 0
		}
	}
	w.text.WriteString(text)
}

// char writes a character of the value as some text.
func (w *yamlWriter) char(r rune, as string) {
	w.places[w.done] = [2]int{w.line + 1, w.col + 1}
	w.done += utf8.RuneLen(r)
	w.put(as)
}

// choose takes the next of the choices, which come round again.
func (w *yamlWriter) choose(n uint64) uint64 {
	c := w.choices % n
	w.choices = w.choices/n ^ w.choices<<59 ^ w.choices<<17
	return c
}

// write answers the value as it can be written in a style.
func (w *yamlWriter) write(value string, style uint8) string {
	w.places = map[int][2]int{}
	value = printable(value, style == 3)
	switch style {
	case 0:
		value = strings.Map(func(r rune) rune {
			if r < unicode.MaxASCII && !unicode.IsLetter(r) {
				return 'p'
			}
			return r
		}, "p"+value)
		w.folded(value, 0)
	case 1:
		w.put("'")
		w.folded(value, '\'')
		w.put("'")
	case 2:
		w.doubleQuoted(value)
	case 3:
		value = "v" + strings.TrimRight(value, "\n")
		w.put("|-\n    ")
		for _, r := range value {
			if w.char(r, string(r)); r == '\n' {
				w.put("    ")
			}
		}
	case 4:
		value = "v" + strings.TrimRight(value, " \t")
		w.put(">-\n  ")
		w.folded(value, 0)
	}
	return value
}

// printable leaves what can be written without an escape.
func printable(value string, breaks bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case breaks && r == '\n', unicode.IsPrint(r) && r != '\ufeff' && r != utf8.RuneError:
			return r
		}
		return -1
	}, value)
}

// folded writes text whose single spaces may be line breaks, with a quote doubled.
func (w *yamlWriter) folded(value string, quote rune) {
	all := []rune(value)
	for i, r := range all {
		inside := i > 0 && i+1 < len(all) && all[i-1] != ' ' && all[i+1] != ' '
		switch {
		case r == quote:
			w.char(r, string([]rune{r, r}))
		case r == ' ' && inside && w.choose(2) == 1:
			w.char(r, "\n  ")
		default:
			w.char(r, string(r))
		}
	}
}

// doubleQuoted escapes what must be, and here and there what need not.
func (w *yamlWriter) doubleQuoted(value string) {
	short := map[rune]string{'"': `\"`, '\\': `\\`, '\t': `\t`, ' ': `\ `}
	w.put(`"`)
	for i, r := range value {
		if i > 0 && w.choose(7) == 6 {
			w.put("\\\n   \\\n  ") // escaped line breaks stand for nothing
		}
		as, must := short[r], r == '"' || r == '\\'
		switch c := w.choose(5); {
		case c == 1 && r <= 0xff:
			as = fmt.Sprintf(`\x%02x`, r)
		case c == 2 && r <= 0xffff:
			as = fmt.Sprintf(`\u%04X`, r)
		case c == 3:
			as = fmt.Sprintf(`\U%08x`, r)
		case must || c == 4 && as != "":
		default:
			as = string(r)
			if r == ' ' {
				as = `\ ` // one at a line's beginning or end would be gone
			}
		}
		w.char(r, as)
	}
	w.put(`"`)
}

// FuzzMatrix puts any value into an experiment by its matrix. Each use is replaced once, whatever the value looks like, and none is left.
func FuzzMatrix(f *testing.F) {
	for _, value := range []string{"300ms", "${matrix.x}", "${matrix.y}", "$threshold", "a: b", "", "\n", "é\"'\\"} {
		f.Add("before ${matrix.x} between ${matrix.x} after", value)
		f.Add("${matrix.${matrix.x}}", value)
		f.Add("${matrix.x", value)
	}
	f.Fuzz(func(t *testing.T, title, value string) {
		title, value = printable(title, false), printable(value, false)
		quoted := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
		text := "apiVersion: chaos/v1\nname: m\ntitle: " + quoted(title) + "\nmatrix: {x: [" + quoted(value) + ", other]}\n" +
			"steadyState: [{id: up, http: {service: a, path: /}, expect: {status: 200}}]\nsteps: [{id: hit, fault: service.kill, target: {service: a}}]\n"
		e, problems := ParseExperiment("m.yaml", []byte(text))
		checkPlaces(t, []byte(text), problems)
		if e == nil {
			return
		}
		all, problems := Expand(e)
		if len(problems) > 0 || len(all) != 2 {
			t.Fatalf("%d experiments, %v", len(all), problems)
		}
		if want := strings.ReplaceAll(title, "${matrix.x}", value); all[0].Title != want {
			t.Errorf("%q with %q: got %q, want %q", title, value, all[0].Title, want)
		}
		if left := all[1].Title; strings.Contains(left, "${matrix.") {
			t.Errorf("%q is left in %q", "${matrix.", left)
		}
	})
}
