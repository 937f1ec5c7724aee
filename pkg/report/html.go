package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
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
		"timeline": timeline, "charts": chartsOf, "map": mapOf, "rows": spreadRows, "evidence": evidenceOf, "recoveryEvidence": recoveryEvidence, "fault": faultOf, "again": again,
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

// someEvents are the first rows of a list, and how many are left.
type someEvents struct {
	Rows []InstanceEvent
	More int
}

func firstOf(all []InstanceEvent) someEvents {
	n := min(len(all), maxRows)
	return someEvents{all[:n], len(all) - n}
}

// again is the command that runs an experiment again as it was run here, for a shell.
func again(m Model, x Experiment) string {
	words := []string{"chaos", "run", x.Plan.File, "--env", m.Run.Environment, "--seed", strconv.FormatUint(m.Run.Seed, 10)}
	if m.Run.Weakened != "" {
		words = append(words, "--weakened", m.Run.Weakened)
	}
	for i, w := range words {
		words[i] = diag.ShellWord(w)
	}
	return strings.Join(words, " ")
}

// logsOf answers the services that have a log, in the order in which something happened to them.
func logsOf(x Experiment) []string {
	var all []string
	for _, i := range x.Instances {
		if !slices.Contains(all, i.Service) {
			all = append(all, i.Service)
		}
	}
	return all
}
