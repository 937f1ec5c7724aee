package verdict

import (
	"slices"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

// An abort condition that sees nothing for longer than a breach takes does not guard.
func TestABlindAbortConditionIsNotKept(t *testing.T) {
	const interval = 250 * time.Millisecond
	for _, c := range []struct {
		lasting time.Duration
		pattern string
		state   State
		says    string
	}{
		{2 * interval, "+++++", Pass, "never breached"},
		{2 * interval, "?++??+", Pass, "never breached"},
		{2 * interval, "+???+", Inconclusive, "no data for 750ms, longer than 500ms"},
		{2 * interval, "+!?!+", Inconclusive, "could not look: no answer"},
		{2 * interval, "+????", Inconclusive, "guarded nothing meanwhile"},
		{2 * interval, "+-????", Inconclusive, "guarded nothing meanwhile"},
		{2 * interval, "+-??-?", Fail, "breached for 500ms"},
		{4 * interval, "+????+", Pass, "never breached"},
		{0, "+??+", Pass, "never breached"},
		{0, "+???+", Inconclusive, "longer than 500ms"},
		{0, "?????", Inconclusive, "never had data"},
		{0, "", Inconclusive, "never had data"},
	} {
		check := promql("", "", atMost(5))
		check.For, check.Every = plan.Duration(c.lasting), plan.Duration(interval)
		j := judgeCondition(check, interval, looks(c.pattern))
		if j.State != c.state || !strings.Contains(j.Reason, c.says) {
			t.Errorf("%q for %v: %v: %s; want %v: %s", c.pattern, c.lasting, j.State, j.Reason, c.state, c.says)
		}
	}
}

func TestAnAbortConditionThatWentBlindClosesTheGate(t *testing.T) {
	all := goodRun(t, nil)
	i := slices.IndexFunc(all, func(e journal.Event) bool { return e.Type == journal.Looked && e.Step == "outage" })
	later := &story{t: t}
	for _, offset := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
		later.note(journal.Looked, "e", "outage", journal.Observation{Phase: journal.Method, Offset: plan.Duration(offset)})
	}
	events := slices.Insert(slices.Clone(all), i+1, later.events...)
	for n := range events {
		events[n].Seq = int64(n + 1)
	}
	v := decide(t, events)
	if v.Gate != Closed || v.ExitCode() != ExitInconclusive || !slices.ContainsFunc(v.Reasons, func(r Reason) bool { return r.Step == "outage" && r.Rule == RuleNoData }) {
		t.Errorf("gate %s, exit %d: %+v", v.Gate, v.ExitCode(), v.Reasons)
	}
}
