package main

import (
	"fmt"
	"io"
	"time"

	"chaosgate/pkg/journal"
)

// lines is the view for logs and pipes: one line an event of note.
type lines struct {
	out      io.Writer
	style    style
	narrator *narrator
}

func (l *lines) event(e journal.Event) {
	if r, ok := l.narrator.see(e); ok {
		fmt.Fprintln(l.out, l.line(e, r))
	}
}

func (l *lines) line(e journal.Event, r remark) string {
	text := r.text
	if r.state != "" {
		text = l.style.state(r.state, text)
	}
	return fmt.Sprintf("%s %s %s", l.style.dim(offset(e.Mono)), l.style.bold(single(e.Experiment)), text)
}

// offset is the time since the run started: +01:03.2.
func offset(d time.Duration) string {
	tenths := d.Milliseconds() / 100
	return fmt.Sprintf("+%02d:%02d.%d", tenths/600, tenths/10%60, tenths%10)
}

func (l *lines) say(text string) { fmt.Fprintln(l.out, text) }

func (l *lines) tick(time.Time) {}

func (l *lines) close() {}

// silent is the view of --quiet: messages only.
type silent struct{ out io.Writer }

func (silent) event(journal.Event) {}

func (s silent) say(text string) { fmt.Fprintln(s.out, text) }

func (silent) tick(time.Time) {}

func (silent) close() {}
