package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

// lanes is what the live view shows: a block for each running experiment. It is pure: events go in, lines come out.
type lanes struct {
	style    style
	narrator *narrator
	jobs     int
	order    []string // as planned
	running  []*lane
	ended    map[string]bool
}

// lane is one running experiment.
type lane struct {
	plan  plan.Plan
	began time.Duration // the environment was up; 0 before
	phase string
	steps []*laneStep
}

// laneStep is a line of a block.
type laneStep struct {
	id     string
	begun  time.Duration
	length time.Duration // of an active fault
	ended  bool
	remark remark
}

func newLanes(s style, jobs int) *lanes {
	return &lanes{style: s, narrator: newNarrator(), jobs: max(1, jobs), ended: map[string]bool{}}
}

// event takes notice of an event and answers the lines that are to stay on the screen for good.
func (l *lanes) event(e journal.Event) []string {
	r, told := l.narrator.see(e)
	switch e.Type {
	case journal.Planned:
		l.order = append(l.order, e.Experiment)
	case journal.ExperimentStarted:
		l.running = append(l.running, &lane{plan: l.narrator.plans[e.Experiment], phase: textLaneStarts})
	case journal.ExperimentEnded:
		l.ended[e.Experiment] = true
		l.running = slices.DeleteFunc(l.running, func(x *lane) bool { return x.plan.Name == e.Experiment })
		return []string{fmt.Sprintf("%s %s %s", l.style.dim(offset(e.Mono)), l.style.bold(single(e.Experiment)), l.style.state(r.state, r.text))}
	}
	if x := l.lane(e.Experiment); x != nil {
		x.event(e, r, told)
	}
	return nil
}

func (l *lanes) lane(name string) *lane {
	for _, x := range l.running {
		if x.plan.Name == name {
			return x
		}
	}
	return nil
}

func (x *lane) event(e journal.Event, r remark, told bool) {
	switch e.Type {
	case journal.EnvironmentUp:
		x.began, x.phase = e.Mono, textLaneUp
	case journal.PhaseStarted:
		if p, err := journal.Decode[journal.Phase](e); err == nil {
			x.phase = string(p.Name)
		}
	case journal.StepStarted:
		x.step(e).begun = e.Mono
	case journal.FaultActive:
		s := x.step(e)
		s.begun, s.length, s.remark = e.Mono, x.duration(e.Step), r
	case journal.StepEnded, journal.CheckEnded, journal.FaultReverted:
		s := x.step(e)
		s.ended = true
		if told {
			s.remark = r
		}
	case journal.Aborted:
		x.phase = r.text
	}
}

func (x *lane) duration(step string) time.Duration {
	for _, s := range x.plan.Steps {
		if s.ID == step && s.Fault != nil {
			return time.Duration(s.Fault.Duration)
		}
	}
	return 0
}

// step answers the line of an event's step, as the last one if it is new.
func (x *lane) step(e journal.Event) *laneStep {
	for _, s := range x.steps {
		if s.id == e.Step {
			return s
		}
	}
	s := &laneStep{id: e.Step, begun: e.Mono}
	x.steps = append(x.steps, s)
	return s
}

// render answers the lines to show at a moment, at most height of them, none longer than width.
func (l *lanes) render(now time.Duration, width, height int) []string {
	if len(l.running) == 0 {
		return nil
	}
	room := max(1, (height-1)/len(l.running))
	out := []string{l.summary(now)}
	for _, x := range l.running {
		out = append(out, l.block(x, now, room)...)
	}
	out = out[:min(len(out), height)]
	for i := range out {
		out[i] = clip(out[i], width)
	}
	return out
}

func (l *lanes) summary(now time.Duration) string {
	return l.style.bold(fmt.Sprintf(textLaneSummary, len(l.ended), len(l.order), clock(now), clock(l.remaining(now))))
}

// remaining estimates what is left: the plans' expected durations, packed on the lanes.
func (l *lanes) remaining(now time.Duration) time.Duration {
	var total, longest, alone time.Duration
	for _, name := range l.order {
		if l.ended[name] {
			continue
		}
		left := l.left(name, now)
		if l.narrator.plans[name].BearsNobody() {
			alone += left
			continue
		}
		total += left
		longest = max(longest, left)
	}
	return alone + max(longest, total/time.Duration(l.jobs))
}

func (l *lanes) left(name string, now time.Duration) time.Duration {
	expected := time.Duration(l.narrator.plans[name].Expected)
	if x := l.lane(name); x != nil && x.began > 0 {
		return max(0, expected-(now-x.began))
	}
	return expected
}

// block answers an experiment's lines: its heading, then what is under way, then what has ended last, as far as there is room.
func (l *lanes) block(x *lane, now time.Duration, room int) []string {
	out := []string{l.heading(x, now)}
	var open, ended []string
	for _, s := range x.steps {
		if s.ended {
			ended = append(ended, l.stepLine(s, now))
		} else {
			open = append(open, l.stepLine(s, now))
		}
	}
	room -= len(out) + len(open)
	if room < len(ended) {
		ended = ended[len(ended)-max(0, room):]
	}
	out = append(append(out, ended...), open...)
	return out
}

func (l *lanes) heading(x *lane, now time.Duration) string {
	expected := time.Duration(x.plan.Expected)
	elapsed := time.Duration(0)
	if x.began > 0 {
		elapsed = now - x.began
	}
	return fmt.Sprintf("%s %s  %s  %s", l.style.bold(single(x.plan.Name)), bar(elapsed, expected), clock(elapsed)+" / "+clock(expected), l.style.dim(x.phase))
}

func (l *lanes) stepLine(s *laneStep, now time.Duration) string {
	switch {
	case s.ended && s.remark.state != "":
		return "  " + l.style.state(s.remark.state, mark(s.remark.state)+" "+s.remark.text)
	case s.ended:
		return "  " + l.style.dim("· "+s.remark.text)
	case s.length > 0:
		return fmt.Sprintf("  %s %s", l.style.yellow("● "+clock(now-s.begun)+" / "+clock(s.length)), s.remark.text)
	default:
		return "  " + l.style.dim(fmt.Sprintf(textLaneStepRuns, s.id, clock(now-s.begun)))
	}
}

func mark(state string) string {
	if state == "PASS" {
		return "✓"
	}
	return "✗"
}

// bar is ten cells long. It is full only when the time is over.
func bar(elapsed, expected time.Duration) string {
	const cells = 10
	full := 0
	if expected > 0 {
		full = int(min(cells, cells*elapsed/expected))
	}
	return strings.Repeat("█", full) + strings.Repeat("░", cells-full)
}

// clock is 8.2s below a minute and 1m08s above.
func clock(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}

// clip cuts a line to a number of characters; escape sequences take no room, and none is left open.
func clip(line string, width int) string {
	line = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\x1b' {
			return ' '
		}
		return r
	}, line)
	if visible(line) <= width {
		return line
	}
	var out strings.Builder
	used, escape := 0, false
	for _, r := range line {
		if escape = escape || r == '\x1b'; escape {
			escape = r != 'm'
		} else if used++; used >= width {
			break
		}
		out.WriteRune(r)
	}
	out.WriteString("…")
	if strings.Contains(line, "\x1b") {
		out.WriteString("\x1b[0m")
	}
	return out.String()
}
