package report

import (
	"fmt"
	"strings"
	"testing"

	"chaosgate/pkg/verdict"
)

func TestTheSummarySaysWhyFirst(t *testing.T) {
	text := written(t, "summary", recordedModel(t, "failed"))
	wantAll(t, text, "## Deployment gate ❌ CLOSED\n\nThe experiment did not pass: network-latency, p99-holds: the 0.99-quantile is ",
		"| network-latency | ❌ FAIL | ", "### network-latency\n", "```mermaid\nflowchart LR\n", "slow-link<br/>network.latency", "during")
	text = written(t, "summary", recordedModel(t, "passed"))
	wantAll(t, text, "## Deployment gate ✅ OPEN\n\nThe experiment passed: ", "| service-kill | ✅ PASS | ", "<details><summary>service-kill</summary>", "```mermaid\n")
	text = written(t, "summary", recordedModel(t, "interrupted"))
	wantAll(t, text, "❌ CLOSED", "interrupted by SIGINT")
	text = written(t, "summary", recordedModel(t, "killed"))
	wantAll(t, text, "the run did not end", "| not shown |") // a recovery that was not seen to its end has failed nothing
}

// GitHub drops a summary of more than a megabyte whole: what does not fit is left out in whole parts, and it says so.
func TestTheSummaryStaysBelowAMegabyte(t *testing.T) {
	m := recordedModel(t, "failed")
	x := m.Experiments[0]
	for i := range 8000 {
		x.Verdict.Name = fmt.Sprintf("experiment-%d", i)
		m.Experiments = append(m.Experiments, x)
	}
	text := written(t, "summary", m)
	if len(text) > 1<<20 {
		t.Errorf("%d bytes", len(text))
	}
	wantAll(t, text, "## Deployment gate ❌ CLOSED", "parts are left out here; everything is in report.html", "seed 7")
	if n := strings.Count(text, "```"); n%2 != 0 {
		t.Errorf("%d fences: a diagram was cut", n)
	}
}

func TestTheHeadline(t *testing.T) {
	two := Model{Experiments: []Experiment{{State: verdict.Fail}, {}}}
	two.Verdict = verdict.Verdict{Gate: verdict.Closed, Reasons: []verdict.Reason{{Experiment: "a", Step: "s", State: verdict.Fail, Text: "it is 2, expected 1"}}}
	run := Model{Verdict: verdict.Verdict{Gate: verdict.Closed, Reasons: []verdict.Reason{{State: verdict.Error, Text: "no experiment was run"}}}}
	open := Model{Experiments: make([]Experiment, 2), Verdict: verdict.Verdict{Gate: verdict.Open, Experiments: []verdict.Experiment{{Faults: make([]verdict.Fault, 1)}}}}
	bare := Model{Experiments: make([]Experiment, 1), Verdict: verdict.Verdict{Gate: verdict.Open}}
	for want, m := range map[string]Model{
		"1 of 2 experiments did not pass. The worst: a, s: it is 2, expected 1.": two,
		"No experiment was run.": run,
		"All 2 experiments passed: every required check held, every fault had a proven effect, every revert was verified.": open,
		"The experiment passed: every required check held, but no fault was injected, so nothing is shown about failure.":  bare,
		"The gate is closed.": {},
	} {
		if got := headline(m); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestEscapedMarkdownIsOneLineOfPlainText(t *testing.T) {
	if got, want := escape("a\\|b`c*_[d](e)<f>&\r\n~~g~~ $h$ #1"), "a&#92;&#124;b&#96;c&#42;&#95;&#91;d&#93;(e)&lt;f&gt;&amp; &#126;&#126;g&#126;&#126; &#36;h&#36; &#35;1"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
