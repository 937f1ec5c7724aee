package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/verdict"
)

// maxSummary is the size above which GitHub drops a step summary whole.
const maxSummary = 1000 << 10

// maxCell is how much of a reason a line of the summary shows.
const maxCell = 600

// WriteSummary writes Markdown: the gate and why, a table, and each experiment's reasons and DAG, those that did not pass first. What would make it too long is
// left out whole, and it says so.
func WriteSummary(w io.Writer, m Model) error {
	b := &summary{left: maxSummary}
	b.add(fmt.Sprintf("## Deployment gate %s %s\n\n%s\n\n", mark(m.Verdict.Gate == verdict.Open), m.Verdict.Gate, escape(headline(m))))
	foot := fmt.Sprintf("\nrun %s, seed %d, environment %s, commit %s\n", escape(m.Run.RunID), m.Run.Seed, escape(m.Run.Environment), escape(shortCommit(m.Run.Commit)))
	b.left -= len(foot) + maxCell
	if len(m.Experiments) > 0 {
		b.add("| experiment | state | recovery | took | why |\n|---|---|---|---|---|\n")
		for _, x := range m.Experiments {
			b.add(row(x))
		}
	}
	for _, r := range runReasons(m) {
		b.add(fmt.Sprintf("\n- **%s** %s\n", r.State, escape(r.Text)))
	}
	for _, x := range worstFirst(m.Experiments) {
		b.add(detail(x))
	}
	if b.dropped > 0 {
		b.WriteString(fmt.Sprintf("\n%s are left out here; everything is in report.html\n", counted(b.dropped, "part")))
	}
	b.WriteString(foot)
	_, err := io.WriteString(w, b.String())
	return err
}

// summary is text of a bounded length.
type summary struct {
	strings.Builder
	left    int
	dropped int
}

// add takes a part whole or not at all.
func (s *summary) add(part string) {
	if len(part) > s.left {
		s.dropped++
		return
	}
	s.left -= len(part)
	s.WriteString(part)
}

func worstFirst(all []Experiment) []Experiment {
	return slices.SortedStableFunc(slices.Values(all), func(a, b Experiment) int { return cmp.Compare(b.State, a.State) })
}

func row(x Experiment) string {
	return fmt.Sprintf("| %s | %s %s | %s | %s | %s |\n", escape(x.Verdict.Name), mark(x.State == verdict.Pass), x.State, recoveryText(x), short(x.Wall), escape(why(x)))
}

// detail is an experiment's reasons and its DAG; of one that passed it is folded.
func detail(x Experiment) string {
	var b strings.Builder
	if x.State == verdict.Pass {
		fmt.Fprintf(&b, "\n<details><summary>%s</summary>\n", escape(x.Verdict.Name))
	} else {
		fmt.Fprintf(&b, "\n### %s\n", escape(x.Verdict.Name))
	}
	if x.Plan.Title != "" {
		fmt.Fprintf(&b, "\n%s\n", escape(x.Plan.Title))
	}
	for i, r := range x.Reasons {
		if i == 0 {
			b.WriteByte('\n')
		}
		step := ""
		if r.Step != "" {
			step = " " + escape(r.Step) + ":"
		}
		fmt.Fprintf(&b, "- **%s**%s %s\n", r.State, step, escape(r.Text))
	}
	for i, spread := range x.Spreads {
		if i == 0 {
			b.WriteString("\nHow far it travelled:\n\n")
		}
		fmt.Fprintf(&b, "- %s: %s\n", escape(spread.Fault), escape(spread.Summary))
	}
	b.WriteString(diagram(x.Plan))
	if x.State == verdict.Pass {
		b.WriteString("\n</details>\n")
	}
	return b.String()
}

// maxDiagram is the length above which mermaid refuses to draw.
const maxDiagram = 50_000

func diagram(p plan.Plan) string {
	text := clean(p.Mermaid())
	if len(p.Steps) == 0 || len(text) > maxDiagram {
		return ""
	}
	return "\n```mermaid\n" + text + "```\n"
}

func mark(ok bool) string {
	if ok {
		return "✅"
	}
	return "❌"
}

// headline is the verdict in a sentence.
func headline(m Model) string {
	switch {
	case m.Verdict.Gate == verdict.Open && m.Verdict.Injected() == 0:
		return fmt.Sprintf("%s passed: every required check held, but no fault was injected, so nothing is shown about failure.", allOf(len(m.Experiments)))
	case m.Verdict.Gate == verdict.Open:
		return fmt.Sprintf("%s passed: every required check held, every fault had a proven effect, every revert was verified.", allOf(len(m.Experiments)))
	}
	if len(m.Verdict.Reasons) == 0 {
		return "The gate is closed."
	}
	r := m.Verdict.Reasons[0]
	reason := clip(r.Text, maxCell)
	if r.Experiment == "" {
		return sentence(reason) + "."
	}
	failed := 0
	for _, x := range m.Experiments {
		if x.State != verdict.Pass {
			failed++
		}
	}
	where := strings.TrimSuffix(r.Experiment+", "+r.Step, ", ")
	if len(m.Experiments) == 1 {
		return fmt.Sprintf("The experiment did not pass: %s: %s.", where, reason)
	}
	return fmt.Sprintf("%d of %s did not pass. The worst: %s: %s.", failed, counted(len(m.Experiments), "experiment"), where, reason)
}

func allOf(n int) string {
	if n == 1 {
		return "The experiment"
	}
	return "All " + counted(n, "experiment")
}

// sentence begins a text with a capital.
func sentence(text string) string {
	r, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(r)) + text[n:]
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// why is the worst thing about an experiment, and of one that passed what the first of its steps' checks measured.
func why(x Experiment) string {
	if len(x.Reasons) > 0 {
		r := x.Reasons[0]
		return strings.TrimPrefix(r.Step+": "+r.Text, ": ")
	}
	for _, c := range x.Verdict.Checks {
		if c.Role == "step" && c.Required && c.Value != nil {
			return c.ID + ": " + c.Value.Text
		}
	}
	return ""
}

// recoveryText is the measured recovery in a word; a recovery that was not seen to its end has no time.
func recoveryText(x Experiment) string {
	r := x.Verdict.Recovery
	switch {
	case r == nil:
		return "–"
	case r.State == verdict.Pass && time.Duration(r.Took) < time.Millisecond: // what is measured every quarter of a second has no microseconds
		return "at once"
	case r.State == verdict.Pass:
		return "after " + short(time.Duration(r.Took).Round(time.Millisecond))
	case r.State == verdict.Fail:
		return "not within " + short(time.Duration(r.Within))
	default:
		return "not shown"
	}
}

func short(d time.Duration) string { return quantity.Format(d.Seconds(), quantity.Time) }

func shortCommit(commit string) string {
	if commit == "" {
		return "unknown"
	}
	return commit[:min(12, len(commit))]
}

// escape makes text plain in Markdown, also in a cell of a table: one line, and nothing in it is markup. Entities are used where a backslash could itself be escaped.
func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "|", "&#124;", "\\", "&#92;", "`", "&#96;", "*", "&#42;", "_", "&#95;", "[", "&#91;", "]", "&#93;",
		"~", "&#126;", "$", "&#36;", "#", "&#35;").Replace(diag.Printable(clip(text, maxCell)))
}
