package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/verdict"
)

// evidence is what stands behind one check.
type evidence struct {
	Expect []string
	Query  string
	Window string
	Looks  []shownLook
	More   int
	Tries  bool // there was more than one attempt
	Place  string
}

// shownLook is one look with what it shows by itself.
type shownLook struct {
	At      time.Duration
	Attempt int
	Check   string
	State   string
	Seen    string
}

func evidenceOf(x Experiment, c verdict.Check) evidence {
	p, _ := x.check(c.ID, c.Role)
	e := evidence{Tries: c.Attempts > 1}
	if p.Line > 0 {
		e.Place = fmt.Sprintf("%s:%d", x.Plan.File, p.Line)
	}
	for _, expect := range p.Expect {
		e.Expect = append(e.Expect, expectText(expect))
	}
	looks := x.looksOf(c)
	if n := len(looks); n > 0 {
		last := looks[n-1]
		e.Query = last.Query
		if to := last.Observation.At; !last.From.IsZero() {
			e.Window = fmt.Sprintf("%s, from %s to %s of the experiment", short(to.Sub(last.From)), short(x.offset(last.From)), short(x.offset(to)))
		}
	}
	var shown []shownLook
	for _, l := range looks {
		shown = append(shown, shownLook{l.At, l.Attempt, c.ID, verdict.JudgeLook(p, l.Observation).State.String(), seenText(l.Observation)})
	}
	e.Looks, e.More = telling(shown)
	return e
}

// recoveryEvidence are the looks that the recovery was judged by.
func recoveryEvidence(x Experiment) evidence {
	var shown []shownLook
	for _, l := range x.recoveryLooks() {
		shown = append(shown, shownLook{l.At, l.Attempt, l.Check, l.State.String(), seenText(l.Observation)})
	}
	looks, more := telling(shown)
	return evidence{Looks: looks, More: more}
}

// telling answers at most maxRows of the looks, in their order, and how many are left: those that did not pass before those that did, and where there are too
// many of either, some from the first to the last.
func telling(all []shownLook) (shown []shownLook, more int) {
	var passed, others []int
	for i, l := range all {
		if l.State == verdict.Pass.String() {
			passed = append(passed, i)
		} else {
			others = append(others, i)
		}
	}
	index := spread(others, maxRows)
	index = append(index, spread(passed, maxRows-len(index))...)
	slices.Sort(index)
	for _, i := range index {
		shown = append(shown, all[i])
	}
	return shown, len(all) - len(shown)
}

// spread answers n of the numbers, evenly from the first to the last, or all if there are no more.
func spread(all []int, n int) []int {
	if len(all) <= n {
		return slices.Clone(all)
	}
	var some []int
	for k := range n {
		some = append(some, all[k*(len(all)-1)/max(1, n-1)])
	}
	return some
}

// ops says the comparisons in words.
var ops = map[plan.Op]string{
	plan.Min: "at least", plan.Max: "at most", plan.Equals: "equal to", plan.Between: "between", plan.MaxIncrease: "an increase of at most", plan.MaxDecrease: "a decrease of at most",
	plan.Class: "of the class", plan.Contains: "containing", plan.Matches: "matching", plan.JSONEquals: "as JSON",
}

// expectText is an expectation as its author wrote it, with where the limit came from.
func expectText(e plan.Expect) string {
	parts := []string{strings.ReplaceAll(strings.TrimSuffix(e.On, "_seconds"), "_", " "), ops[e.Op]}
	if e.Path != "" {
		parts = append(parts, e.Path+" =")
	}
	if e.Text != "" {
		parts = append(parts, fmt.Sprintf("%q", clip(e.Text, maxText)))
	} else {
		parts = append(parts, e.Written)
	}
	if e.Threshold != "" {
		parts = append(parts, "= "+quantity.Format(e.Limit, e.Unit))
	}
	if e.Override != "" {
		parts = append(parts, fmt.Sprintf("(set by environment %s)", e.Override))
	}
	return strings.Join(parts, " ")
}

const (
	maxText   = 160 // how much the page shows of a body or an output
	maxSeries = 4   // and how many series of a look
)

// seenText says in a line what a look saw.
func seenText(o journal.Observation) string {
	var parts []string
	switch {
	case o.Error != "":
		parts = append(parts, "could not look: "+clip(o.Error, 4*maxText))
	case o.Missing != "":
		parts = append(parts, "no data: "+o.Missing)
	}
	for i, s := range o.Series {
		if i == maxSeries {
			parts = append(parts, fmt.Sprintf("%d more series", len(o.Series)-i))
			break
		}
		parts = append(parts, seriesText(s))
	}
	for _, s := range o.Baseline[:min(len(o.Baseline), maxSeries)] {
		parts = append(parts, "steady state "+seriesText(s))
	}
	parts = append(parts, samplesText("samples", o.Samples), samplesText("of the steady state", o.BaselineSamples))
	parts = append(parts, numbersText(o.Numbers)...)
	parts = append(parts, numbersText(o.Events)...)
	for _, key := range sortedKeys(o.Text) {
		if text := o.Text[key]; key == "problem" {
			parts = append(parts, text)
		} else if text != "" {
			parts = append(parts, key+" "+clip(strings.TrimSpace(text), maxText))
		}
	}
	for _, w := range o.Warnings {
		parts = append(parts, "warning: "+w)
	}
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), ", ")
}

// samplesText is what was compared: how many values, and the first of them.
func samplesText(name string, values []float64) string {
	if len(values) == 0 {
		return ""
	}
	var first []string
	for _, v := range values[:min(len(values), 12)] {
		first = append(first, quantity.Format(v, quantity.None))
	}
	more := ""
	if len(values) > len(first) {
		more = " ..."
	}
	return fmt.Sprintf("%d %s (%s%s)", len(values), name, strings.Join(first, " "), more)
}

// numbersText names numbers in words; what is in seconds by its name is shown as a time.
func numbersText(numbers map[string]float64) []string {
	var parts []string
	for _, key := range sortedKeys(numbers) {
		name, seconds := strings.CutSuffix(key, "_seconds")
		unit := quantity.None
		if seconds {
			unit = quantity.Time
		}
		parts = append(parts, strings.ReplaceAll(name, "_", " ")+" "+quantity.Format(numbers[key], unit))
	}
	return parts
}

func seriesText(s metrics.Series) string {
	v := "no value"
	if len(s.Points) > 0 {
		v = quantity.Format(float64(s.Points[len(s.Points)-1].V), quantity.None)
	}
	if len(s.Labels) == 0 {
		return v
	}
	return labelsOf(s) + " " + v
}

func labelsOf(s metrics.Series) string {
	var labels []string
	for _, k := range sortedKeys(s.Labels) {
		labels = append(labels, fmt.Sprintf("%s=%q", k, clip(s.Labels[k], maxText)))
	}
	return "{" + strings.Join(labels, ",") + "}"
}

// shownFault is what stands behind a fault.
type shownFault struct {
	Line     string // what was done to what
	Place    string
	Readings []reading
}

// reading is a number that the injector read back, after the injection, before the revert and after it; "" where it read none.
type reading struct{ Name, Active, Checked, Reverted string }

func faultOf(x Experiment, f verdict.Fault) shownFault {
	s := shownFault{Line: f.Kind}
	for _, step := range x.Plan.Steps {
		if step.ID == f.ID && step.Fault != nil {
			s.Line = faultText(*step.Fault)
			s.Place = fmt.Sprintf("%s:%d", x.Plan.File, step.Line)
		}
	}
	e := x.Faults[f.ID]
	names := map[string]bool{}
	for _, effect := range []*fault.Effect{e.Active, e.Checked, e.Reverted} {
		if effect != nil {
			for name := range effect.Readings {
				names[name] = true
			}
		}
	}
	for _, name := range sortedKeys(names) {
		s.Readings = append(s.Readings, reading{strings.ReplaceAll(name, "_", " "), readingOf(e.Active, name), readingOf(e.Checked, name), readingOf(e.Reverted, name)})
	}
	return s
}

func readingOf(e *fault.Effect, name string) string {
	if e == nil {
		return ""
	}
	v, ok := e.Readings[name]
	if !ok {
		return ""
	}
	return quantity.Format(v, quantity.None)
}

// faultText is a fault as planned: "network.latency with delay 300ms, for 8s".
func faultText(f plan.Fault) string {
	text := f.Kind
	var with []string
	for _, name := range sortedKeys(f.Params) {
		if f.Params[name] != "" {
			with = append(with, name+" "+f.Params[name])
		}
	}
	if len(with) > 0 {
		text += " with " + strings.Join(with, ", ")
	}
	switch {
	case f.To != "" && f.Port != "":
		text += ", on the link to " + f.To + ":" + f.Port
	case f.To != "":
		text += ", on the link to " + f.To
	case f.Port != "":
		text += ", on all links to the port " + f.Port
	}
	if f.Duration > 0 {
		text += ", for " + short(time.Duration(f.Duration))
	}
	if len(f.Candidates) > 0 {
		text += fmt.Sprintf(", picked by the seed from %s", strings.Join(f.Candidates, ", "))
	}
	return text
}
