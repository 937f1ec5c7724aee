package report

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"chaosgate/pkg/plan"
	"chaosgate/pkg/verdict"
)

var annotation = regexp.MustCompile(`^::error (file=[^:,\r\n]+,line=[1-9][0-9]*,)?title=[^:,\r\n]+::[^\r\n]+$`)

// annotations checks that each line is one command.
func annotations(t *testing.T, m Model) []string {
	t.Helper()
	text := written(t, "github", m)
	if text == "" {
		return nil
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for _, line := range lines {
		if !annotation.MatchString(line) {
			t.Errorf("not an annotation: %q", line)
		}
	}
	return lines
}

func TestAnnotationsStandAtTheStep(t *testing.T) {
	m := recordedModel(t, "failed")
	line := 0
	for _, s := range m.Experiments[0].Plan.Steps {
		if s.ID == "p99-holds" {
			line = s.Line
		}
	}
	want := fmt.Sprintf("::error file=experiments/network-latency.yaml,line=%d,title=FAIL network-latency p99-holds::the 0.99-quantile is ", line)
	if got := annotations(t, m); len(got) != 2 || !strings.HasPrefix(got[0], want) {
		t.Errorf("got %q, want %q...", got, want)
	}
	if got := annotations(t, recordedModel(t, "passed")); len(got) != 0 {
		t.Errorf("an open gate has annotations: %q", got)
	}
	m.Verdict.Reasons = []verdict.Reason{{Experiment: "network-latency", Step: "total-outage", State: verdict.Fail, Text: "aborted"}, {State: verdict.Error, Text: "the run"}}
	abort := m.Experiments[0].Plan.Abort[0].Line
	got := annotations(t, m)
	if abort < 2 || !strings.HasPrefix(got[1], fmt.Sprintf("::error file=experiments/network-latency.yaml,line=%d,", abort)) {
		t.Errorf("the abort condition stands in line %d: %q", abort, got)
	}
	if !strings.HasPrefix(got[0], "::error file=chaos.yaml,line=1,title=ERROR::the run") {
		t.Errorf("the most severe comes first: %q", got)
	}
}

func TestAtMostTenAnnotations(t *testing.T) {
	for _, n := range []int{9, 10, 11, 300} {
		m := Model{}
		for i := range n {
			state := verdict.Inconclusive
			if i == n-1 {
				state = verdict.Dirty
			}
			m.Verdict.Reasons = append(m.Verdict.Reasons, verdict.Reason{State: state, Rule: "r", Text: fmt.Sprintf("reason %d", i)})
		}
		got := annotations(t, m)
		if len(got) != min(n, 10) || !strings.Contains(got[0], "DIRTY") {
			t.Errorf("%d reasons: %d annotations, first %q", n, len(got), got[0])
		}
		if want := fmt.Sprintf("%d more reasons", n-9); n > 10 && !strings.Contains(got[9], want) {
			t.Errorf("%d reasons: the last is %q, want %q", n, got[9], want)
		}
	}
}

func TestAnnotationsEscape(t *testing.T) {
	m := Model{Experiments: []Experiment{{Plan: plan.Plan{File: "a,b:c%\n::error::.yaml"}, Verdict: verdict.Experiment{Name: "e"}}}}
	m.Verdict.Reasons = []verdict.Reason{{Experiment: "e", Step: "s:1,\n2", State: verdict.Fail, Text: "50% of a:b,c\r\n::set-output name=x::y\x00\x1b[31m\u202e"}}
	want := "::error file=a%2Cb%3Ac%25 %3A%3Aerror%3A%3A.yaml,line=1,title=FAIL e s%3A1%2C 2::50%25 of a:b,c%0A::set-output name=x::y��[31m�"
	if got := annotations(t, m); got[0] != want {
		t.Errorf("got %q\nwant %q", got[0], want)
	}
	m.Verdict.Reasons[0].Text = strings.Repeat("%", 1<<20)
	if got := annotations(t, m); len(got[0]) > 4*maxMessage {
		t.Errorf("%d bytes", len(got[0]))
	}
}
