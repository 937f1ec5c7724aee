package executor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/probe"
	"chaosgate/pkg/target"
	"chaosgate/pkg/verdict"
)

func TestAFaultsLife(t *testing.T) {
	l := newLab(t)
	v, events := l.run(t.Context(), labPlan(
		faultStep("hit", 20*ms), probeStep("holds", "hit"), plan.Step{ID: "after", When: plan.WhenPass, Needs: []string{"hit"}, Wait: ms}), Inject)
	open(t, v)
	l.before("up", "prepare hit", "inject hit", "look holds", "revert hit", "traffic stopped", "down")
	at := func(typ journal.Type, step string) int {
		return slices.IndexFunc(events, func(e journal.Event) bool { return e.Type == typ && e.Step == step })
	}
	order := []int{
		at(journal.UndoRecorded, "hit"), at(journal.FaultActive, "hit"), at(journal.FaultEnding, "hit"), at(journal.Looked, "holds"),
		at(journal.FaultReverted, "hit"), at(journal.UndoDone, "hit"), at(journal.StepEnded, "hit"), at(journal.StepStarted, "after"),
	}
	if !slices.IsSorted(order) || order[0] < 0 {
		t.Errorf("the events are out of order: %v", order)
	}
}

func TestNothingIsInjectedUnlessTheSteadyStateIsMet(t *testing.T) {
	l := newLab(t)
	l.value = func(id string, _ probe.Window) float64 { return 9 }
	v, _ := l.run(t.Context(), labPlan(faultStep("hit", ms)), Inject)
	closedWith(t, v, verdict.ExitInconclusive, "steady-state")
	l.never("inject hit")
	l.before("prepare hit", "revert hit", "down")
}

// An undo that is pending while nothing was done yet costs nothing but where it has a service start anew: such a fault is armed when its turn comes.
func TestWhatTakesAServiceDownIsArmedLate(t *testing.T) {
	l := newLab(t)
	down := faultStep("down", 20*ms)
	down.Fault.Kind = "lab.stop"
	v, events := l.run(t.Context(), labPlan(down, faultStep("slow", 20*ms)), Inject)
	open(t, v)
	at := func(typ journal.Type, step string) int {
		return slices.IndexFunc(events, func(e journal.Event) bool { return e.Type == typ && e.Step == step })
	}
	order := []int{at(journal.FaultArmed, "slow"), at(journal.StepStarted, "down"), at(journal.UndoRecorded, "down"), at(journal.FaultArmed, "down"), at(journal.FaultActive, "down")}
	if !slices.IsSorted(order) || order[0] < 0 {
		t.Errorf("the events are out of order: %v", order)
	}
}

func TestAServiceThatFallsByItselfHasNoSteadyState(t *testing.T) {
	l := newLab(t)
	l.events <- target.Event{Type: target.Exited, Instance: "a-1", Detail: "exit code 1"}
	p := labPlan(faultStep("hit", ms))
	p.SteadyFor = 500 * ms
	v, _ := l.run(t.Context(), p, Inject)
	closedWith(t, v, verdict.ExitInconclusive, "unexpected-exit")
	l.never("inject hit")
}

// A fall is the service's own as long as nothing was done to the system, also when the steps have begun, and when it is told late. After an injection or an action it may not be.
func TestAServiceThatFallsBeforeItIsTouched(t *testing.T) {
	fall := func(at time.Time) target.Event {
		return target.Event{Type: target.Exited, Instance: "a-1", Detail: "exit code 1", Time: at}
	}
	waiting, late := newLab(t), newLab(t)
	waiting.hang = "first"
	waiting.onHang = func() { waiting.events <- fall(time.Now()) }
	v, _ := waiting.run(t.Context(), labPlan(probeStep("first", ""), faultStep("hit", ms, "first")), Inject)
	closedWith(t, v, verdict.ExitInconclusive, "unexpected-exit")
	waiting.never("inject hit")

	before := time.Now()
	late.onInject = func() { late.events <- fall(before) }
	v, _ = late.run(t.Context(), labPlan(faultStep("hit", plan.Duration(time.Minute))), Inject)
	closedWith(t, v, verdict.ExitInconclusive, "unexpected-exit")
	late.before("inject hit", "revert hit", "down")
}

func TestAServiceThatFallsWhenItWasTouched(t *testing.T) {
	hit, acted := newLab(t), newLab(t)
	fall := func(l *lab) {
		l.events <- target.Event{Type: target.Exited, Instance: "a-1", Detail: "exit code 1", Time: time.Now()}
	}
	hit.onInject = func() { fall(hit) }
	acted.act = func(context.Context) error { fall(acted); return nil }
	for _, l := range []*lab{hit, acted} {
		deed := plan.Step{ID: "deed", When: plan.WhenPass, Action: &plan.Action{}}
		v, events := l.run(t.Context(), labPlan(deed, faultStep("hit", 10*ms, "deed"), probeStep("holds", "hit")), Inject)
		open(t, v)
		if !slices.ContainsFunc(events, func(e journal.Event) bool { return e.Type == journal.FindingNoted }) {
			t.Error("the fall is not told")
		}
	}
}

// What was never sent may be what callers would have fared worst with; what was sent late was still answered, and what was due before the steady state or
// after the end is not judged.
func TestTrafficThatWasNotSent(t *testing.T) {
	steps := []plan.Step{faultStep("hit", ms), probeStep("holds", "hit")}
	l := newLab(t)
	l.onInject = func() { l.missedAt = time.Now() }
	v, _ := l.run(t.Context(), labPlan(steps...), Inject)
	closedWith(t, v, verdict.ExitInconclusive, "traffic")
	late, early, afterwards := newLab(t), newLab(t), newLab(t)
	late.late = "some were sent late"
	early.load = func(context.Context) error { early.missedAt = time.Now(); return nil }
	afterwards.missedAt = time.Now().Add(time.Hour)
	for _, l := range []*lab{late, early, afterwards} {
		v, _ = l.run(t.Context(), labPlan(steps...), Inject)
		open(t, v)
	}
}

// So it is when it falls while something is looked at, or while the traffic is started: what is cut short by that tells nothing, and is no error.
func TestAServiceThatFallsMeanwhile(t *testing.T) {
	fall := target.Event{Type: target.Exited, Instance: "a-1", Detail: "exit code 1"}
	looked, started := newLab(t), newLab(t)
	looked.hang = "calm"
	looked.events <- fall
	started.load = func(ctx context.Context) error {
		started.events <- fall
		<-ctx.Done()
		return fmt.Errorf("wait for the first answer: %w", context.Cause(ctx))
	}
	for _, l := range []*lab{looked, started} {
		p := labPlan(faultStep("hit", ms))
		p.Steady[0].Probe = plan.Probe{Kind: "http"} // which is looked at when the phase begins
		v, _ := l.run(t.Context(), p, Inject)
		closedWith(t, v, verdict.ExitInconclusive, "unexpected-exit")
		l.never("inject hit")
	}
	failed := newLab(t)
	failed.load = func(ctx context.Context) error {
		failed.events <- fall
		<-ctx.Done()
		return errors.New("no port is free")
	}
	v, _ := failed.run(t.Context(), labPlan(faultStep("hit", ms)), Inject)
	closedWith(t, v, verdict.ExitError, "unexpected-exit")
}

// An environment that is lost from sight ends the experiment, also in the middle of a fault, and closes the gate whatever is seen later.
func TestALostEnvironmentEndsTheExperiment(t *testing.T) {
	loss := target.Event{Type: target.Lost, Detail: "it went away"}
	l := newLab(t)
	l.onInject = func() { l.events <- loss }
	v, _ := l.run(t.Context(), labPlan(faultStep("hit", plan.Duration(time.Minute))), Inject)
	closedWith(t, v, verdict.ExitError, "environment-lost")
	l.before("inject hit", "revert hit", "down")

	l = newLab(t)
	l.events <- loss
	p := labPlan(faultStep("hit", ms))
	p.SteadyFor = 500 * ms
	v, _ = l.run(t.Context(), p, Inject)
	closedWith(t, v, verdict.ExitError, "environment-lost")
	l.never("inject hit")
}

func TestTroubleWithAFault(t *testing.T) {
	trouble := errors.New("trouble")
	for name, c := range map[string]struct {
		spoil func(*lab)
		exit  int
		rule  string
	}{
		"cannot be prepared":      {func(l *lab) { l.prepareErr = trouble }, verdict.ExitError, "failed"},
		"cannot be injected":      {func(l *lab) { l.injectErr = trouble }, verdict.ExitError, "failed"},
		"has no effect":           {func(l *lab) { l.unproven = true }, verdict.ExitInconclusive, "no-effect"},
		"loses its effect":        {func(l *lab) { l.fades = true }, verdict.ExitInconclusive, "no-effect"},
		"cannot be reverted":      {func(l *lab) { l.revertErr = trouble }, verdict.ExitDirty, "revert"},
		"leaves a dirty system":   {func(l *lab) { l.downErr = trouble }, verdict.ExitDirty, "environment"},
		"system does not come up": {func(l *lab) { l.upErr = trouble }, verdict.ExitError, "error"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			c.spoil(l)
			v, _ := l.run(t.Context(), labPlan(faultStep("hit", 10*ms), probeStep("holds", "hit"), probeStep("later", "", "hit")), Inject)
			closedWith(t, v, c.exit, c.rule)
			l.before("up", "down")
			if l.upErr == nil && l.times("revert hit") == 0 {
				t.Error("the fault was not reverted")
			}
		})
	}
}

func TestStepsAfterAFailedFaultDoNotStart(t *testing.T) {
	l := newLab(t)
	l.injectErr = errors.New("trouble")
	l.run(t.Context(), labPlan(faultStep("hit", 10*ms), probeStep("holds", "hit"), faultStep("second", ms, "hit")), Inject)
	l.never("look holds")
	l.never("inject second")
}

func TestInjectionIsRetriedAfterARevert(t *testing.T) {
	l := newLab(t)
	l.injectFails = 1
	s := faultStep("hit", 10*ms)
	s.Retry = plan.Retry{Times: 1, Every: ms}
	v, _ := l.run(t.Context(), labPlan(s), Inject)
	open(t, v)
	l.before("inject hit", "revert hit", "prepare hit", "inject hit", "revert hit")
}

func TestADryRunInjectsNothing(t *testing.T) {
	l := newLab(t)
	v, _ := l.run(t.Context(), labPlan(faultStep("hit", ms)), DryRun)
	closedWith(t, v, verdict.ExitInconclusive, "dry-run")
	l.never("prepare hit")
	l.never("inject hit")
}

// A look may take as long as its check says, in the steady state as well.
func TestALookHasTheTimeoutOfItsCheck(t *testing.T) {
	l := newLab(t)
	p := labPlan(faultStep("hit", 10*ms), probeStep("holds", "hit"))
	p.Steady[0].Timeout = 7_000 * ms
	p.Steps[1].Check.Timeout = 9_000 * ms
	v, _ := l.run(t.Context(), p, Inject)
	open(t, v)
	for check, want := range map[string]time.Duration{"calm": 7 * time.Second, "holds": 9 * time.Second} {
		if got := l.patience[check]; got > want || got < want-time.Second {
			t.Errorf("a look of %s had %v, want %v", check, got, want)
		}
	}
}

// A control that could open the gate would show nothing.
func TestControlsCloseTheGate(t *testing.T) {
	l := newLab(t)
	v, _ := l.run(t.Context(), labPlan(faultStep("hit", 20*ms), probeStep("holds", "hit")), WithoutFault)
	closedWith(t, v, verdict.ExitInconclusive, "no-effect")
	l.never("inject hit")
	l.before("prepare hit", "revert hit", "down")

	l = newLab(t)
	l.value = func(_ string, _ probe.Window) float64 {
		if slices.Contains(l.read(), "cut") {
			return math.NaN()
		}
		return 1
	}
	v, _ = l.run(t.Context(), labPlan(faultStep("hit", 20*ms), probeStep("holds", "hit")), ScrapeCut)
	closedWith(t, v, verdict.ExitInconclusive, verdict.RuleNumber)
	l.before("cut", "inject hit", "revert hit")
}

func TestTheRunIsRolledBack(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*plan.Plan, *lab, context.CancelCauseFunc)
		exit int
		rule string
	}{
		"out of time": {func(p *plan.Plan, _ *lab, _ context.CancelCauseFunc) { p.Timeout = 1000 * ms }, verdict.ExitError, "timeout"},
		"interrupted": {func(_ *plan.Plan, l *lab, cancel context.CancelCauseFunc) {
			l.onInject = func() { time.AfterFunc(20*time.Millisecond, func() { cancel(Interrupted{"SIGINT"}) }) }
		}, verdict.ExitInterrupt, "interrupted"},
		"terminated": {func(_ *plan.Plan, l *lab, cancel context.CancelCauseFunc) {
			l.onInject = func() { cancel(Interrupted{"SIGTERM"}) }
		}, verdict.ExitTerminated, "interrupted"},
		"aborted": {func(p *plan.Plan, l *lab, _ context.CancelCauseFunc) {
			p.Abort = []plan.Check{*check("outage")}
			p.Abort[0].For = 20 * ms
			l.value = func(id string, _ probe.Window) float64 { return map[string]float64{"outage": 9}[id] }
		}, verdict.ExitFail, "aborted"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			p := labPlan(faultStep("hit", 60_000*ms), probeStep("holds", "hit"), faultStep("second", ms, "hit"))
			c.end(&p, l, cancel)
			began := time.Now()
			v, _ := l.run(ctx, p, Inject)
			closedWith(t, v, c.exit, c.rule)
			l.before("inject hit", "revert hit", "down")
			l.never("inject second")
			l.never("revert hit with a dead context")
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v to end", took)
			}
		})
	}
}

func TestWhen(t *testing.T) {
	for _, c := range []struct {
		when   plan.When
		failed bool
		runs   bool
	}{
		{plan.WhenPass, false, true}, {plan.WhenPass, true, false},
		{plan.WhenFail, false, false}, {plan.WhenFail, true, true},
		{plan.WhenAlways, false, true}, {plan.WhenAlways, true, true},
	} {
		l := newLab(t)
		l.value = func(id string, _ probe.Window) float64 {
			if c.failed && id == "first" {
				return 9
			}
			return 1
		}
		second := probeStep("second", "", "first")
		second.When = c.when
		v, _ := l.run(t.Context(), labPlan(probeStep("first", ""), second), Inject)
		if got := l.times("look second") > 0; got != c.runs {
			t.Errorf("when: %s after failed=%v: ran %v, want %v", c.when, c.failed, got, c.runs)
		}
		if (v.Gate == verdict.Open) == c.failed {
			t.Errorf("when: %s after failed=%v: gate %s: %+v", c.when, c.failed, v.Gate, v.Reasons)
		}
	}
}

func TestNestedFaultsEndBeforeTheOuterOne(t *testing.T) {
	l := newLab(t)
	inner := faultStep("inner", 10*ms)
	inner.During = "outer"
	v, _ := l.run(t.Context(), labPlan(faultStep("outer", 40*ms), inner), Inject)
	open(t, v)
	l.before("inject outer", "inject inner", "revert inner", "revert outer")
}

func TestAStepThatIsTooLateForItsPhase(t *testing.T) {
	l := newLab(t)
	late := probeStep("late", "hit", "slow")
	late.Check.Mode = plan.Continuous
	v, _ := l.run(t.Context(), labPlan(faultStep("hit", 10*ms), plan.Step{ID: "slow", When: plan.WhenPass, Wait: 80 * ms}, late), Inject)
	closedWith(t, v, verdict.ExitError, "failed")
	l.never("look late")
}

func TestContinuousChecksStopWithTheirPhase(t *testing.T) {
	l := newLab(t)
	s := probeStep("steady-on", "hit")
	s.Check.Mode = plan.Continuous
	v, _ := l.run(t.Context(), labPlan(faultStep("hit", 1000*ms), s), Inject)
	open(t, v)
	if n := l.times("look steady-on"); n < 3 || n > 300 { // a busy machine misses most of them
		t.Errorf("%d looks in a second at one every 5ms", n)
	}
	l.before("look steady-on", "revert hit")
}

func TestEventually(t *testing.T) {
	l := newLab(t)
	var n atomic.Int64
	l.value = func(id string, _ probe.Window) float64 {
		if id == "back" && n.Add(1) < 4 {
			return 9
		}
		return 1
	}
	s := probeStep("back", "", "hit")
	s.Check.Mode, s.Check.Within = plan.Eventually, 5000*ms
	v, _ := l.run(t.Context(), labPlan(faultStep("hit", ms), s), Inject)
	open(t, v)
	if n.Load() != 4 {
		t.Errorf("%d looks, want to stop at the first that holds, the 4th", n.Load())
	}
}

func TestRetriesStayVisibleAndTheLastCounts(t *testing.T) {
	l := newLab(t)
	var n atomic.Int64
	l.value = func(id string, _ probe.Window) float64 {
		if id == "flaky" && n.Add(1) == 1 {
			return 9
		}
		return 1
	}
	s := probeStep("flaky", "")
	s.Retry = plan.Retry{Times: 2, Every: ms}
	v, events := l.run(t.Context(), labPlan(s), Inject)
	open(t, v)
	attempts := 0
	for _, e := range events {
		if e.Type == journal.StepStarted && e.Step == "flaky" {
			attempts++
		}
	}
	if attempts != 2 || v.Experiments[0].Checks[1].Attempts != 2 {
		t.Errorf("%d attempts in the journal, %d in the verdict, want 2", attempts, v.Experiments[0].Checks[1].Attempts)
	}
}

func TestAProbeThatHangsIsAnError(t *testing.T) {
	l := newLab(t)
	l.hang = "stuck"
	s := probeStep("stuck", "")
	s.Timeout = 30 * ms
	v, _ := l.run(t.Context(), labPlan(s), Inject)
	closedWith(t, v, verdict.ExitError, "timed-out")
}

func TestAnActionThatFailsFailsTheRun(t *testing.T) {
	l := newLab(t)
	l.act = func(context.Context) error { return errors.New("status 500") }
	v, _ := l.run(t.Context(), labPlan(plan.Step{ID: "prepare-data", When: plan.WhenPass, Action: &plan.Action{}}), Inject)
	closedWith(t, v, verdict.ExitError, "failed")
}

// An action that waits for what the fault keeps from answering must not keep the fault.
func TestAnActionDoesNotOutliveItsFault(t *testing.T) {
	l := newLab(t)
	l.act = func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
	v, _ := l.run(t.Context(), labPlan(faultStep("hit", 20*ms), plan.Step{ID: "ask", When: plan.WhenPass, During: "hit", Action: &plan.Action{}}), Inject)
	closedWith(t, v, verdict.ExitError, "failed")
	if !slices.ContainsFunc(v.Reasons, func(r verdict.Reason) bool {
		return strings.Contains(r.Text, "not done when the active phase of hit ended")
	}) {
		t.Errorf("the reasons do not say why: %+v", v.Reasons)
	}
	l.before("inject hit", "revert hit")
}

func TestASystemThatDoesNotComeBackFails(t *testing.T) {
	l := newLab(t)
	var injected atomic.Bool
	l.onInject = func() { injected.Store(true) }
	l.value = func(string, probe.Window) float64 {
		if injected.Load() {
			return 9
		}
		return 1
	}
	v, _ := l.run(t.Context(), labPlan(faultStep("hit", ms)), Inject)
	closedWith(t, v, verdict.ExitFail, "recovery")
}

func TestRecoveryTimeCountsFromTheRevert(t *testing.T) {
	l := newLab(t)
	var back atomic.Pointer[time.Time]
	l.value = func(_ string, w probe.Window) float64 {
		if w.Phase != journal.Recovery {
			return 1
		}
		at := time.Now().Add(60 * time.Millisecond)
		back.CompareAndSwap(nil, &at)
		if w.To.Add(-10 * time.Millisecond).Before(*back.Load()) { // the last window of the phase
			return 9
		}
		return 1
	}
	p := labPlan(faultStep("hit", ms))
	p.Recovery.Within = 5000 * ms
	v, _ := l.run(t.Context(), p, Inject)
	open(t, v)
	if took := time.Duration(v.Experiments[0].Recovery.Took); took < 40*time.Millisecond || took > 2*time.Second {
		t.Errorf("recovered after %v, want a little more than 60ms", took)
	}
}

// No fault may exist whose undo is not on disk: when the journal cannot be written any more, nothing is injected.
func TestNothingIsInjectedThatIsNotRecorded(t *testing.T) {
	l := newLab(t)
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	w, err := journal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(journal.Entry{Type: journal.RunStarted, Data: journal.RunInfo{FormatVersion: journal.FormatVersion}}); err != nil {
		t.Fatal(err)
	}
	var closed atomic.Bool
	l.value = func(string, probe.Window) float64 {
		if closed.CompareAndSwap(false, true) {
			w.Close() // as good as a full disk: every further write fails
		}
		return 1
	}
	err = Run(t.Context(), w, []plan.Plan{labPlan(faultStep("hit", 10*ms))}, l.parts(), Options{Jobs: 1, Mode: Inject})
	if err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("got %v, want the journal's error", err)
	}
	l.never("inject hit")
	l.before("up", "down")
}

func TestExperimentsThatWereNotReachedAreNotPassed(t *testing.T) {
	l := newLab(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(Interrupted{"SIGINT"})
	v, _ := l.run(ctx, labPlan(), Inject)
	closedWith(t, v, verdict.ExitInterrupt, "not-run")
}

func TestLongestFirstOnSeveralLanes(t *testing.T) {
	plans := []plan.Plan{{Name: "a", Expected: 1}, {Name: "b", Expected: 3}, {Name: "x", Expected: 1, Alone: []string{"load"}}, {Name: "c", Expected: 2}, {Name: "y", Expected: 9, Alone: []string{"load"}}}
	names := func(plans []plan.Plan) (all string) {
		for _, p := range plans {
			all += p.Name
		}
		return all
	}
	if alone, beside := schedule(plans, 1); len(alone) > 0 || names(beside) != "abxcy" {
		t.Errorf("on one lane: %s and %s, want the given order", names(alone), names(beside))
	}
	if alone, beside := schedule(plans, 2); names(alone) != "xy" || names(beside) != "bca" {
		t.Errorf("on two lanes: %s and %s, want xy alone and then the longest first", names(alone), names(beside))
	}
}

func BenchmarkChainOfWaits(b *testing.B) {
	steps := []plan.Step{{ID: "w0", When: plan.WhenPass}}
	for i := 1; i < 10_000; i++ {
		steps = append(steps, plan.Step{ID: fmt.Sprintf("w%d", i), When: plan.WhenPass, Needs: []string{fmt.Sprintf("w%d", i-1)}})
	}
	p := labPlan(steps...)
	for b.Loop() {
		l := newLab(nil)
		w, err := journal.Create(filepath.Join(b.TempDir(), "journal.jsonl"))
		if err != nil {
			b.Fatal(err)
		}
		x := newExperiment(p, w, l.parts(), Inject, func(err error) { b.Fatal(err) })
		x.env, x.metrics = l, l
		x.method(b.Context(), func(err error) { b.Fatal(err) })
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// Nobody would take a change back if the runner were killed, so none is made.
func TestNothingIsChangedUnguarded(t *testing.T) {
	trouble := errors.New("no guard")
	for name, from := range map[string]string{"from the beginning": "", "from the second fault on": "revert first"} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.unguarded = func() error {
				if from == "" || l.times(from) > 0 {
					return trouble
				}
				return nil
			}
			v, _ := l.run(t.Context(), labPlan(faultStep("first", ms), faultStep("second", ms, "first")), Inject)
			if v.Gate != verdict.Closed || v.ExitCode() != verdict.ExitError {
				t.Errorf("gate %s, exit code %d", v.Gate, v.ExitCode())
			}
			if l.never("inject second"); from == "" {
				l.never("up")
			}
		})
	}
}

// A fault is armed long before it is injected, and its guard may have gone meanwhile.
func TestNothingThatWasArmedIsInjectedUnguarded(t *testing.T) {
	l := newLab(t)
	asked := 0
	l.unguarded = func() error {
		if asked++; asked > 2 { // for the environment, and when the fault was armed
			return errors.New("no guard")
		}
		return nil
	}
	v, _ := l.run(t.Context(), labPlan(faultStep("hit", ms)), Inject)
	if v.Gate != verdict.Closed || v.ExitCode() != verdict.ExitError {
		t.Errorf("gate %s, exit code %d", v.Gate, v.ExitCode())
	}
	l.before("prepare hit", "revert hit", "down")
	l.never("inject hit")
}

// Counters that fall although nobody was started again are none: PromQL takes each fall for a new beginning, and the total of a ratio grows.
func TestCountersThatFallByThemselvesCloseTheGate(t *testing.T) {
	for falls, rule := range map[int]string{0: "", 2: "falling-counter"} {
		l := newLab(t)
		if falls > 0 {
			l.resets = []metrics.Reset{{Service: "a", Instance: "a-1", Series: 1, Falls: falls}}
		}
		v, _ := l.run(t.Context(), labPlan(faultStep("hit", 30*ms), probeStep("look", "hit")), Inject)
		if rule == "" {
			open(t, v)
		} else {
			closedWith(t, v, 4, rule)
		}
	}
}

// What cannot be asked may have happened.
func TestUnknownFallsCloseTheGate(t *testing.T) {
	l := newLab(t)
	l.resetsErr = errors.New("the server is gone")
	v, _ := l.run(t.Context(), labPlan(faultStep("hit", 30*ms), probeStep("look", "hit")), Inject)
	closedWith(t, v, verdict.ExitInconclusive, "resets-unknown")
}

// How well targets were scraped is kept for each window that a required check may stand on.
func TestCoverageIsKeptForChecksOutsideOfPhases(t *testing.T) {
	later := probeStep("later", "", "hit")
	later.Check.Window = 20 * ms
	again := probeStep("again", "", "hit")
	again.Check.Mode, again.Check.For = plan.Continuous, 20*ms
	inside := probeStep("inside", "hit")
	_, events := newLab(t).run(t.Context(), labPlan(faultStep("hit", 20*ms), inside, later, again), Inject)
	kept := map[string]int{}
	for _, e := range events {
		if e.Type == journal.CoverageKept {
			kept[e.Step]++
		}
	}
	if want := map[string]int{"": 2, "hit": 1, "later": 1, "again": 1}; !maps.Equal(kept, want) {
		t.Errorf("kept by step %v, want %v", kept, want)
	}
}
