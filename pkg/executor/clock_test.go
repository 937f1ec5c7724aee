package executor

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/probe"
	"chaosgate/pkg/verdict"
)

// setClock is the machine's clock, as if somebody had set it forward or back.
func setClock(set *atomic.Int64) Clock {
	system := SystemClock()
	return func() (time.Time, time.Duration) {
		wall, passed := system()
		return wall.Add(time.Duration(set.Load())), passed
	}
}

// A window across a jump holds other samples than it says, so that a value beyond its limit is no failure, and one within it no success.
func TestAJumpOfTheClockIsInconclusive(t *testing.T) {
	for name, c := range map[string]struct {
		by    time.Duration
		value float64 // of the step's check, behind the jump
	}{
		"forward": {time.Hour, 1}, "back": {-time.Hour, 1}, "and the value is out of bounds": {time.Hour, 9}, "a second": {time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			var set atomic.Int64
			l.clock = setClock(&set)
			l.onInject = func() { set.Store(int64(c.by)) }
			l.value = func(id string, _ probe.Window) float64 { return map[string]float64{"holds": c.value}[id] }
			v, events := l.run(t.Context(), labPlan(faultStep("hit", 20*ms), probeStep("holds", "hit")), Inject)
			closedWith(t, v, verdict.ExitInconclusive, journal.ClockJump)
			closedWith(t, v, verdict.ExitInconclusive, verdict.RuleWarnings)
			l.before("inject hit", "revert hit", "down")
			found := slices.DeleteFunc(slices.Clone(events), func(e journal.Event) bool { return e.Type != journal.FindingNoted })
			if len(found) != 1 || !strings.Contains(string(found[0].Data), "jumped by") {
				t.Errorf("the findings are %v, want one about the jump", found)
			}
		})
	}
}

func TestNothingIsInjectedAfterAJumpOfTheClock(t *testing.T) {
	l := newLab(t)
	var set atomic.Int64
	l.clock = setClock(&set)
	l.value = func(string, probe.Window) float64 { set.Store(int64(-time.Minute)); return 1 }
	v, _ := l.run(t.Context(), labPlan(faultStep("hit", 20*ms), probeStep("holds", "hit")), Inject)
	closedWith(t, v, verdict.ExitInconclusive, "steady-state")
	l.never("inject hit")
}

// Time services bring a clock right by less than a thousandth.
func TestAClockThatIsBroughtRightSlowlyIsNoJump(t *testing.T) {
	system := SystemClock()
	slow := func() (time.Time, time.Duration) {
		wall, passed := system()
		return wall.Add(passed / 1000), passed
	}
	l := newLab(t)
	l.clock = slow
	v, _ := l.run(t.Context(), labPlan(faultStep("hit", 20*ms), probeStep("holds", "hit")), Inject)
	open(t, v)
	c := newClockWatch(slow, 250*time.Millisecond)
	if said, _ := c.look(); said != "" {
		t.Error(said)
	}
}
