package diag

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Source answers a line of a file, "" if there is none; it is asked only for lines that problems name.
type Source func(file string, line int) string

// Style paints parts of the text; the zero Style paints nothing.
type Style struct {
	Error, Warning, Place, Hint func(string) string
}

func paint(with func(string) string, text string) string {
	if with == nil {
		return text
	}
	return with(text)
}

// WriteText shows the problems in order, each with its line and a caret under the place, and then how many there are. It writes nothing for an empty list.
func (l List) WriteText(w io.Writer, source Source, style Style) error {
	if len(l) == 0 {
		return nil
	}
	var b strings.Builder
	for _, p := range l.Sorted() {
		p.write(&b, source, style)
	}
	fmt.Fprintln(&b, l.Sorted().Summary())
	_, err := io.WriteString(w, b.String())
	return err
}

func (p Problem) write(b *strings.Builder, source Source, style Style) {
	word := paint(style.Error, "error")
	if p.Severity == Warning {
		word = paint(style.Warning, "warning")
	}
	fmt.Fprintf(b, "%s: %s: %s [%s]\n", paint(style.Place, p.place()), word, Printable(p.Message), p.Rule)
	line := ""
	if source != nil && p.Line > 0 {
		line = source(p.File, p.Line)
	}
	if line != "" {
		writeLine(b, p.Span, line)
	}
	if p.Hint != "" {
		fmt.Fprintf(b, "  %s\n", paint(style.Hint, "hint: "+Printable(p.Hint)))
	}
	b.WriteByte('\n')
}

func (p Problem) place() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// maxShown is how much of a line is shown around the place.
const maxShown = 110

// writeLine shows a line, cut around the place, and the caret below it.
func writeLine(b *strings.Builder, at Span, line string) {
	runes := []rune(line)
	col := min(max(at.Col-1, 0), len(runes))
	begin, cut := 0, ""
	if col > maxShown*3/4 {
		begin, cut = col-maxShown/2, "..."
	}
	end, rest := len(runes), ""
	if end-begin > maxShown {
		end, rest = begin+maxShown, "..."
	}
	gutter := fmt.Sprintf("%5d | ", at.Line)
	before := cut + shown(runes[begin:col])
	marked := min(max(at.Len, 1), max(1, end-col))
	fmt.Fprintf(b, "%s%s%s%s\n", gutter, before, shown(runes[col:end]), rest)
	caret := "^" + strings.Repeat("~", max(0, width(shown(runes[col:min(col+marked, len(runes))]))-1))
	fmt.Fprintf(b, "%s| %s%s\n", strings.Repeat(" ", len(gutter)-2), strings.Repeat(" ", width(before)), caret)
}

func shown(runes []rune) string { return Printable(strings.ReplaceAll(string(runes), "\t", "  ")) }

// width counts the columns of a terminal: wide characters take two, marks none.
func width(text string) int {
	n := 0
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) || r >= 0x1f300 && r < 0x20000 || r >= 0xff01 && r <= 0xff60:
			n += 2
		default:
			n++
		}
	}
	return n
}

// Printable replaces what could steer a terminal: control characters and bidirectional overrides.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '\ufffd'
		}
		return r
	}, text)
}
