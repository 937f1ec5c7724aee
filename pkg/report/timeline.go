package report

import (
	"cmp"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"chaosgate/pkg/journal"
)

const (
	rowHeight = 36.0
	barTop    = 20.0 // of a bar in its row, below its name
	barHeight = 11.0
	indent    = 16.0
)

// lane is a bar at its place in the picture.
type lane struct {
	Bar
	depth int // how many faults it is within
	y     float64
	last  int // the last lane of what is within it
}

// timeline draws the DAG as it ran: a bar for each step under its name, what is during a fault framed below it, an arrow from each needed step.
func timeline(x Experiment) template.HTML {
	top := 24.0
	lanes := lanesOf(x.Bars, top)
	s := scale{left: plotLeft, right: plotEnd, span: max(x.Took, time.Millisecond)}
	bottom := top + rowHeight*float64(len(lanes)) + 6
	d := &drawing{}
	d.begin(bottom+24, "The steps of "+x.Verdict.Name+" as they ran, on a time axis")
	d.ground(x, s, top, bottom)
	for _, l := range lanes {
		d.frame(x, l, lanes, s)
	}
	for _, l := range lanes {
		d.needs(l, lanes, s)
	}
	for _, l := range lanes {
		d.bar(x, l, s)
	}
	for _, l := range lanes {
		d.name(l, s)
	}
	d.timeAxis(s, bottom)
	return d.html()
}

// lanesOf puts what is during a fault right behind it, and otherwise keeps the order in which the steps began.
func lanesOf(bars []Bar, top float64) []lane {
	var all []lane
	seen := map[string]bool{}
	var add func(b Bar, depth int)
	add = func(b Bar, depth int) {
		if seen[b.Name] {
			return
		}
		seen[b.Name] = true
		at := len(all)
		all = append(all, lane{Bar: b, depth: depth, y: top + rowHeight*float64(at)})
		for _, inner := range byStart(bars) {
			if inner.During == b.Name {
				add(inner, depth+1)
			}
		}
		all[at].last = len(all) - 1
	}
	for _, b := range byStart(bars) {
		if b.During == "" {
			add(b, 0)
		}
	}
	for _, b := range bars { // during something that is not there: shown all the same
		add(b, 0)
	}
	return all
}

func byStart(bars []Bar) []Bar {
	return slices.SortedStableFunc(slices.Values(bars), func(a, b Bar) int {
		return cmp.Or(cmp.Compare(a.turn(), b.turn()), cmp.Compare(a.From, b.From))
	})
}

// placed says whether a step has a place on the time axis: it was started, or skipped when its turn came.
func (b Bar) placed() bool { return b.Started || b.From > 0 }

// turn sorts what has a place before what has none.
func (b Bar) turn() int {
	if b.placed() {
		return 0
	}
	return 1
}

// frame holds a fault's bar and what is within it together, from its proven effect to its revert.
func (d *drawing) frame(x Experiment, l lane, lanes []lane, s scale) {
	if l.Kind != "fault" {
		return
	}
	for _, b := range x.Bands {
		if b.Name != l.Name {
			continue
		}
		from, to := s.x(b.From), math.Max(s.x(b.From)+3, s.x(b.To))
		d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="4" class="frame"/>`, from, l.y+barTop-3, to-from, lanes[l.last].y+barTop+barHeight+3-(l.y+barTop-3))
	}
}

// needs draws an arrow from the end of each needed step to the beginning of this one.
func (d *drawing) needs(l lane, lanes []lane, s scale) {
	if !l.placed() {
		return
	}
	for _, need := range l.Needs {
		i := slices.IndexFunc(lanes, func(other lane) bool { return other.Name == need })
		if i < 0 {
			continue
		}
		from, to := s.x(lanes[i].To), s.x(l.From)
		down := lanes[i].y + barTop + barHeight/2
		middle, end := l.y+barTop+barHeight/2, l.y+barTop-1
		if to-from > 10 {
			d.add(`<path d="M%.1f %.1fV%.1fH%.1f" class="need" marker-end="url(#arrow)"/>`, from, down, middle, to-1)
			continue
		}
		if l.y < lanes[i].y {
			end = l.y + barTop + barHeight + 1
		}
		d.add(`<path d="M%.1f %.1fV%.1f" class="need" marker-end="url(#arrow)"/>`, math.Max(from, to)+1.5, down, end)
	}
}

func (d *drawing) bar(x Experiment, l lane, s scale) {
	if !l.placed() {
		return
	}
	y := l.y + barTop
	if from, to, ok := x.window(l.Bar); ok {
		d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="3" class="window"><title>%s looked over %s to %s</title></rect>`,
			s.x(from), y+barHeight/2-1.5, math.Max(0, s.x(to)-s.x(from)), safe(l.Name), short(from), short(to))
	}
	from, to := s.x(l.From), math.Max(s.x(l.From)+4, s.x(l.To))
	d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.0f" rx="3" class="bar %s %s"><title>%s: %s, %s to %s</title></rect>`,
		from, y, to-from, barHeight, l.Kind, strings.ReplaceAll(strings.ToLower(safe(l.State)), " ", "-"), safe(l.Name), safe(l.State), short(l.From), short(l.To))
	for _, b := range x.Bands {
		if b.Name == l.Name && l.Kind == "fault" {
			d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.0f" class="active"/>`, s.x(b.From), y, math.Max(1.5, s.x(b.To)-s.x(b.From)), barHeight)
		}
	}
}

// window is what the looks of a metric probe covered: it is longer than the looks themselves.
func (x Experiment) window(b Bar) (from, to time.Duration, ok bool) {
	for _, look := range x.Looks[b.Name] {
		if b.Kind != "probe" || look.From.IsZero() || look.Phase == journal.Recovery {
			continue
		}
		begins, ends := x.offset(look.From), x.offset(look.Observation.At)
		if !ok {
			from, to, ok = begins, ends, true
		}
		from, to = min(from, begins), max(to, ends)
	}
	return from, to, ok
}

// name is the step's mark, name and duration above its bar: at its beginning, or as far left of that as it needs, and beside the arrow or the frame that leads there. What has no
// place on the axis begins at the left, deeper steps further right.
func (d *drawing) name(l lane, s scale) {
	text := marks[l.State] + " " + l.Name
	switch {
	case l.Started && l.To-l.From >= 10*time.Millisecond: // a look is a moment
		text += " " + short(l.To-l.From)
	case !l.Started:
		text += " " + strings.ToLower(l.State)
	}
	left := s.left + indent*float64(l.depth)
	at := left
	if l.placed() {
		at = s.x(l.From)
		if len(l.Needs) > 0 || l.During != "" {
			at += letter
		}
		at = math.Max(left, math.Min(at, s.right-textWidth(text)))
	}
	d.fitted(at, l.y+barTop-5, s.right-at, "step", "start", text)
}
