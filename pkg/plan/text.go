package plan

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"chaosgate/pkg/quantity"
)

// String is the plan for a reviewer: what is done to what, when, for how long, how it is proven, and what must hold.
func (p *Plan) String() string {
	w := &writer{}
	w.line(0, "experiment %s (%s)", p.Name, p.File)
	if p.Title != "" {
		w.line(1, "claim: %s", p.Title)
	}
	if p.Owner != "" {
		w.line(1, "owner: %s", p.Owner)
	}
	w.line(1, "environment %s, target %s, scraped every %s, seed %d%s", p.Environment, p.Target, dur(p.Interval), p.Seed, readyWithin("; a service may take up to %s to be ready", p.Ready))
	w.line(1, "takes %s if all goes well, at most %s; longest chain: %s", dur(p.Expected), dur(p.Timeout), or(strings.Join(p.Critical, " -> "), "none"))
	if len(p.Shared) > 0 {
		w.line(1, "no other experiment runs beside it: %s hits a server that all share", strings.Join(p.Shared, ", "))
	}
	if len(p.Alone) > 0 {
		w.line(1, "no other experiment runs beside it: %s keeps the whole machine busy", strings.Join(p.Alone, ", "))
	}
	p.writeUsual(w)
	w.gap()
	p.writeTraffic(w)
	p.writeSteady(w)
	p.writeSteps(w)
	p.writeRecovery(w)
	p.writeAbort(w)
	return w.String()
}

// writeUsual says once what holds for all that a line says nothing else of.
func (p *Plan) writeUsual(w *writer) {
	w.line(1, "unless a line says otherwise: a check is required, no data is INCONCLUSIVE, and a look may take %s;", dur(LookTimeout))
	w.line(2, "a step starts if what it needs has passed, is tried once, and may take as long as the experiment; a fault hits all instances")
}

// writer collects indented lines. Nothing in them can steer a terminal.
type writer struct{ strings.Builder }

func (w *writer) line(indent int, format string, args ...any) {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, fmt.Sprintf(format, args...))
	w.WriteString(strings.Repeat("  ", indent) + text + "\n")
}

// below writes what belongs to a line below it; "" is nothing.
func (w *writer) below(indent int, text string) {
	if text != "" {
		w.line(indent+1, "%s", text)
	}
}

func (w *writer) gap() { w.WriteByte('\n') }

// readyWithin is what is said of the time that services may take to be ready, if anything is.
func readyWithin(format string, d Duration) string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf(format, dur(d))
}

func dur(d Duration) string {
	if t := time.Duration(d); t < time.Minute {
		return quantity.Format(t.Seconds(), quantity.Time)
	}
	return time.Duration(d).Round(100 * time.Millisecond).String()
}

// at is an offset from the first step: +00:03.0.
func at(d Duration) string {
	t := time.Duration(d)
	return fmt.Sprintf("+%02d:%04.1f", int(t.Minutes()), (t % time.Minute).Seconds())
}

func (p *Plan) writeTraffic(w *writer) {
	if len(p.Traffic) == 0 {
		w.line(0, "traffic: none")
		w.gap()
		return
	}
	w.line(0, "traffic, from before the steady state until after recovery:")
	for _, t := range p.Traffic {
		w.line(1, "%s %s%s at %g/s, each given up after %s", t.Method, t.Service, t.Path, t.Rate, dur(t.Timeout))
		w.below(1, sentHTTP(t.Headers, t.Body))
	}
	w.gap()
}

func (p *Plan) writeSteady(w *writer) {
	w.line(0, "steady state, observed for %s; unless all of it holds, nothing is injected:", dur(p.SteadyFor))
	for _, c := range p.Steady {
		p.writeCheck(w, 1, c)
	}
	w.gap()
}

func (p *Plan) writeSteps(w *writer) {
	w.line(0, "steps:")
	for _, s := range p.Steps {
		if s.During == "" {
			p.writeStep(w, 1, s)
		}
	}
	w.gap()
}

func (p *Plan) writeStep(w *writer, indent int, s Step) {
	switch {
	case s.Fault != nil:
		p.writeFault(w, indent, s)
	case s.Check != nil:
		p.writeCheck(w, indent, *s.Check, at(s.Starts)+" ", conditions(s))
	case s.Action != nil:
		w.line(indent, "%s %s: %s%s", at(s.Starts), s.ID, s.Action.describe(), conditions(s))
		w.below(indent, sent(s.Action.HTTP, s.Action.Exec))
	default:
		w.line(indent, "%s %s: wait %s%s", at(s.Starts), s.ID, dur(s.Wait), conditions(s))
	}
}

func (a Action) describe() string {
	if a.HTTP != nil {
		return fmt.Sprintf("request %s %s%s, must answer below 400", a.HTTP.Method, a.HTTP.Service, a.HTTP.Path)
	}
	return fmt.Sprintf("run %q, must exit 0", a.Exec.Command)
}

// conditions says what a step waits for and how it is repeated.
func conditions(s Step) string {
	var parts []string
	if len(s.Needs) > 0 {
		text := "after " + strings.Join(s.Needs, ", ")
		if s.When != WhenPass {
			text += ", when " + string(s.When)
		}
		parts = append(parts, text)
	}
	if s.Timeout > 0 {
		parts = append(parts, "timeout "+dur(s.Timeout))
	}
	if s.Retry.Times > 0 {
		parts = append(parts, fmt.Sprintf("tried up to %d times, %s apart", s.Retry.Times+1, dur(s.Retry.Every)))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

func (p *Plan) writeRecovery(w *writer) {
	r := p.Recovery
	w.line(0, "recovery: within %s after the last fault the whole steady state holds again, for %s; looked at every %s, seen after %s at the earliest",
		dur(r.Within), dur(r.For), dur(p.Interval), dur(r.Takes))
}

func (p *Plan) writeAbort(w *writer) {
	if len(p.Abort) == 0 {
		return
	}
	w.gap()
	w.line(0, "rolled back at once when one of these is missed:")
	for _, c := range p.Abort {
		c.Every, c.Window = max(c.Every, p.Interval), max(c.Window, fewIntervals*p.Interval) // nobody looks more often, or over less
		lasting := ""
		if c.For > 0 {
			lasting = " for " + dur(c.For)
		}
		w.line(1, "%s: %s, %s%s, every %s%s", c.ID, c.subject(), c.expected(), lasting, dur(c.Every), c.apart())
		w.line(2, "%s", c.query(time.Duration(p.Interval)))
	}
}
