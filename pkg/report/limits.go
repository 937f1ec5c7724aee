package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"chaosgate/pkg/plan"
	"chaosgate/pkg/quantity"
)

// limit is a horizontal line of a chart.
type limit struct {
	value  float64
	unit   quantity.Unit
	words  string   // "at most 1s"
	checks []string // that ask for it
	names  []string // of the thresholds it came from
}

// label says who asks for what: "p99-holds: at most 1s ($p99)".
func (l limit) label() string {
	text := strings.Join(l.checks, ", ") + ": " + l.words
	if len(l.names) > 0 {
		text += " (" + strings.Join(l.names, ", ") + ")"
	}
	return text
}

// join adds what another limit of the same value says.
func (l *limit) join(other limit) {
	for _, c := range other.checks {
		if !slices.Contains(l.checks, c) {
			l.checks = append(l.checks, c)
		}
	}
	for _, n := range other.names {
		if !slices.Contains(l.names, n) {
			l.names = append(l.names, n)
		}
	}
}

// limits are the lines that the checks of a chart must not cross, the highest first; checks that ask for the same share one.
func (x Experiment) limits(checks []string) []limit {
	var all []limit
	for _, id := range checks {
		c, _ := x.planned(id)
		for _, e := range c.Expect {
			for _, l := range x.limitsOf(c, e) {
				same := slices.IndexFunc(all, func(o limit) bool { return o.value == l.value && o.words == l.words })
				if same < 0 {
					all = append(all, l)
				} else {
					all[same].join(l)
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b limit) int { return cmp.Compare(b.value, a.value) })
	return all
}

// limitsOf answers the limits that one comparison sets: none where it compares something else than numbers, two for a range.
func (x Experiment) limitsOf(c plan.Check, e plan.Expect) []limit {
	at := func(v float64, word string) limit {
		l := limit{value: v, unit: e.Unit, words: word + " " + quantity.Format(v, e.Unit), checks: []string{c.ID}}
		if e.Threshold != "" {
			l.names = []string{"$" + e.Threshold}
		}
		return l
	}
	switch e.Op {
	case plan.Max:
		return []limit{at(e.Limit, "at most")}
	case plan.Min:
		return []limit{at(e.Limit, "at least")}
	case plan.Equals:
		return []limit{at(e.Limit, "exactly")}
	case plan.Between:
		return []limit{at(e.High, "at most"), at(e.Limit, "at least")}
	case plan.MaxIncrease, plan.MaxDecrease:
		return x.relative(c, e)
	}
	return nil
}

// relative is the limit of a comparison with the steady state, where that was measured.
func (x Experiment) relative(c plan.Check, e plan.Expect) []limit {
	for _, v := range x.Verdict.Checks {
		if v.ID != c.ID || v.Value == nil || v.Value.Baseline == nil {
			continue
		}
		base, change, side := *v.Value.Baseline, e.Limit, "above"
		if e.Op == plan.MaxDecrease {
			change, side = -change, "below"
		}
		words := fmt.Sprintf("at most %s %s the steady state", quantity.Format(e.Limit, quantity.Percent), side)
		return []limit{{value: base * (1 + change), words: words, checks: []string{c.ID}}}
	}
	return nil
}

// limits draws the lines and their names, which give way to each other: each stands above its line, or below the name before it.
func (d *drawing) limits(all []limit, s scale, y func(float64) float64, top, bottom float64) {
	const line = 14.0
	at := make([]float64, len(all))
	for i := range all { // from the highest down
		at[i] = math.Max(y(all[i].value)-4, top+line-2)
		if i > 0 {
			at[i] = math.Max(at[i], at[i-1]+line)
		}
	}
	most := bottom - 3
	for i := len(all) - 1; i >= 0; i-- { // and from the bottom up, where that went too far
		at[i] = math.Min(at[i], most)
		most = at[i] - line
	}
	for i, l := range all {
		d.add(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" class="limit"/>`, s.left, s.right, y(l.value), y(l.value))
		d.fitted(s.right-4, at[i], s.right-s.left-8, "limit-name", "end", l.label())
	}
}
