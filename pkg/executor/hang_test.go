package executor

import (
	"testing"

	"chaosgate/pkg/plan"
	"chaosgate/pkg/verdict"
)

// A service that answers twice and then hangs until the fault is over has not held, however few looks there were.
func TestALookThatHangsUntilItsPhaseIsOverCounts(t *testing.T) {
	for name, hold := range map[string]plan.Hold{"all": {}, "ratio": {MinRatio: 0.95}, "breach": {MaxBreach: 40 * ms}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.hang, l.answers = "steady-on", 2
			s := probeStep("steady-on", "hit")
			s.Check.Mode, s.Check.Hold = plan.Continuous, hold
			v, _ := l.run(t.Context(), labPlan(faultStep("hit", 2000*ms), s), Inject)
			closedWith(t, v, verdict.ExitError, verdict.RuleHold)
			if looks := v.Experiments[0].Checks[1].Looks; looks != 3 {
				t.Errorf("%d looks, want the two that were answered and the one that was not", looks)
			}
		})
	}
}

func TestALookThatItsPhaseCutShortSoonSaysNothing(t *testing.T) {
	l := newLab(t)
	l.hang = "steady-on"
	s := probeStep("steady-on", "hit")
	s.Check.Mode, s.Check.Every = plan.Continuous, 1000*ms
	s.Check.Window = 500 * ms // so that the only look is the one after a second, also where the check begins late
	v, _ := l.run(t.Context(), labPlan(faultStep("hit", 1500*ms), s), Inject)
	closedWith(t, v, verdict.ExitInconclusive, verdict.RuleNoLook)
}
