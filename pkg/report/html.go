package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/plan"
)

//go:embed report.html.tmpl
var pageText string

// WriteHTML writes one self-contained page. All text goes through html/template, so that nothing an experiment, a service or a log line says becomes markup.
func WriteHTML(w io.Writer, m Model) error {
	page, err := template.New("report").Funcs(template.FuncMap{
		"headline": headline, "short": short, "recovery": recoveryText, "commit": shortCommit, "why": why, "runReasons": runReasons,
		"lower": strings.ToLower, "mark": func(s string) string { return marks[s] }, "pill": newPill, "str": func(s fmt.Stringer) string { return s.String() },
		"seconds":  func(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) },
		"dur":      func(d plan.Duration) string { return short(time.Duration(d)) },
		"timeline": timeline, "charts": chartsOf, "evidence": evidenceOf, "recoveryEvidence": recoveryEvidence, "fault": faultOf, "again": again,
		"logs": logsOf, "log": LogPath, "first": firstOf, "clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"plain": diag.Printable, "lines": clean, "checkState": Experiment.checkState, "faultState": Experiment.faultState, "count": counted,
	}).Parse(pageText)
	if err != nil {
		return fmt.Errorf("the report's template: %w", err)
	}
	return page.Execute(w, m)
}

// marks tell the states apart without colour.
var marks = map[string]string{
	"PASS": "✓", "FAIL": "✗", "INCONCLUSIVE": "?", "ERROR": "!", "DIRTY": "!!", skipped: "–", "DONE": "•", "CANCELLED": "–", "NOT RUN": "–", "UNFINISHED": "!",
}

// pill is a state with its mark.
type pill struct{ State, Class, Mark string }

func newPill(state string) pill { return pill{state, strings.ToLower(state), marks[state]} }

// maxRows is how many rows of a table the page shows; everything is in report.json.
const maxRows = 20

// firstOf answers the first rows of a list and how many are left.
func firstOf(all []InstanceEvent) struct {
	Rows []InstanceEvent
	More int
} {
	n := min(len(all), maxRows)
	return struct {
		Rows []InstanceEvent
		More int
	}{all[:n], len(all) - n}
}

// again is the command that runs an experiment again as it was run here.
func again(m Model, x Experiment) string {
	command := fmt.Sprintf("chaos run %s --env %s --seed %d", x.Plan.File, m.Run.Environment, m.Run.Seed)
	if m.Run.Weakened != "" {
		command += " --weakened " + m.Run.Weakened
	}
	return command
}

// logsOf answers the services that have a log, those that something happened to first.
func logsOf(x Experiment) []string {
	var all []string
	for _, i := range x.Instances {
		if !slices.Contains(all, i.Service) {
			all = append(all, i.Service)
		}
	}
	return all
}
