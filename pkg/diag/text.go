package diag

import (
	"fmt"
	"io"
	"strings"
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
	shown := l.shown()
	for _, p := range shown {
		p.write(&b, source, style)
	}
	fmt.Fprintln(&b, shown.Summary())
	_, err := io.WriteString(w, b.String())
	return err
}

func (p Problem) write(b *strings.Builder, source Source, style Style) {
	word := paint(style.Error, "error")
	if p.Severity == Warning {
		word = paint(style.Warning, "warning")
	}
	if place := p.place(); place != "" {
		fmt.Fprintf(b, "%s: ", paint(style.Place, place))
	}
	fmt.Fprintf(b, "%s: %s [%s]\n", word, Printable(p.Message), p.Rule)
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
		return Printable(p.File)
	}
	return fmt.Sprintf("%s:%d:%d", Printable(p.File), p.Line, p.Col)
}

// maxShown is how many characters of a line are shown around the place.
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
	fmt.Fprintf(b, "%s%s%s%s\n", gutter, before, shown(runes[col:end]), rest)
	marked := shown(runes[col:min(col+max(at.Len, 1), end)])
	caret := "^" + strings.Repeat("~", max(0, Width(marked)-1))
	fmt.Fprintf(b, "%s| %s%s\n", strings.Repeat(" ", len(gutter)-2), strings.Repeat(" ", Width(before)), caret)
}

func shown(runes []rune) string { return Printable(strings.ReplaceAll(string(runes), "\t", "  ")) }
