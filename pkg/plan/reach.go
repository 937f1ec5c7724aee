package plan

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/spec"
)

// reach checks that no range of a check's PromQL looks out of its window: what happened before its phase would be taken for the phase's, or thin out what did. The
// conditions of abortWhen have no phase, and may have ranges of their own.
func (b *builder) reach() {
	for i := range b.plan.Steady {
		pointer := "/steadyState/" + strconv.Itoa(i)
		b.reachOf(pointer, &b.spec.SteadyState[i], b.plan.Steady[i].Window)
	}
	for i, s := range b.plan.Steps {
		if s.Check != nil {
			b.reachOf("/steps/"+strconv.Itoa(i), &b.spec.Steps[i], b.room(s))
		}
	}
}

// room is how far back a step's check may look: over its window or else its phase, and where it compares samples, over one of them.
func (b *builder) room(s Step) Duration {
	room := s.Check.Window
	if room == 0 {
		room = b.phaseOf(s.During)
	}
	if s.Check.Sample > 0 {
		room = min(room, s.Check.Sample)
	}
	return room
}

// reachOf reports the first range that is too long: at its place, or where a check is used again in a shorter window, there.
func (b *builder) reachOf(pointer string, s *spec.Step, room Duration) {
	if s.Check != "" {
		b.reachAgain(pointer, s.Check, room)
		return
	}
	if s.Promql == nil || room == 0 {
		return
	}
	if err := b.tooFar(s.Promql.Query, room); err != nil {
		at := pointer + "/promql"
		if b.spec.Doc.Has(at + "/query") {
			at += "/query"
		}
		b.problem(b.spec.Doc.Inside(at, err.Start, err.End-err.Start), diag.Error, "range", hintRange, textTooFar, err.Message, time.Duration(room))
	}
}

func (b *builder) reachAgain(pointer, id string, room Duration) {
	for i := range b.spec.SteadyState {
		s := &b.spec.SteadyState[i]
		if s.ID != id || s.Promql == nil || room == 0 {
			continue
		}
		if err := b.tooFar(s.Promql.Query, room); err != nil {
			b.value(pointer+"/check", "range", hintRange, textTooFar, err.Message, time.Duration(room))
		}
	}
}

const (
	textTooFar = "%s, out of the window of %v"
	hintRange  = "write $window, or a range that is no longer; ranges inside of subqueries add up"
)

func (b *builder) tooFar(query string, room Duration) *metrics.ParseError {
	var far *metrics.ParseError
	if errors.As(metrics.Reach(b.filled(query, room), time.Duration(room)), &far) {
		return far
	}
	return nil
}

// filled fills the variables in with durations that are as long as their names, so that places in the expression stay right; what does not fit is rounded down.
func (b *builder) filled(query string, window Duration) string {
	return strings.NewReplacer(
		metrics.WindowVariable, exactly(len(metrics.WindowVariable), window), metrics.IntervalVariable, exactly(len(metrics.IntervalVariable), b.plan.Interval),
	).Replace(query)
}

func exactly(letters int, d Duration) string {
	text := fmt.Sprintf("%0*dms", letters-2, time.Duration(d).Milliseconds())
	if len(text) > letters {
		text = fmt.Sprintf("%0*ds", letters-1, int64(time.Duration(d).Seconds()))
	}
	return text
}
