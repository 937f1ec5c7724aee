package report

import (
	"fmt"
	"html"
	"html/template"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"chaosgate/pkg/diag"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// drawing collects SVG. Texts are escaped here; everything else is numbers and words of this program.
type drawing struct{ strings.Builder }

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(&d.Builder, format, args...) }

// begin opens a picture of the common width; said is what a screen reader says of it.
func (d *drawing) begin(height float64, said string) {
	d.add(`<svg class="picture" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`, width, height, safe(said))
}

func (d *drawing) html() template.HTML { return template.HTML(d.String() + "</svg>") }

// safe is text as SVG may hold it.
func safe(text string) string { return html.EscapeString(diag.Printable(text)) }

func (d *drawing) text(x, y float64, class, anchor, text string) {
	d.add(`<text x="%.1f" y="%.1f" class="%s"%s>%s</text>`, x, y, class, anchored[anchor], safe(text))
}

// anchored says which end of a text its place is.
var anchored = map[string]string{"start": "", "middle": ` text-anchor="middle"`, "end": ` text-anchor="end"`}

// fitted writes text that may take most pixels: what is cut is shown in full by its tooltip.
func (d *drawing) fitted(x, y, most float64, class, anchor, text string) {
	shown := clip(text, max(2, int(most/(textWidth(text)/float64(max(1, len([]rune(text))))))))
	if shown == text {
		d.text(x, y, class, anchor, text)
		return
	}
	d.add(`<text x="%.1f" y="%.1f" class="%s"%s>%s<title>%s</title></text>`, x, y, class, anchored[anchor], safe(shown), safe(text))
}

// textWidth is the width of a text of a picture in pixels. The pictures use a monospaced face, so that it is known here.
func textWidth(text string) float64 { return float64(diag.Width(text)) * letter }

const (
	width    = 900.0      // of all pictures, in pixels; they scale
	plotLeft = 62.0       // where time begins: the same in all pictures, so that they can be read one below the other
	plotEnd  = width - 24 // and where it ends
	letter   = 6.7        // a monospaced letter at 11 pixels, with a little to spare
)

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

// ticks are whole steps of 1, 2 or 5 times a power of ten between two values, about n of them. They are counted, not summed up, so that they stay whole.
func ticks(low, high float64, n int) []float64 {
	raw := (high - low) / float64(n)
	if raw <= 0 || math.IsInf(raw, 0) || math.IsNaN(raw) {
		return []float64{0}
	}
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	step := unit * 10
	for _, m := range []float64{1, 2, 5} {
		if unit*m >= raw*0.999 {
			step = unit * m
			break
		}
	}
	var all []float64
	for i := math.Ceil(low/step - 1e-9); i*step <= high+step*1e-9; i++ {
		all = append(all, i*step+0) // never a negative zero
	}
	return all
}

func (d *drawing) timeAxis(s scale, y float64) {
	line := fmt.Sprintf("M%.1f %.1fH%.1f", s.left, y, s.right)
	for _, t := range ticks(0, s.span.Seconds(), 8) {
		x := s.x(time.Duration(t * float64(time.Second)))
		line += fmt.Sprintf("M%.1f %.1fv4", x, y)
		d.text(x, y+16, "axis", "middle", fmt.Sprintf("%gs", math.Round(t*1000)/1000))
	}
	d.add(`<path d="%s" class="tick"/>`, line)
}

// ground shades the phases and the active bands of the faults between two heights, and names the phases above.
func (d *drawing) ground(x Experiment, s scale, top, bottom float64) {
	free := s.left // up to where names are written
	for _, p := range x.Phases {
		from, to := s.x(p.From), s.x(p.To)
		if p.Name != "steps" {
			d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="phase %s"><title>%s, %s to %s</title></rect>`,
				from, top, math.Max(0, to-from), bottom-top, safe(p.Name), safe(p.Name), short(p.From), short(p.To))
		}
		if w := textWidth(p.Name); from >= free && from+w <= s.right {
			d.text(from+2, top-6, "axis", "start", p.Name)
			free = from + w + letter
		} else if to-w >= free {
			d.text(to, top-6, "axis", "end", p.Name)
			free = to + letter
		}
	}
	for _, b := range x.Bands {
		d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="band"><title>%s active, %s to %s</title></rect>`,
			s.x(b.From), top, math.Max(1.5, s.x(b.To)-s.x(b.From)), bottom-top, safe(b.Name), short(b.From), short(b.To))
	}
}

// clip shortens a text to n characters.
func clip(text string, n int) string {
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return text
}
