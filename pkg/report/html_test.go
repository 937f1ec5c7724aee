package report

import (
	"fmt"
	"html"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/quantity"
)

func TestThePageHoldsTheEvidence(t *testing.T) {
	m := recordedModel(t, "failed")
	page := html.UnescapeString(written(t, "html", m))
	x := m.Experiments[0]
	for _, c := range x.Verdict.Checks {
		looks := x.looksOf(c)
		wantAll(t, page, c.Reason, "(rule "+c.Rule)
		if len(looks) == 0 {
			t.Errorf("%s has no looks", c.ID)
			continue
		}
		last := looks[len(looks)-1]
		wantAll(t, page, last.Query, fmt.Sprintf("%.2f s", last.At.Seconds()), seenText(last.Observation))
		if !last.From.IsZero() {
			wantAll(t, page, fmt.Sprintf("from %s to %s of the experiment", short(x.offset(last.From)), short(x.offset(last.Observation.At))))
		}
	}
	wantAll(t, page, "network.latency with delay 300ms", "on the link to service-b, for 8s", "effect proven: round trip service-a", "revert verified: ",
		"experiments/network-latency.yaml:38", "expected: value at most $p99 = 1s", "how well the targets were scraped", "slow-link active",
		"chaos run experiments/network-latency.yaml --env local --seed 7 --weakened no-timeout", "weakened: no-timeout", "embedded, every 250ms",
		`<a href="logs/network-latency/service-a.log">`)
	if n := strings.Count(page, "<details open>"); n != 2 {
		t.Errorf("%d details are open, want those of the two failed checks", n)
	}
	for _, needed := range []string{"http://", "https://", "<script", "@import", "<link"} {
		wantNone(t, page, needed) // self-contained
	}
	wantAll(t, page, `content="default-src 'none'`)
}

// The twelve shipped experiments together stay at about 400 kB, which a browser opens at once from an artifact.
func TestThePageIsSmall(t *testing.T) {
	const shipped, most = 12, 440_000 // a failed one takes more than one that passed
	style := strings.Index(pageText, "</style>")
	for _, name := range recorded {
		if n := len(written(t, "html", recordedModel(t, name))) - style; n > (most-style)/shipped {
			t.Errorf("%s takes %d bytes of the page, at most %d", name, n, (most-style)/shipped)
		}
	}
}

func TestLinksToLogsAreThoseOfTheRun(t *testing.T) {
	name := "latency[delay=300ms,to=a/b #1?]"
	events := changed(t, read(t, "failed"), journal.Planned, func(_ *journal.Event, p *plan.Plan) bool {
		p.Name = name
		return true
	})
	for i := range events {
		if events[i].Experiment != "" {
			events[i].Experiment = name
		}
	}
	page := written(t, "html", modelOf(t, events))
	links := regexp.MustCompile(`href="(logs/[^"]*)"`).FindAllStringSubmatch(page, -1)
	if len(links) == 0 {
		t.Fatal("no links")
	}
	for _, l := range links {
		if want := "logs/" + FileName(name) + "/service-"; !strings.HasPrefix(l[1], want) || !strings.HasSuffix(l[1], ".log") {
			t.Errorf("link %s, want %s*.log", l[1], want)
		}
	}
}

// Of many looks the page shows those that did not pass, and some others from the first to the last, in their order.
func TestTheTellingLooksAreShown(t *testing.T) {
	var all []shownLook
	for i := range 500 {
		state := "PASS"
		if i%100 == 99 {
			state = "FAIL"
		}
		all = append(all, shownLook{At: time.Duration(i) * time.Second, State: state})
	}
	shown, more := telling(all)
	failed := 0
	for _, l := range shown {
		if l.State == "FAIL" {
			failed++
		}
	}
	inOrder := slices.IsSortedFunc(shown, func(a, b shownLook) int { return int(a.At - b.At) })
	if shown[0].At != 0 || shown[len(shown)-1].At != all[499].At {
		t.Errorf("from %v to %v", shown[0].At, shown[len(shown)-1].At)
	}
	if len(shown) != maxRows || more != 500-maxRows || failed != 5 || !inOrder {
		t.Errorf("%d shown, %d more, %d failed, in order: %v", len(shown), more, failed, inOrder)
	}
	if shown, more := telling(all[:3]); len(shown) != 3 || more != 0 {
		t.Errorf("of three: %d and %d more", len(shown), more)
	}
}

func TestWhatALookSaw(t *testing.T) {
	point := func(v float64) []metrics.Point { return []metrics.Point{{V: metrics.Float(v)}} }
	many := slices.Repeat([]metrics.Series{{Points: point(1)}}, 6)
	cases := map[string]journal.Observation{
		"could not look: refused":            {Error: "refused"},
		"no data: no series":                 {Missing: "no series"},
		"0.25":                               {Series: []metrics.Series{{Points: point(0.25)}}},
		`{a="1",b="x"} 2`:                    {Series: []metrics.Series{{Labels: map[string]string{"b": "x", "a": "1"}, Points: point(2)}}},
		"no value":                           {Series: []metrics.Series{{}}},
		"1, 1, 1, 1, 2 more series":          {Series: many},
		"2, steady state 1":                  {Series: []metrics.Series{{Points: point(2)}}, Baseline: many[:1]},
		"latency 120ms, status 200, body ok": {Numbers: map[string]float64{"status": 200, "latency_seconds": 0.12}, Text: map[string]string{"body": "ok\n", "stderr": ""}},
		"2 samples (1 2), 13 of the steady state (0 0 0 0 0 0 0 0 0 0 0 0 ...)": {Samples: []float64{1, 2}, BaselineSamples: make([]float64, 13)},
		"1, warning: slow":              {Series: many[:1], Warnings: []string{"slow"}},
		"status 503, service-a is down": {Numbers: map[string]float64{"status": 503}, Text: map[string]string{"problem": "service-a is down"}},
	}
	for want, o := range cases {
		if got := seenText(o); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	long := seenText(journal.Observation{Text: map[string]string{"body": strings.Repeat("b", 1<<16)}})
	if len(long) > 2*maxText {
		t.Errorf("a body of 64 KiB takes %d bytes of the page", len(long))
	}
}

func TestExpectationsAreShownAsWritten(t *testing.T) {
	cases := map[string]plan.Expect{
		"value at most $p99 = 400ms (set by environment cluster)": {On: "value", Op: plan.Max, Limit: 0.4, Unit: quantity.Time, Written: "$p99", Threshold: "p99", Override: "cluster"},
		`body as JSON a.b = "x"`:                                  {On: "body", Op: plan.JSONEquals, Path: "a.b", Text: "x"},
		`stdout containing "ok"`:                                  {On: "stdout", Op: plan.Contains, Text: "ok"},
		"status of the class 2xx":                                 {On: "status", Op: plan.Class, Limit: 2, Written: "2xx"},
		"value between 1 to 2":                                    {On: "value", Op: plan.Between, Limit: 1, High: 2, Written: "1 to 2"},
		"latency at most 5s":                                      {On: "latency_seconds", Op: plan.Max, Limit: 5, Written: "5s"},
		"oom killed equal to false":                               {On: "oom_killed", Op: plan.Equals, Written: "false"},
	}
	for want, e := range cases {
		if got := expectText(e); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for _, op := range []plan.Op{plan.Min, plan.Max, plan.Equals, plan.Between, plan.MaxIncrease, plan.MaxDecrease, plan.Class, plan.Contains, plan.Matches, plan.JSONEquals} {
		if ops[op] == "" {
			t.Errorf("%s has no words", op)
		}
	}
}

// The command is handed to a real shell, which must take it as these words.
func TestTheCommandToRunItAgainIsSafeToCopy(t *testing.T) {
	file := "a b'; echo $(echo hacked) `x` \"q\" #.yaml"
	m, x := Model{Run: journal.RunInfo{Environment: "local", Seed: 18446744073709551615, Weakened: "no-timeout"}}, Experiment{Plan: plan.Plan{File: file}}
	command := again(m, x)
	out, err := exec.Command("sh", "-c", "chaos() { printf '%s\n' \"$@\"; }; "+command).CombinedOutput()
	want := strings.Join([]string{"run", file, "--env", "local", "--seed", "18446744073709551615", "--weakened", "no-timeout", ""}, "\n")
	if err != nil || string(out) != want {
		t.Errorf("%s\ngives %q, %v; want %q", command, out, err, want)
	}
}
