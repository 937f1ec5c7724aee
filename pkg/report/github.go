package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/verdict"
)

// maxAnnotations is how many GitHub shows of a step; it hides the rest without a word.
const maxAnnotations = 10

// WriteGitHub writes workflow commands that annotate the experiment files of a pull request: the most severe first, and the last counts what is left.
func WriteGitHub(w io.Writer, m Model) error {
	reasons := slices.SortedStableFunc(slices.Values(m.Verdict.Reasons), func(a, b verdict.Reason) int { return cmp.Compare(b.State, a.State) })
	rest := 0
	if len(reasons) > maxAnnotations {
		rest = len(reasons) - maxAnnotations + 1
		reasons = reasons[:maxAnnotations-1]
	}
	for _, r := range reasons {
		file, line := m.place(r)
		title := strings.TrimSpace(fmt.Sprintf("%s %s %s", r.State, r.Experiment, r.Step))
		if _, err := fmt.Fprintf(w, "::error file=%s,line=%d,title=%s::%s\n", property(file), line, property(title), message(r.Text)); err != nil {
			return err
		}
	}
	if rest > 0 {
		_, err := fmt.Fprintf(w, "::error title=%s::%s\n", property("Deployment gate CLOSED"), message(fmt.Sprintf("%d more reasons are in the report", rest)))
		return err
	}
	return nil
}

// place is where the step that a reason is about stands in its file. What concerns the run stands in the configuration.
func (m Model) place(r verdict.Reason) (file string, line int) {
	for _, x := range m.Experiments {
		if x.Verdict.Name == r.Experiment && x.Plan.File != "" {
			return x.Plan.File, max(1, x.line(r.Step))
		}
	}
	return "chaos.yaml", 1
}

// line is that of a step or a check in the experiment's file, 0 if it has none.
func (x Experiment) line(id string) int {
	for _, s := range x.Plan.Steps {
		if s.ID == id {
			return s.Line
		}
	}
	for _, c := range slices.Concat(x.Plan.Steady, x.Plan.Abort) {
		if c.ID == id {
			return c.Line
		}
	}
	return 0
}

// maxMessage bounds an annotation; the whole text is in the report.
const maxMessage = 4000

func message(text string) string {
	return strings.NewReplacer("%", "%25", "\n", "%0A").Replace(clean(clip(text, maxMessage)))
}

func property(text string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(message(diag.Printable(text)))
}
