package report

import (
	"cmp"
	"fmt"
	"html"
	"html/template"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// drawing collects SVG. Texts are escaped here; everything else is numbers and words of this program.
type drawing struct{ strings.Builder }

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(&d.Builder, format, args...) }

func (d *drawing) text(x, y float64, class, anchor, text string) {
	d.add(`<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`, x, y, class, anchor, html.EscapeString(text))
}

func (d *drawing) html() template.HTML { return template.HTML(d.String()) }

// scale maps offsets of an experiment to pixels.
type scale struct {
	left, right float64
	span        time.Duration
}

func (s scale) x(at time.Duration) float64 {
	if s.span <= 0 {
		return s.left
	}
	return s.left + (s.right-s.left)*math.Min(1, math.Max(0, at.Seconds()/s.span.Seconds()))
}

// ticks are whole steps of 1, 2 or 5 times a power of ten, about n of them.
func ticks(most float64, n int) []float64 {
	if most <= 0 || math.IsInf(most, 0) || math.IsNaN(most) {
		return []float64{0}
	}
	raw := most / float64(n)
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	step := unit * 10
	for _, m := range []float64{1, 2, 5} {
		if unit*m >= raw {
			step = unit * m
			break
		}
	}
	var all []float64
	for v := 0.0; v <= most*1.0001; v += step {
		all = append(all, v)
	}
	return all
}

func (d *drawing) timeAxis(s scale, y float64) {
	for _, t := range ticks(s.span.Seconds(), 8) {
		x := s.x(time.Duration(t * float64(time.Second)))
		d.add(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" class="tick"/>`, x, x, y, y+4)
		d.text(x, y+16, "axis", "middle", fmt.Sprintf("%gs", math.Round(t*100)/100))
	}
}

// ground shades the phases and the active bands of the faults, over the height of a drawing.
func (d *drawing) ground(x Experiment, s scale, top, bottom float64) {
	for _, p := range x.Phases {
		if p.Name == "steps" {
			continue
		}
		d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="phase %s"><title>%s, %s to %s</title></rect>`,
			s.x(p.From), top, math.Max(0, s.x(p.To)-s.x(p.From)), bottom-top, html.EscapeString(p.Name), html.EscapeString(p.Name), short(p.From), short(p.To))
	}
	for _, b := range x.Bands {
		d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="band"><title>%s active, %s to %s</title></rect>`,
			s.x(b.From), top, math.Max(1.5, s.x(b.To)-s.x(b.From)), bottom-top, html.EscapeString(b.Name), short(b.From), short(b.To))
	}
}

const (
	width     = 900.0
	rowHeight = 26.0
)

// timeline draws the DAG as it ran: a bar for each step, what is during a fault below it and indented, an arrow from each needed step.
func timeline(x Experiment) template.HTML {
	bars := ordered(x.Bars)
	s := scale{left: 210, right: width - 12, span: max(x.Took, time.Millisecond)}
	top := 24.0
	bottom := top + rowHeight*float64(len(bars))
	d := &drawing{}
	d.add(`<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="The steps as they ran, on a time axis"><title>The steps of %s as they ran</title>`, width, bottom+26, html.EscapeString(x.Verdict.Name))
	d.add(`<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" class="hatch-ground"/><line x1="0" y1="0" x2="0" y2="6" class="hatch"/></pattern></defs>`)
	d.ground(x, s, top, bottom)
	for _, p := range x.Phases {
		if p.Name != "steps" {
			d.text((s.x(p.From)+s.x(p.To))/2, top-8, "phase-name", "middle", p.Name)
		}
	}
	rows := map[string]int{}
	for i, b := range bars {
		rows[b.Name] = i
	}
	for i, b := range bars {
		d.bar(b, s, top+rowHeight*float64(i), rows, bars, top)
	}
	d.add(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" class="tick"/>`, s.left, s.right, bottom, bottom)
	d.timeAxis(s, bottom)
	d.add(`</svg>`)
	return d.html()
}

// ordered puts what is during a fault right behind it.
func ordered(bars []Bar) []Bar {
	var all []Bar
	var add func(b Bar)
	add = func(b Bar) {
		all = append(all, b)
		for _, inner := range bars {
			if inner.During == b.Name && inner.Name != b.Name && len(all) <= len(bars) {
				add(inner)
			}
		}
	}
	outer := slices.DeleteFunc(slices.Clone(bars), func(b Bar) bool { return b.During != "" })
	slices.SortStableFunc(outer, func(a, b Bar) int { return cmp.Compare(a.From, b.From) })
	for _, b := range outer {
		add(b)
	}
	return all
}

func (d *drawing) bar(b Bar, s scale, y float64, rows map[string]int, bars []Bar, top float64) {
	indent := 8.0
	if b.During != "" {
		indent = 26
	}
	d.text(indent, y+17, "step", "start", clip(marks[b.State]+" "+b.Name, 30-int(indent/8)))
	x1, x2 := s.x(b.From), math.Max(s.x(b.From)+3, s.x(b.To))
	for _, need := range b.Needs {
		if row, ok := rows[need]; ok {
			nx, ny := s.x(bars[row].To), top+rowHeight*float64(row)+rowHeight/2
			d.add(`<path d="M%.1f %.1f V%.1f H%.1f" class="need"/>`, nx, ny, y+rowHeight/2, math.Max(nx, x1))
		}
	}
	if !b.Started && b.State != "SKIPPED" {
		return
	}
	d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="14" rx="3" class="bar %s %s"><title>%s: %s, %s to %s</title></rect>`,
		x1, y+6, x2-x1, b.Kind, strings.ReplaceAll(strings.ToLower(b.State), " ", "-"), html.EscapeString(b.Name), html.EscapeString(b.State), short(b.From), short(b.To))
	if after := short(b.To - b.From); x2 < s.right-70 {
		d.text(x2+5, y+17, "axis", "start", after)
	}
}

// clip shortens a text to n characters.
func clip(text string, n int) string {
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return text
}
