package verdict

import (
	"fmt"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

// judge starts from "nothing is shown" and needs every part to pass.
func (r *record) judge() Experiment {
	e := Experiment{Name: r.plan.Name, State: Inconclusive, Reasons: []Reason{}, Checks: []Check{}, Faults: []Fault{}}
	if r.end != nil {
		e.Wall, e.Critical = r.end.Wall, r.end.Critical
	}
	if !r.started {
		e.close("", Error, "not-run", "it was not run")
		e.State = Error
		return e
	}
	steady := r.judgeSteady(&e)
	r.judgeAborts(&e)
	if steady && r.methodRuns {
		r.judgeSteps(&e)
		r.judgeAbortConditions(&e)
		r.judgeRecovery(&e)
		r.judgeCoverage(&e)
	}
	r.judgeFrame(&e)
	r.judgeFindings(&e)
	if r.dry {
		e.close("", Inconclusive, "dry-run", "not tested: a dry run injects nothing")
	}
	states := []State{Pass}
	for _, reason := range e.Reasons {
		states = append(states, reason.State)
	}
	e.State = Merge(states...)
	if e.State == Pass && (!steady || !r.methodRuns) {
		e.close("", Error, "not-run", "its steps were never started")
		e.State = Error
	}
	return e
}

func (e *Experiment) close(step string, s State, rule, text string) {
	e.Reasons = append(e.Reasons, Reason{Experiment: e.Name, Step: step, State: s, Rule: rule, Text: text})
}

// judgeSteady says whether the steady state was met. If not, the experiment was not tested: that is Inconclusive, and Error only if we could not look.
func (r *record) judgeSteady(e *Experiment) bool {
	met := true
	for _, c := range r.plan.Steady {
		check := r.judgeCheck(c, "steady-state", journal.Steady)
		e.Checks = append(e.Checks, check)
		if !c.Required || check.State == Pass {
			continue
		}
		met = false
		state := Inconclusive
		if check.State == Error {
			state = Error
		}
		e.close(c.ID, state, "steady-state", "not tested: the steady state was not met before anything was injected: "+check.Reason)
	}
	return met
}

// judgeCheck judges the looks of the last attempt.
func (r *record) judgeCheck(c plan.Check, role string, phase journal.PhaseName) Check {
	check := Check{ID: c.ID, Role: role, Required: c.Required, Attempts: 1}
	var looks []journal.Observation
	for _, l := range r.looks[c.ID] {
		if l.Phase != phase {
			continue
		}
		if l.attempt > check.Attempts {
			check.Attempts, looks = l.attempt, nil
		}
		looks = append(looks, l.Observation)
	}
	check.Looks = len(looks)
	check.Notes = r.notes(looks)
	check.Judgement = Judge(Over(c, r.step(c.ID).took()), looks)
	if c.Mode == plan.Eventually {
		if at, ok := Held(c, looks); ok {
			check.Elapsed = target.Duration(at)
		}
	}
	return check
}

func (r *record) judgeAborts(e *Experiment) {
	for _, a := range r.aborts {
		switch a.Cause {
		case "condition":
			e.close(a.By, Fail, "aborted", "aborted and rolled back: "+a.Reason)
		case "steady-state": // told by judgeSteady
		case "interrupt":
			e.close("", Error, "interrupted", "interrupted by "+a.By)
		case "timeout":
			e.close("", Error, "timeout", a.Reason)
		default:
			e.close("", Error, "aborted", a.Reason)
		}
	}
}

func (r *record) judgeSteps(e *Experiment) {
	probes, skipped := 0, 0
	checks := r.stepChecks()
	for _, s := range r.plan.Steps {
		rec := r.step(s.ID)
		switch {
		case s.Fault != nil:
			r.judgeFault(e, s, rec)
		case s.Check != nil:
			check := checks[0]
			checks = checks[1:]
			r.closeCheck(e, s, rec, check)
			if check.Required {
				probes++
			}
			if check.Required && check.Skipped {
				skipped++
			}
		default:
			ended(e, s, rec)
		}
	}
	if probes > 0 && probes == skipped {
		e.close("", Inconclusive, "all-skipped", "every check of the steps was skipped, so nothing is shown")
	}
}

// ended says whether a step was carried out, and closes the gate if it was not. A step skipped by its own `when` is no failure;
// one skipped because something it needs went wrong is told by what went wrong, but closes as well.
func ended(e *Experiment, s plan.Step, rec *stepRecord) bool {
	switch {
	case rec.result == nil:
		e.close(s.ID, Error, "never-ended", "the step never ended")
	case rec.result.Status == journal.Skipped && s.When == plan.WhenFail:
	case rec.result.Status == journal.Skipped:
		e.close(s.ID, Inconclusive, "skipped", "skipped: "+rec.result.Reason)
	case rec.result.Status == journal.Cancelled: // why is told by the abort; by itself it only leaves the step without evidence
		e.close(s.ID, Inconclusive, "cancelled", "the step was cancelled: "+rec.result.Error)
	case rec.result.Status != journal.Done:
		e.close(s.ID, Error, string(rec.result.Status), fmt.Sprintf("the step %s: %s", spokenStatus(rec.result.Status), rec.result.Error))
	default:
		return true
	}
	return false
}

func spokenStatus(s journal.Status) string {
	if s == journal.TimedOut {
		return "ran out of time"
	}
	return "could not be carried out"
}

// stepChecks judges the checks of the steps, in the order of the steps.
func (r *record) stepChecks() []Check {
	var checks []Check
	for _, s := range r.plan.Steps {
		if s.Check == nil {
			continue
		}
		check := r.judgeCheck(*s.Check, "step", journal.Method)
		if result := r.step(s.ID).result; result != nil && result.Status == journal.Skipped {
			check.Skipped = true
			check.Judgement = Judgement{State: Inconclusive, Rule: "skipped", Reason: "skipped: " + result.Reason}
		}
		checks = append(checks, check)
	}
	correct(checks)
	return checks
}

func (r *record) closeCheck(e *Experiment, s plan.Step, rec *stepRecord, check Check) {
	e.Checks = append(e.Checks, check)
	if s.Check.Required && ended(e, s, rec) && check.State != Pass {
		e.close(s.ID, check.State, check.Rule, check.Reason)
	}
}

// judgeFault needs a proven effect, also at the end of the active phase, and a verified revert.
func (r *record) judgeFault(e *Experiment, s plan.Step, rec *stepRecord) {
	f := Fault{ID: s.ID, Kind: s.Fault.Kind, Targets: []string{}, State: Pass, ActiveFrom: rec.from, ActiveTo: rec.to}
	f.Skipped = rec.result != nil && rec.result.Status == journal.Skipped
	if rec.info != nil {
		for _, t := range rec.info.Targets {
			f.Targets = append(f.Targets, t.Instance)
		}
	}
	f.Effective, f.Effect = effective(s.Fault, rec)
	f.Reverted, f.Revert = rec.revert()
	before := len(e.Reasons)
	if ended(e, s, rec) && !f.Effective {
		e.close(s.ID, Inconclusive, "no-effect", "the fault had no proven effect: "+f.Effect)
	}
	if rec.active != nil && rec.unarmed {
		e.close(s.ID, Error, "incomplete", "the journal does not show that the fault's undo was on disk before it was injected")
	}
	if rec.active != nil && !f.Reverted {
		e.close(s.ID, Dirty, "revert", "the revert is not verified: "+f.Revert)
	}
	for _, reason := range e.Reasons[before:] {
		f.State = max(f.State, reason.State)
	}
	e.Faults = append(e.Faults, f)
}

func proven(e *fault.Effect) (bool, string) {
	if e == nil {
		return false, "there is no readback"
	}
	return e.Proven, e.Summary
}

// effective needs the readback after injection and, of a fault that lasts, the last one before the revert: an effect that fades proves nothing, nor does one that
// nobody met.
func effective(f *plan.Fault, rec *stepRecord) (bool, string) {
	ok, text := proven(rec.active)
	switch {
	case !ok:
		return false, text
	case rec.checked == nil:
		if f.Duration > 0 {
			text += "; it was not read back again before the revert"
		}
		return f.Duration == 0, text
	}
	if rec.checked.Summary != text {
		text += "; " + rec.checked.Summary
	}
	return rec.checked.Proven, text
}

// judgeRecovery recomputes the recovery from the looks; what the executor noted is not believed.
func (r *record) judgeRecovery(e *Experiment) {
	if len(r.aborts) > 0 {
		return
	}
	rec := JudgeRecovery(r.plan, r.recovery)
	if rec.State == Inconclusive && rec.Reason == "" {
		rec.Reason = "the recovery was not observed to its end"
		if r.recovered != nil && r.recovered.Reason != "" {
			rec.Reason = r.recovered.Reason
		}
	}
	e.Recovery = &rec
	if rec.State != Pass {
		e.close("", rec.State, "recovery", rec.Reason)
	}
}

// judgeFrame looks at what surrounds the steps: the environment and the experiment's own end.
func (r *record) judgeFrame(e *Experiment) {
	if r.methodRuns && (!r.up || !r.undoable) {
		e.close("", Error, "incomplete", "the journal does not show that the environment was up, and its undo on disk before that")
	}
	switch {
	case r.end == nil:
		e.close("", Error, "incomplete", "the experiment did not end")
	case !r.end.OK:
		e.close("", Error, "error", r.end.Error)
	case r.down == nil:
		e.close("", Dirty, "environment", "the run did not take the environment down")
	}
	if r.down != nil && !r.down.OK {
		e.close("", Dirty, "environment", "the environment is not clean: "+r.down.Error)
	}
}

func (r *record) judgeFindings(e *Experiment) {
	for _, f := range r.findings {
		var state State
		if f.Closes == "" {
			continue
		}
		if err := state.UnmarshalText([]byte(f.Closes)); err != nil {
			state = Error
		}
		e.close("", state, f.Kind, f.Message)
	}
}
