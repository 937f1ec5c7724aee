package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/verdict"
)

// WriteText writes what a terminal shows at the end: one line an experiment, what closed the gate, and the gate.
func WriteText(w io.Writer, m Model) error {
	var b strings.Builder
	width := 0
	for _, x := range m.Experiments {
		width = max(width, len(x.Verdict.Name))
	}
	for _, x := range m.Experiments {
		fmt.Fprintf(&b, "%-12s %-*s  took %s of %s planned, recovered %s\n", x.Verdict.State, width, diag.Printable(x.Verdict.Name),
			short(time.Duration(x.Verdict.Wall).Round(10*time.Millisecond)), short(time.Duration(x.Plan.Expected)), recoveredText(x))
	}
	for _, r := range m.Verdict.Reasons {
		where := strings.TrimSpace(r.Experiment + " " + r.Step)
		if where != "" {
			where += ": "
		}
		fmt.Fprintf(&b, "  %s %s%s\n", r.State, diag.Printable(where), diag.Printable(r.Text))
	}
	fmt.Fprintf(&b, "deployment gate %s\n", m.Verdict.Gate)
	_, err := io.WriteString(w, b.String())
	return err
}

func recoveredText(x Experiment) string {
	text := recoveryText(x)
	if r := x.Verdict.Recovery; r != nil && r.State == verdict.Pass {
		return "after " + text
	}
	return text
}
