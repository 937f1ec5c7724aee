package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/quantity"
)

// chart is one metric over the whole experiment.
type chart struct {
	Title string
	Query string
	SVG   template.HTML
}

// chartsOf draws the metrics of an experiment, each expression once with the limits of all checks that look at it.
func chartsOf(x Experiment) []chart {
	var all []chart
	byQuery := map[string][]string{}
	for _, c := range x.Charts {
		byQuery[c.Query] = append(byQuery[c.Query], c.Check)
	}
	drawn := map[string]bool{}
	for _, c := range x.Charts {
		if drawn[c.Query] {
			continue
		}
		drawn[c.Query] = true
		checks := byQuery[c.Query]
		all = append(all, chart{Title: strings.Join(checks, ", "), Query: c.Query, SVG: x.draw(c, checks)})
	}
	return all
}

// limit is a horizontal line of a chart.
type limit struct {
	value float64
	label string
}

// maxLines is how many series a chart shows.
const maxLines = 6

func (x Experiment) draw(data journal.SeriesData, checks []string) template.HTML {
	const height, top = 190.0, 14.0
	bottom := height - 24
	s := scale{left: 66, right: width - 12, span: max(x.Took, time.Millisecond)}
	limits := x.limits(checks)
	most := peak(data.Series, limits)
	y := func(v float64) float64 { return bottom - (bottom-top)*math.Min(1, math.Max(0, v/most)) }
	unit := units[data.Unit]
	d := &drawing{}
	d.add(`<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="%s"><title>%s over the experiment</title>`, width, height, html.EscapeString("chart of "+data.Check), html.EscapeString(data.Check))
	d.ground(x, s, top, bottom)
	for _, v := range ticks(most, 4) {
		d.add(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" class="grid"/>`, s.left, s.right, y(v), y(v))
		d.text(s.left-6, y(v)+4, "axis", "end", quantity.Format(v, unit))
	}
	d.timeAxis(s, bottom)
	for i, one := range data.Series[:min(len(data.Series), maxLines)] {
		d.line(x, one, s, y, i)
	}
	for _, l := range limits {
		d.add(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" class="limit"/>`, s.left, s.right, y(l.value), y(l.value))
		d.text(s.right-4, y(l.value)-4, "limit-name", "end", l.label)
	}
	if empty(data.Series) {
		d.text((s.left+s.right)/2, (top+bottom)/2, "axis", "middle", "no data in the whole experiment")
	}
	d.add(`</svg>`)
	return d.html()
}

var units = map[string]quantity.Unit{"seconds": quantity.Time, "ratio": quantity.Percent}

func empty(all []metrics.Series) bool {
	for _, s := range all {
		for _, p := range s.Points {
			if v := float64(p.V); !math.IsNaN(v) && !math.IsInf(v, 0) {
				return false
			}
		}
	}
	return true
}

// limits are the lines that the checks of a chart must not cross.
func (x Experiment) limits(checks []string) []limit {
	var all []limit
	seen := map[float64]bool{}
	add := func(c plan.Check) {
		for _, e := range c.Expect {
			if e.Op != plan.Max && e.Op != plan.Min && e.Op != plan.Between || seen[e.Limit] {
				continue
			}
			seen[e.Limit] = true
			word := "at most "
			if e.Op == plan.Min {
				word = "at least "
			}
			all = append(all, limit{e.Limit, fmt.Sprintf("%s: %s%s", c.ID, word, quantity.Format(e.Limit, e.Unit))})
		}
	}
	for _, id := range checks {
		for _, role := range []string{"steady-state", "abort", "step"} {
			if c, ok := x.check(id, role); ok {
				add(c)
				break
			}
		}
	}
	return all
}

// peak is the top of a chart: a little above the highest value and the highest limit.
func peak(all []metrics.Series, limits []limit) float64 {
	most := 0.0
	for _, s := range all {
		for _, p := range s.Points {
			if v := float64(p.V); !math.IsNaN(v) && !math.IsInf(v, 0) {
				most = math.Max(most, v)
			}
		}
	}
	for _, l := range limits {
		most = math.Max(most, l.value)
	}
	if most == 0 {
		return 1
	}
	return most * 1.15
}

// line draws one series; where there is no value the line is broken.
func (d *drawing) line(x Experiment, one metrics.Series, s scale, y func(float64) float64, number int) {
	var path strings.Builder
	var last int64
	pen := "M"
	step := stepOfPoints(one.Points)
	for _, p := range one.Points {
		v := float64(p.V)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			pen = "M"
			continue
		}
		if last != 0 && p.T-last > 3*step {
			pen = "M"
		}
		at := time.Duration(p.T-x.began.UnixMilli()) * time.Millisecond
		fmt.Fprintf(&path, "%s%.1f %.1f", pen, s.x(at), y(v))
		pen, last = "L", p.T
	}
	d.add(`<path d="%s" class="series s%d"><title>%s</title></path>`, path.String(), number%6, html.EscapeString(seriesText(one)))
}

// stepOfPoints is the least distance between two points, in milliseconds.
func stepOfPoints(points []metrics.Point) int64 {
	step := int64(math.MaxInt64 / 4)
	for i := 1; i < len(points); i++ {
		step = min(step, points[i].T-points[i-1].T)
	}
	return max(step, 1)
}
