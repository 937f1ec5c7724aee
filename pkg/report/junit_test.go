package report

import (
	"encoding/xml"
	"io"
	"strconv"
	"strings"
	"testing"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/verdict"
)

// parseJUnit reads a report as a CI system does, and checks that its counts are those of its cases.
func parseJUnit(t *testing.T, text string) junitSuites {
	t.Helper()
	var all junitSuites
	d := xml.NewDecoder(strings.NewReader(strings.TrimSuffix(text, "\n")))
	if err := d.Decode(&all); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("something stands behind the end: %v", err)
	}
	tests, failures, errs := 0, 0, 0
	for _, s := range all.Suites {
		if s.Tests != len(s.Cases) {
			t.Errorf("suite %q counts %d tests and has %d", s.Name, s.Tests, len(s.Cases))
		}
		if v, err := strconv.ParseFloat(s.Time, 64); err != nil || v < 0 {
			t.Errorf("suite %q took %q", s.Name, s.Time)
		}
		tests += len(s.Cases)
		for _, c := range s.Cases {
			if c.Failure != nil {
				failures++
			}
			if c.Error != nil {
				errs++
			}
			if c.Failure != nil && c.Error != nil || c.Name == "" || c.Class == "" {
				t.Errorf("odd case %+v", c)
			}
		}
	}
	if all.Tests != tests || all.Failures != failures || all.Errors != errs {
		t.Errorf("counts %d %d %d, want %d %d %d", all.Tests, all.Failures, all.Errors, tests, failures, errs)
	}
	return all
}

// CI is red if and only if the gate is closed.
func TestJUnitIsRedIfAndOnlyIfTheGateIsClosed(t *testing.T) {
	for _, name := range recorded {
		m := recordedModel(t, name)
		all := parseJUnit(t, written(t, "junit", m))
		if green := all.Failures+all.Errors == 0; green != (m.Verdict.Gate == verdict.Open) {
			t.Errorf("%s: gate %s, %d failures, %d errors", name, m.Verdict.Gate, all.Failures, all.Errors)
		}
	}
	failed := parseJUnit(t, written(t, "junit", recordedModel(t, "failed")))
	if failed.Failures != 2 || failed.Errors != 0 {
		t.Errorf("%d failures, %d errors, want 2 and 0", failed.Failures, failed.Errors)
	}
}

func TestInconclusiveIsAnErrorAndNeverSkipped(t *testing.T) {
	events := changed(t, read(t, "passed"), journal.Looked, func(e *journal.Event, o *journal.Observation) bool {
		if o.Phase == journal.Method && o.Query != "" {
			o.Series, o.Missing = nil, "no series in the window"
		}
		return true
	})
	m := modelOf(t, events)
	if m.Verdict.State != verdict.Inconclusive {
		t.Fatalf("state %v", m.Verdict.State)
	}
	all := parseJUnit(t, written(t, "junit", m))
	if all.Errors == 0 || all.Failures != 0 || all.Suites[0].Skipped != 0 {
		t.Errorf("%d errors, %d failures, %d skipped", all.Errors, all.Failures, all.Suites[0].Skipped)
	}
}

func TestACheckThatIsShownOnlyNeitherFailsNorHides(t *testing.T) {
	events := changed(t, read(t, "failed"), journal.Planned, func(_ *journal.Event, p *plan.Plan) bool {
		for _, s := range p.Steps {
			if s.Check != nil {
				s.Check.Required = false
			}
		}
		return true
	})
	text := written(t, "junit", modelOf(t, events))
	if all := parseJUnit(t, text); all.Failures+all.Errors+all.Suites[0].Skipped != 0 {
		t.Errorf("%d failures, %d errors, %d skipped", all.Failures, all.Errors, all.Suites[0].Skipped)
	}
	wantAll(t, text, "step p99-holds (shown only)", "<system-out>FAIL: the 0.99-quantile is")
}
