package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/verdict"
)

type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		File     string      `xml:"file,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string       `xml:"name,attr"`
		Class   string       `xml:"classname,attr"`
		Failure *junitText   `xml:"failure"`
		Error   *junitText   `xml:"error"`
		Skipped *junitText   `xml:"skipped"`
		Output  *junitOutput `xml:"system-out"`
	}
	junitText struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
	}
	junitOutput struct {
		Text string `xml:",chardata"`
	}
)

// WriteJUnit writes the run as test results: a suite for each experiment. INCONCLUSIVE is an error and never skipped, since CI shows skipped in green;
// skipped is only what its own condition in the experiment has skipped.
func WriteJUnit(w io.Writer, m Model) error {
	all := junitSuites{Name: clean("chaosgate " + m.Run.RunID), Time: fmt.Sprintf("%.3f", m.Took.Seconds())}
	for _, x := range m.Experiments {
		all.add(newSuite(x))
	}
	if len(runReasons(m)) > 0 {
		all.add(runSuite(m))
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (all *junitSuites) add(s junitSuite) {
	for _, c := range s.Cases {
		s.Tests++
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
	}
	all.Tests += s.Tests
	all.Failures += s.Failures
	all.Errors += s.Errors
	all.Suites = append(all.Suites, s)
}

// runReasons are those that belong to no experiment.
func runReasons(m Model) []verdict.Reason {
	var all []verdict.Reason
	for _, r := range m.Verdict.Reasons {
		if r.Experiment == "" {
			all = append(all, r)
		}
	}
	return all
}

func runSuite(m Model) junitSuite {
	s := junitSuite{Name: "the run", Time: "0"}
	for _, r := range runReasons(m) {
		s.Cases = append(s.Cases, newCase("run", r.Rule, r.State.String(), r.Rule, r.Text))
	}
	return s
}

// newSuite has a case for each check, each fault and the recovery, and one for each reason that is about none of them.
func newSuite(x Experiment) junitSuite {
	s := junitSuite{Name: clean(x.Verdict.Name), File: clean(x.Plan.File), Time: fmt.Sprintf("%.3f", x.Wall.Seconds())}
	told := map[string]bool{}
	for _, c := range x.Verdict.Checks {
		told[c.ID] = true
		s.Cases = append(s.Cases, x.checkCase(c))
	}
	for _, f := range x.Verdict.Faults {
		told[f.ID] = true
		text := fmt.Sprintf("effect: %s; revert: %s", f.Effect, f.Revert)
		s.Cases = append(s.Cases, newCase(x.Verdict.Name, "fault "+f.ID, x.faultState(f), f.Kind, x.because(f.ID, text)))
	}
	if r := x.Verdict.Recovery; r != nil {
		s.Cases = append(s.Cases, newCase(x.Verdict.Name, "recovery", r.State.String(), "recovery", r.Reason))
	}
	for _, r := range x.Reasons {
		if !told[r.Step] && (r.Rule != "recovery" || x.Verdict.Recovery == nil) {
			s.Cases = append(s.Cases, newCase(x.Verdict.Name, strings.TrimSpace(r.Rule+" "+r.Step), r.State.String(), r.Rule, r.Text))
		}
	}
	return s
}

// checkCase never fails a check that is shown only: it says what it saw instead.
func (x Experiment) checkCase(c verdict.Check) junitCase {
	name := c.Role + " " + c.ID
	if !c.Required {
		return junitCase{Name: clean(name + " (shown only)"), Class: clean(x.Verdict.Name), Output: &junitOutput{clean(c.State.String() + ": " + c.Reason)}}
	}
	return newCase(x.Verdict.Name, name, x.checkState(c), c.Rule, x.because(c.ID, c.Reason))
}

// because answers what a step closes the gate with, and the text given if it does not.
func (x Experiment) because(step, otherwise string) string {
	for _, r := range x.Reasons {
		if r.Step == step {
			return r.Text
		}
	}
	return otherwise
}

func newCase(class, name, state, rule, text string) junitCase {
	c := junitCase{Name: clean(name), Class: clean(class)}
	said := &junitText{Message: clean(text), Type: clean(state + " " + rule)}
	switch state {
	case verdict.Pass.String():
	case verdict.Fail.String():
		c.Failure = said
	case skipped:
		c.Skipped = &junitText{Message: clean(text)}
	default:
		c.Error = said
	}
	return c
}

// clean drops what XML cannot hold, and what would turn the order of what is read.
func clean(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = diag.Printable(line)
	}
	return strings.Map(func(r rune) rune {
		if r == 0xfffe || r == 0xffff {
			return '\ufffd'
		}
		return r
	}, strings.Join(lines, "\n"))
}
