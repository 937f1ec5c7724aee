package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/verdict"
)

//go:embed report.html.tmpl
var pageText string

// maxLooks is how many looks of a check the page shows; all of them are in report.json.
const maxLooks = 40

// WriteHTML writes one self-contained page. All text goes through html/template, so that nothing an experiment, a service or a log line says becomes markup.
func WriteHTML(w io.Writer, m Model) error {
	page, err := template.New("report").Funcs(template.FuncMap{
		"headline": headline, "short": short, "recovery": recoveryText, "commit": shortCommit, "reason": firstReason,
		"state": func(s fmt.Stringer) string { return strings.ToLower(s.String()) }, "lower": strings.ToLower,
		"mark":     func(s string) string { return marks[s] },
		"seconds":  func(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) },
		"dur":      func(d plan.Duration) string { return short(time.Duration(d)) },
		"timeline": func(x Experiment) template.HTML { return timeline(x) },
		"charts":   chartsOf, "evidence": evidenceOf, "steps": stepOf, "add": func(a, b int) int { return a + b },
		"values": valuesOf, "clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	}).Parse(pageText)
	if err != nil {
		return fmt.Errorf("the report's template: %w", err)
	}
	return page.Execute(w, m)
}

// marks tell the states apart without colour.
var marks = map[string]string{
	"PASS": "✓", "FAIL": "✗", "INCONCLUSIVE": "?", "ERROR": "!", "DIRTY": "!!", "SKIPPED": "–", "DONE": "•", "CANCELLED": "–", "NOT RUN": "–", "UNFINISHED": "!",
}

// evidence is what stands behind one check.
type evidence struct {
	Query  string
	Window string
	Looks  []Look
	More   int
	Expect []plan.Expect
	File   string
	Line   int
}

func evidenceOf(x Experiment, c verdict.Check) evidence {
	p, _ := x.check(c.ID, c.Role)
	e := evidence{Expect: p.Expect, Looks: x.looksOf(c), File: x.Plan.File, Line: p.Line}
	if n := len(e.Looks); n > 0 {
		last := e.Looks[n-1]
		e.Query = last.Query
		if !last.From.IsZero() {
			e.Window = short(last.Observation.At.Sub(last.From))
		}
	}
	if len(e.Looks) > maxLooks {
		e.More = len(e.Looks) - maxLooks
		e.Looks = e.Looks[:maxLooks]
	}
	return e
}

func stepOf(x Experiment, id string) plan.Step {
	for _, s := range x.Plan.Steps {
		if s.ID == id {
			return s
		}
	}
	return plan.Step{}
}

// valuesOf says in a line what a look saw.
func valuesOf(o journal.Observation) string {
	var parts []string
	switch {
	case o.Error != "":
		return "could not look: " + o.Error
	case o.Missing != "":
		return "no data: " + o.Missing
	}
	for i, s := range o.Series {
		if i == 4 {
			parts = append(parts, fmt.Sprintf("%d more series", len(o.Series)-i))
			break
		}
		parts = append(parts, seriesText(s))
	}
	for _, key := range sortedKeys(o.Numbers) {
		parts = append(parts, fmt.Sprintf("%s %s", strings.ReplaceAll(key, "_", " "), quantity.Format(o.Numbers[key], quantity.None)))
	}
	for _, key := range sortedKeys(o.Events) {
		parts = append(parts, fmt.Sprintf("%s %s", strings.ReplaceAll(key, "_", " "), quantity.Format(o.Events[key], quantity.None)))
	}
	if p := o.Text["problem"]; p != "" {
		parts = append(parts, p)
	}
	return strings.Join(parts, ", ")
}

func seriesText(s metrics.Series) string {
	v := "no value"
	if len(s.Points) > 0 {
		v = quantity.Format(float64(s.Points[len(s.Points)-1].V), quantity.None)
	}
	if len(s.Labels) == 0 {
		return v
	}
	var labels []string
	for _, k := range sortedKeys(s.Labels) {
		labels = append(labels, fmt.Sprintf("%s=%q", k, s.Labels[k]))
	}
	return "{" + strings.Join(labels, ",") + "} " + v
}
