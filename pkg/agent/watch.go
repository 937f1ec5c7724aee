package agent

import "time"

// maxUnanswered is how many questions in a row a helper may leave without an answer, each for a whole beat, until it is taken for one that stands still. It is well above what
// a machine without time to spare makes of it.
const maxUnanswered = 3

// watch counts the questions in a row that had no answer.
type watch struct{ unanswered int }

// note says of a question whether anything was heard since it was asked, and how long ago that was. One that was looked after too late does not count: this process stood still
// itself, and may not have read the answer yet.
func (w *watch) note(heard bool, ago time.Duration) {
	if heard || ago > beat+beat/2 {
		w.unanswered = 0
		return
	}
	w.unanswered++
}

func (w *watch) over() bool { return w.unanswered >= maxUnanswered }
