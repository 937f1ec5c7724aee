package report

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/quantity"
)

// chart is one metric over the whole experiment.
type chart struct {
	Title  string // the checks that look at it
	About  string // what it shows
	Query  string
	SVG    template.HTML
	Legend []string // the series, if there are several; as many as are drawn
	More   int      // series that are not drawn
}

// maxLines is how many series a chart shows.
const maxLines = 6

// chartsOf draws the metrics of an experiment, each expression once with the limits of all checks that look at it.
func chartsOf(x Experiment) []chart {
	var all []chart
	checks := map[string][]string{}
	for _, c := range x.Charts {
		checks[c.Query] = append(checks[c.Query], c.Check)
	}
	for _, c := range x.Charts {
		if names := checks[c.Query]; names[0] == c.Check {
			all = append(all, x.chart(c, names))
		}
	}
	return all
}

func (x Experiment) chart(data journal.SeriesData, checks []string) chart {
	c := chart{Title: strings.Join(checks, ", "), About: x.about(checks[0]), Query: data.Query, SVG: x.draw(data, checks), More: max(0, len(data.Series)-maxLines)}
	if len(data.Series) > 1 {
		for _, s := range data.Series[:min(len(data.Series), maxLines)] {
			c.Legend = append(c.Legend, clip(labelsOf(s), 120))
		}
	}
	return c
}

// planned finds a check by its id alone.
func (x Experiment) planned(id string) (plan.Check, bool) {
	for _, role := range []string{"steady-state", "abort", "step"} {
		if c, ok := x.check(id, role); ok {
			return c, true
		}
	}
	return plan.Check{}, false
}

// about says what a metric check measures, as its author wrote it.
func (x Experiment) about(id string) string {
	c, _ := x.planned(id)
	switch p := c.Probe; {
	case p.Quantile != nil:
		return fmt.Sprintf("%g-quantile of %s", p.Quantile.Q, p.Quantile.Of)
	case p.Ratio != nil:
		return p.Ratio.Part + " of all " + p.Ratio.Total
	case p.Promql != nil:
		return p.Promql.Query
	}
	return ""
}

func (x Experiment) draw(data journal.SeriesData, checks []string) template.HTML {
	const height, top = 208.0, 24.0
	limits := x.limits(checks)
	unit := unitOf(data.Unit, limits)
	low, high := reach(data.Series, limits)
	marks := ticks(low, high, 5)
	s := scale{left: plotLeft, right: plotEnd, span: max(x.Took, time.Millisecond)}
	for _, v := range marks {
		s.left = math.Max(s.left, textWidth(quantity.Format(v, unit))+14)
	}
	bottom := height - 24
	y := func(v float64) float64 { return bottom - (bottom-top)*math.Min(1, math.Max(0, (v-low)/(high-low))) }
	d := &drawing{}
	d.begin(height, "Chart of "+strings.Join(checks, ", ")+" over the experiment")
	d.ground(x, s, top, bottom)
	var grid strings.Builder
	for _, v := range marks {
		fmt.Fprintf(&grid, "M%.1f %.1fH%.1f", s.left, y(v), s.right)
		d.text(s.left-6, y(v)+4, "axis", "end", quantity.Format(v, unit))
	}
	d.add(`<path d="%s" class="grid"/>`, grid.String())
	d.timeAxis(s, bottom)
	for i, one := range data.Series[:min(len(data.Series), maxLines)] {
		d.line(x, one, s, y, i)
	}
	d.limits(limits, s, y, top, bottom)
	if empty(data.Series) {
		d.text((s.left+s.right)/2, (top+bottom)/2, "axis", "middle", "no data in the whole experiment")
	}
	return d.html()
}

// unitOf is the unit of a chart: that of its expression, else that of a limit.
func unitOf(named string, limits []limit) quantity.Unit {
	if u, ok := map[string]quantity.Unit{"seconds": quantity.Time, "ratio": quantity.Percent}[named]; ok {
		return u
	}
	for _, l := range limits {
		if l.unit != quantity.None {
			return l.unit
		}
	}
	return quantity.None
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func empty(all []metrics.Series) bool {
	return !slices.ContainsFunc(all, func(s metrics.Series) bool {
		return slices.ContainsFunc(s.Points, func(p metrics.Point) bool { return finite(float64(p.V)) })
	})
}

// reach is from where to where the axis of a chart goes: zero is always in it, and the highest value and limit stay a little below the top.
func reach(all []metrics.Series, limits []limit) (low, high float64) {
	include := func(v float64) {
		if finite(v) {
			low, high = math.Min(low, v), math.Max(high, v)
		}
	}
	for _, s := range all {
		for _, p := range s.Points {
			include(float64(p.V))
		}
	}
	for _, l := range limits {
		include(l.value)
	}
	if low == high {
		return 0, 1
	}
	if low < 0 {
		low -= 0.1 * (high - low)
	}
	return low, high + 0.15*(high-low)
}

// line draws one series; where there is no value the line is broken, and a value that stands alone is a dot.
func (d *drawing) line(x Experiment, one metrics.Series, s scale, y func(float64) float64, number int) {
	var path strings.Builder
	step := stepOfPoints(one.Points)
	last := int64(math.MinInt64 / 2)
	var x0, y0 float64 // where the pen is
	for _, p := range one.Points {
		v := float64(p.V)
		if !finite(v) {
			continue
		}
		x1, y1 := tenth(s.x(x.offset(time.UnixMilli(p.T)))), tenth(y(v))
		if p.T-last > step+step/2 {
			fmt.Fprintf(&path, "M%g %gh0", x1, y1)
		} else {
			fmt.Fprintf(&path, "l%g %g", tenth(x1-x0), tenth(y1-y0))
		}
		last, x0, y0 = p.T, x1, y1
	}
	d.add(`<path d="%s" class="series s%d"><title>%s</title></path>`, path.String(), number%maxLines, safe(seriesText(one)))
}

// tenth is as fine as a picture gets.
func tenth(v float64) float64 { return math.Round(v*10) / 10 }

// stepOfPoints is the least distance between two points, in milliseconds.
func stepOfPoints(points []metrics.Point) int64 {
	step := int64(math.MaxInt64 / 4)
	for i := 1; i < len(points); i++ {
		step = min(step, points[i].T-points[i-1].T)
	}
	return max(step, 1)
}
