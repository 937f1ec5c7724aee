package report

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"chaosgate/pkg/plan"
	"chaosgate/pkg/propagation"
	"chaosgate/pkg/quantity"
)

const (
	boxHeight = 86.0
	boxGap    = 16.0 // between the rows
	callGap   = 40.0 // between the columns
	boxMost   = 250.0
	boxLines  = 3 // of what rose
)

// box is a place of the map, in pixels.
type box struct {
	propagation.Place
	x, y float64
}

// mapOf draws who calls whom from left to right, and how a fault travelled back along that.
func mapOf(s propagation.Spread) template.HTML {
	columns := columnsOf(s.Places)
	wide := max(40, min(boxMost, (width-16-callGap*float64(len(columns)-1))/float64(max(1, len(columns)))))
	boxes, most := map[string]box{}, 0
	for i, column := range columns {
		most = max(most, len(column))
		for row, p := range column {
			boxes[p.Name] = box{p, 8 + float64(i)*(wide+callGap), 8 + float64(row)*(boxHeight+boxGap)}
		}
	}
	d := &drawing{}
	d.begin(16+float64(most)*(boxHeight+boxGap)-boxGap, "Who calls whom, and where the fault "+s.Fault+" was felt")
	for _, name := range sortedKeys(boxes) {
		for _, called := range boxes[name].Calls {
			if to, ok := boxes[called]; ok {
				d.call(s, boxes[name], to, wide)
			}
		}
	}
	for _, name := range sortedKeys(boxes) {
		d.place(boxes[name], wide)
	}
	return d.html()
}

// columnsOf puts each place behind all that call it, those nobody calls first. Cycles end where they began.
func columnsOf(places []propagation.Place) [][]propagation.Place {
	depth := map[string]int{}
	for range places {
		for _, p := range places {
			for _, called := range p.Calls {
				if next := depth[p.Name] + 1; next > depth[called] && next < len(places) {
					depth[called] = next
				}
			}
		}
	}
	var columns [][]propagation.Place
	for _, p := range slices.SortedFunc(slices.Values(places), func(a, b propagation.Place) int { return strings.Compare(order(a), order(b)) }) {
		for len(columns) <= depth[p.Name] {
			columns = append(columns, nil)
		}
		columns[depth[p.Name]] = append(columns[depth[p.Name]], p)
	}
	return slices.DeleteFunc(columns, func(c []propagation.Place) bool { return len(c) == 0 })
}

// order keeps the callers on top of their column.
func order(p propagation.Place) string {
	if p.Name == plan.Callers {
		return ""
	}
	return p.Name
}

// call draws a dependency; what travelled along it points at who was reached.
func (d *drawing) call(s propagation.Spread, from, to box, wide float64) {
	x1, y1, x2, y2 := from.x+wide, from.y+boxHeight/2, to.x, to.y+boxHeight/2
	middle := (x1 + x2) / 2
	class, end := "call", ""
	if slices.Contains(s.Links, propagation.Link{From: from.Name, To: to.Name}) {
		class += " hit"
	}
	if reached(from.State) && (to.State == propagation.Hit || to.State == propagation.PassedOn) {
		class, end = class+" travelled", ` marker-end="url(#spread)"`
	}
	d.add(`<path d="M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f" class="%s"%s><title>%s calls %s</title></path>`,
		x2, y2, middle, y2, middle, y1, x1+1, y1, class, end, safe(from.Name), safe(to.Name))
}

func reached(s propagation.State) bool {
	return s == propagation.PassedOn || s == propagation.Absorbed
}

// stateWords say what a fault did to a place.
var stateWords = map[propagation.State]string{
	propagation.Hit: "hit", propagation.PassedOn: "reached, passed on", propagation.Absorbed: "reached, absorbed", propagation.Untouched: "nothing rose",
	propagation.Beside: "rose beside the way", propagation.NotMeasured: "not measured",
}

func (d *drawing) place(b box, wide float64) {
	words := stateWords[b.State]
	if b.Name == plan.Callers && b.State == propagation.PassedOn {
		words = "reached"
	}
	d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.0f" rx="8" class="place %s"><title>%s</title></rect>`, b.x, b.y, wide, boxHeight, safe(string(b.State)), safe(b.Name+": "+words))
	d.fitted(b.x+10, b.y+18, wide-20, "step", "start", b.Name)
	d.fitted(b.x+10, b.y+33, wide-20, "axis", "start", words)
	for i, line := range b.lines() {
		d.fitted(b.x+10, b.y+48+14*float64(i), wide-20, "place-line", "start", line)
	}
}

// lines are what rose, as short as they fit into a box.
func (b box) lines() []string {
	var lines []string
	for _, s := range b.Signals {
		if s.Rose {
			lines = append(lines, fmt.Sprintf("%s %s +%s", s.Name, s.Text(s.During), quantity.Format(s.FirstSeen, quantity.Time)))
		}
	}
	if len(lines) > boxLines {
		lines = append(lines[:boxLines-1], fmt.Sprintf("and %d more", len(lines)-boxLines+1))
	}
	return lines
}

// spreadRow is a number of a place before, during and after a fault.
type spreadRow struct{ Place, What, Before, During, After, Rose string }

// spreadRows are the numbers behind the map.
func spreadRows(s propagation.Spread) []spreadRow {
	var rows []spreadRow
	for _, p := range s.Places {
		for _, signal := range p.Signals {
			rows = append(rows, spreadRow{p.Name, signal.What(), signal.Text(signal.Before), signal.Text(signal.During), signal.Text(signal.After), roseText(signal)})
		}
		for _, c := range []struct {
			what string
			propagation.Change
			unit quantity.Unit
		}{{"requests a second", p.Requests, quantity.None}, {"mean latency", p.Mean, quantity.Time}, {"0.99-quantile of latency", p.P99, quantity.Time}} {
			if c.Before != nil || c.During != nil {
				rows = append(rows, spreadRow{p.Name, c.what, optional(c.Before, c.unit), optional(c.During, c.unit), optional(c.After, c.unit), ""})
			}
		}
	}
	return rows
}

func roseText(s propagation.Signal) string {
	switch {
	case !s.Rose:
		return ""
	case s.Back != nil && !*s.Back:
		return fmt.Sprintf("yes, first seen after %s; not back afterwards", quantity.Format(s.FirstSeen, quantity.Time))
	default:
		return "yes, first seen after " + quantity.Format(s.FirstSeen, quantity.Time)
	}
}

func optional(v *float64, unit quantity.Unit) string {
	if v == nil {
		return "–"
	}
	return quantity.Format(*v, unit)
}
