package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"chaosgate/pkg/journal"
)

// live draws lanes on a terminal, in place. It writes each frame at once, and only when it differs from the last one.
type live struct {
	out   io.Writer
	fd    int // of the terminal that it is
	lanes *lanes
	start time.Time // of the run's clock
	stay  []string  // lines to put above the blocks for good
	drawn []string
	width int
}

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	eraseLine  = "\x1b[K"
	eraseBelow = "\x1b[J"
)

func newLive(out io.Writer, terminal *os.File, l *lanes) *live {
	fmt.Fprint(out, hideCursor)
	return &live{out: out, fd: int(terminal.Fd()), lanes: l, start: time.Now()}
}

func (l *live) event(e journal.Event) {
	if e.Type == journal.RunStarted {
		l.start = time.Now().Add(-e.Mono)
	}
	l.stay = append(l.stay, l.lanes.event(e)...)
}

func (l *live) say(text string) { l.stay = append(l.stay, text); l.draw() }

func (l *live) tick(time.Time) { l.draw() }

// close wipes the blocks away; what has to be said about the run stands above or comes after.
func (l *live) close() {
	l.put(nil, l.width)
	fmt.Fprint(l.out, showCursor)
}

func (l *live) draw() {
	width, height, err := term.GetSize(l.fd)
	if err != nil || width < 1 || height < 2 {
		width, height = 80, 24
	}
	l.put(l.lanes.render(time.Since(l.start), width, height-1), width)
}

func (l *live) put(lines []string, width int) {
	if len(l.stay) == 0 && width == l.width && slices.Equal(lines, l.drawn) {
		return
	}
	var b strings.Builder
	if up := l.rows(width); up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", up)
	}
	b.WriteString("\r")
	for _, line := range append(l.stay, lines...) {
		b.WriteString(line + eraseLine + "\n")
	}
	b.WriteString(eraseBelow)
	fmt.Fprint(l.out, b.String())
	l.stay, l.drawn, l.width = nil, lines, width
}

// rows is how many rows the last frame takes now: a terminal that became narrower has wrapped its lines.
func (l *live) rows(width int) int {
	if width >= l.width {
		return len(l.drawn)
	}
	rows := 0
	for _, line := range l.drawn {
		rows += max(1, (visible(line)+width-1)/width)
	}
	return rows
}

// visible is how many characters of a line are seen.
func visible(line string) int {
	n, escape := 0, false
	for _, r := range line {
		if escape = escape || r == '\x1b'; escape {
			escape = r != 'm'
		} else {
			n++
		}
	}
	return n
}
