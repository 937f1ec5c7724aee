package main

import (
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/target"
	"chaosgate/pkg/verdict"
)

func TestClosing(t *testing.T) {
	seconds := func(n float64) target.Duration { return target.Duration(n * float64(time.Second)) }
	good := verdict.Experiment{Name: "kill", State: verdict.Pass, Wall: seconds(12.34), Critical: seconds(12), Recovery: &verdict.Recovery{State: verdict.Pass, Took: seconds(0.5)},
		Faults: []verdict.Fault{{ID: "kill"}}}
	bare := verdict.Experiment{Name: "bare", Wall: seconds(3), Critical: seconds(3), Faults: []verdict.Fault{{ID: "kill", Skipped: true}}}
	bad := verdict.Experiment{Name: "latency", State: verdict.Fail, Wall: seconds(70), Critical: seconds(69)}
	for _, c := range []struct {
		name string
		v    verdict.Verdict
		want string
	}{
		{"open", verdict.Verdict{RunID: "r1", Seed: 7, Gate: verdict.Open, Experiments: []verdict.Experiment{good}}, `
PASS          kill  took 12.3s, expected 12s, recovered in 500ms

GATE OPEN  every check of 1 experiment passed, every fault was proven and every revert verified  (run r1, seed 7)
`},
		{"open without a fault", verdict.Verdict{RunID: "r1", Seed: 7, Gate: verdict.Open, Experiments: []verdict.Experiment{bare}}, `
PASS          bare  took 3s, expected 3s

GATE OPEN  every check of 1 experiment passed, but no fault was injected, so nothing is shown about failure  (run r1, seed 7)
`},
		{"closed", verdict.Verdict{
			RunID: "r1", Seed: 7, State: verdict.Fail, Gate: verdict.Closed, Experiments: []verdict.Experiment{good, bad},
			Reasons: []verdict.Reason{
				{Experiment: "latency", Step: "p99", State: verdict.Fail, Rule: "limit", Text: "1.3s, at most 1s"},
				{State: verdict.Error, Rule: "interrupted", Text: "the run was interrupted by SIGINT"},
			},
		}, `
PASS          kill     took 12.3s, expected 12s, recovered in 500ms
FAIL          latency  took 1m10s, expected 1m9s

GATE CLOSED  FAIL  (run r1, seed 7)
  FAIL latency/p99: 1.3s, at most 1s [limit]
  ERROR the run was interrupted by SIGINT [interrupted]
`},
	} {
		var out strings.Builder
		closing(&out, style{}, c.v)
		if out.String() != c.want {
			t.Errorf("%s: got:\n%s\nwant:\n%s", c.name, out.String(), c.want)
		}
	}
}

func TestRunIDsSortByTime(t *testing.T) {
	now := time.Date(2026, 11, 23, 20, 15, 3, 0, time.FixedZone("CET", 3600))
	id := runID(now)
	if !strings.HasPrefix(id, "20261123-191503-") || len(id) != len("20261123-191503-k3f9") {
		t.Errorf("got %q", id)
	}
	if again := runID(now); again == id {
		t.Errorf("twice the same: %q", id)
	}
}
