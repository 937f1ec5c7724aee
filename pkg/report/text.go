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
		width = max(width, diag.Width(diag.Printable(x.Verdict.Name)))
	}
	for _, x := range m.Experiments {
		name := diag.Printable(x.Verdict.Name)
		fmt.Fprintf(&b, "%-12s %s%s  took %s of %s planned, %s\n", x.State, name, strings.Repeat(" ", width-diag.Width(name)),
			short(x.Wall.Round(10*time.Millisecond)), short(time.Duration(x.Plan.Expected)), recoveredText(x))
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
	switch r := x.Verdict.Recovery; {
	case r == nil:
		return "no recovery"
	case r.State == verdict.Pass || r.State == verdict.Fail:
		return "recovered " + text
	default:
		return "recovery " + text
	}
}
