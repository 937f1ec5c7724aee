package report

import (
	"fmt"
	"io"
	"strings"

	"chaosgate/pkg/verdict"
)

// maxAnnotations is how many GitHub shows of a step; it hides the rest without a word.
const maxAnnotations = 10

// WriteGitHub writes workflow commands that annotate the experiment files of a pull request: the most severe first, and the last counts what is left.
func WriteGitHub(w io.Writer, m Model) error {
	reasons := m.Verdict.Reasons
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

// place is where the step that a reason is about stands in its file.
func (m Model) place(r verdict.Reason) (file string, line int) {
	for _, x := range m.Experiments {
		if x.Verdict.Name != r.Experiment {
			continue
		}
		for _, s := range x.Plan.Steps {
			if s.ID == r.Step {
				return x.Plan.File, s.Line
			}
		}
		for _, c := range x.Plan.Steady {
			if c.ID == r.Step {
				return x.Plan.File, c.Line
			}
		}
		return x.Plan.File, 1
	}
	return "chaos.yaml", 1
}

func message(text string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(text)
}

func property(text string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(message(text))
}
