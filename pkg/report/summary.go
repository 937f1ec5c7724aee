package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"chaosgate/pkg/quantity"
	"chaosgate/pkg/verdict"
)

// maxSummary is the size above which GitHub drops a step summary whole.
const maxSummary = 1000 << 10

// WriteSummary writes Markdown: the gate and why, a table, and the DAG of each experiment that did not pass.
func WriteSummary(w io.Writer, m Model) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## Deployment gate %s %s\n\n", mark(m.Verdict.Gate == verdict.Open), m.Verdict.Gate)
	fmt.Fprintf(&b, "%s\n\n", escape(headline(m)))
	if len(m.Experiments) > 0 {
		b.WriteString("| experiment | state | recovery | took | why |\n|---|---|---|---|---|\n")
		for _, x := range m.Experiments {
			fmt.Fprintf(&b, "| %s | %s %s | %s | %s | %s |\n", escape(x.Verdict.Name), mark(x.Verdict.State == verdict.Pass), x.Verdict.State,
				recoveryText(x), short(time.Duration(x.Verdict.Wall)), escape(firstReason(x)))
		}
		b.WriteByte('\n')
	}
	for _, r := range runReasons(m) {
		fmt.Fprintf(&b, "- **%s** %s\n", r.State, escape(r.Text))
	}
	for _, x := range m.Experiments {
		if x.Verdict.State != verdict.Pass {
			writeDetail(&b, x)
		}
	}
	fmt.Fprintf(&b, "\nrun %s, seed %d, environment %s, commit %s\n", escape(m.Run.RunID), m.Run.Seed, escape(m.Run.Environment), escape(shortCommit(m.Run.Commit)))
	text := b.String()
	if len(text) > maxSummary {
		text = strings.ToValidUTF8(text[:maxSummary], "") + "\n\n... cut here; the whole is in report.html\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

func writeDetail(b *strings.Builder, x Experiment) {
	fmt.Fprintf(b, "\n### %s\n\n", escape(x.Verdict.Name))
	if x.Plan.Title != "" {
		fmt.Fprintf(b, "%s\n\n", escape(x.Plan.Title))
	}
	for _, r := range x.Verdict.Reasons {
		step := ""
		if r.Step != "" {
			step = " " + escape(r.Step) + ":"
		}
		fmt.Fprintf(b, "- **%s**%s %s\n", r.State, step, escape(r.Text))
	}
	fmt.Fprintf(b, "\n```mermaid\n%s```\n", x.Plan.Mermaid())
}

func mark(ok bool) string {
	if ok {
		return "✅"
	}
	return "❌"
}

// headline is the verdict in a sentence.
func headline(m Model) string {
	if m.Verdict.Gate == verdict.Open {
		return fmt.Sprintf("All %s passed: every required check held, every fault had a proven effect, every revert was verified.", counted(len(m.Experiments), "experiment"))
	}
	failed := 0
	for _, x := range m.Experiments {
		if x.Verdict.State != verdict.Pass {
			failed++
		}
	}
	if len(m.Verdict.Reasons) == 0 {
		return "The gate is closed."
	}
	r := m.Verdict.Reasons[0]
	where := strings.TrimSpace(r.Experiment + " " + r.Step)
	if where != "" {
		where += ": "
	}
	return fmt.Sprintf("%d of %s did not pass. First: %s%s", failed, counted(len(m.Experiments), "experiment"), where, r.Text)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func firstReason(x Experiment) string {
	if len(x.Verdict.Reasons) == 0 {
		return ""
	}
	r := x.Verdict.Reasons[0]
	if r.Step != "" {
		return r.Step + ": " + r.Text
	}
	return r.Text
}

func recoveryText(x Experiment) string {
	r := x.Verdict.Recovery
	switch {
	case r == nil:
		return "–"
	case r.State != verdict.Pass:
		return "not within " + short(time.Duration(r.Within))
	default:
		return short(time.Duration(r.Took))
	}
}

func short(d time.Duration) string { return quantity.Format(d.Seconds(), quantity.Time) }

func shortCommit(commit string) string {
	if commit == "" {
		return "unknown"
	}
	return commit[:min(12, len(commit))]
}

// escape makes text plain in Markdown, also in a table.
func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "|", "\\|", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]", "\n", " ", "\r", " ").Replace(text)
}
