package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

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
		Name    string     `xml:"name,attr"`
		Class   string     `xml:"classname,attr"`
		Failure *junitText `xml:"failure"`
		Error   *junitText `xml:"error"`
		Skipped *junitText `xml:"skipped"`
	}
	junitText struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
	}
)

// WriteJUnit writes the run as test results: a suite for each experiment. INCONCLUSIVE is an error and never skipped, since CI shows skipped in green.
func WriteJUnit(w io.Writer, m Model) error {
	all := junitSuites{Name: "chaosgate " + m.Run.RunID, Time: fmt.Sprintf("%.3f", m.Took.Seconds())}
	for _, x := range m.Experiments {
		all.add(newSuite(x))
	}
	if len(m.Experiments) == 0 || runReasons(m) != nil {
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
		s.Cases = append(s.Cases, newCase("run", r.Rule, r.State, r.Rule, r.Text))
	}
	return s
}

func newSuite(x Experiment) junitSuite {
	s := junitSuite{Name: clean(x.Verdict.Name), File: clean(x.Plan.File), Time: fmt.Sprintf("%.3f", time.Duration(x.Verdict.Wall).Seconds())}
	told := map[string]bool{}
	for _, c := range x.Verdict.Checks {
		told[c.ID] = true
		one := newCase(s.Name, c.Role+" "+c.ID, c.State, c.Rule, c.Reason)
		if !c.Required && c.State != verdict.Pass {
			one = junitCase{Name: one.Name, Class: one.Class, Skipped: &junitText{Message: clean("shown only: " + c.Reason)}}
		}
		s.Cases = append(s.Cases, one)
	}
	for _, f := range x.Verdict.Faults {
		told[f.ID] = true
		s.Cases = append(s.Cases, newCase(s.Name, "fault "+f.ID, f.State, f.Kind, f.Effect+"; "+f.Revert))
	}
	if r := x.Verdict.Recovery; r != nil {
		s.Cases = append(s.Cases, newCase(s.Name, "recovery", r.State, "recovery", r.Reason))
	}
	for _, r := range x.Verdict.Reasons {
		if !told[r.Step] && r.Rule != "recovery" {
			s.Cases = append(s.Cases, newCase(s.Name, strings.TrimSpace(r.Rule+" "+r.Step), r.State, r.Rule, r.Text))
		}
	}
	return s
}

func newCase(class, name string, state verdict.State, rule, text string) junitCase {
	c := junitCase{Name: clean(name), Class: clean(class)}
	said := &junitText{Message: clean(text), Type: state.String() + " " + clean(rule)}
	switch state {
	case verdict.Pass:
	case verdict.Fail:
		c.Failure = said
	default:
		c.Error = said
	}
	return c
}

// clean drops what XML cannot hold.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0xfffe || r == 0xffff {
			return '\ufffd'
		}
		return r
	}, text)
}
