package verdict

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

// FormatVersion is that of the Verdict as JSON.
const FormatVersion = "1"

// Decide judges a journal. An error means that the journal cannot be read as one; a run that is not complete is a closed verdict,
// not an error.
func Decide(events []journal.Event) (Verdict, error) {
	if len(events) == 0 {
		return Verdict{}, errors.New("the journal is empty: the run ended before it began")
	}
	info, err := journal.Decode[journal.RunInfo](events[0])
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{FormatVersion: FormatVersion, RunID: info.RunID, Seed: info.Seed, DryRun: info.DryRun, Control: info.Control, Gate: Closed, Reasons: []Reason{}, Experiments: []Experiment{}}
	records, err := collect(events)
	if err != nil {
		return Verdict{}, err
	}
	for _, r := range records {
		r.dry = info.DryRun
		e := r.judge()
		v.Experiments = append(v.Experiments, e)
		v.Reasons = append(v.Reasons, e.Reasons...)
	}
	if err := v.judgeRun(events); err != nil {
		return Verdict{}, err
	}
	return v, nil
}

// judgeRun adds what concerns the run as a whole, and opens the gate if and only if nothing closes it.
func (v *Verdict) judgeRun(events []journal.Event) error {
	interrupted, err := interruption(events)
	if err != nil {
		return err
	}
	v.Interrupted = interrupted
	last := events[len(events)-1]
	v.Complete = slices.ContainsFunc(events, func(e journal.Event) bool { return e.Type == journal.RunEnded })
	switch {
	case v.Interrupted != "":
		v.close(Error, "interrupted", "the run was interrupted by "+v.Interrupted)
	case !v.Complete:
		v.close(Error, "incomplete", fmt.Sprintf("the run did not end: its journal stops at event %d (%s)", last.Seq, last.Type))
	}
	if len(v.Experiments) == 0 {
		v.close(Inconclusive, "no-experiment", "no experiment was run")
	}
	if v.Control != "" {
		v.close(Inconclusive, "control", "this run is a control ("+v.Control+"): it is made to close the gate")
	}
	if err := v.judgeRunEnd(events); err != nil {
		return err
	}
	if err := v.judgeUndos(events); err != nil {
		return err
	}
	states := []State{}
	for _, e := range v.Experiments {
		states = append(states, e.State)
	}
	for _, r := range v.Reasons {
		states = append(states, r.State)
	}
	v.State = Merge(states...)
	slices.SortStableFunc(v.Reasons, func(a, b Reason) int { return int(b.State) - int(a.State) })
	if v.State == Pass && len(v.Reasons) == 0 && v.Complete && !v.DryRun && v.Control == "" {
		v.Gate = Open
	}
	return nil
}

func (v *Verdict) close(s State, rule, text string) {
	v.Reasons = append(v.Reasons, Reason{State: s, Rule: rule, Text: text})
}

func (v *Verdict) judgeRunEnd(events []journal.Event) error {
	for _, e := range events {
		if e.Type != journal.RunEnded {
			continue
		}
		end, err := journal.Decode[journal.Outcome](e)
		if err != nil {
			return err
		}
		if !end.OK && v.Interrupted == "" {
			v.close(Error, "run-failed", "the run could not be carried out: "+end.Error)
		}
	}
	return nil
}

func (v *Verdict) judgeUndos(events []journal.Event) error {
	pending, err := journal.Pending(events)
	if err != nil {
		return err
	}
	for _, p := range pending {
		text := fmt.Sprintf("what %s did to %s is not verified as undone", p.Kind, p.Target.Service)
		if p.Target.Service == "" {
			text = fmt.Sprintf("what %s did is not verified as undone", p.Kind)
		}
		if p.Manual != "" {
			text += "; to undo it by hand: " + p.Manual
		}
		reason := Reason{Experiment: p.Experiment, Step: p.Step, State: Dirty, Rule: "rollback", Text: text}
		v.Reasons = append(v.Reasons, reason)
		for i := range v.Experiments {
			if e := &v.Experiments[i]; e.Name == p.Experiment {
				e.State, e.Reasons = Dirty, append(e.Reasons, reason)
			}
		}
	}
	return nil
}

func interruption(events []journal.Event) (string, error) {
	for _, e := range events {
		if e.Type != journal.Aborted {
			continue
		}
		a, err := journal.Decode[journal.AbortInfo](e)
		if err != nil {
			return "", err
		}
		if a.Cause == "interrupt" {
			return a.By, nil
		}
	}
	return "", nil
}

// record is what the journal holds about one experiment.
type record struct {
	plan         plan.Plan
	dry          bool // nothing was to be injected
	started      bool
	down         *journal.Outcome
	end          *journal.ExperimentResult
	aborts       []journal.AbortInfo
	findings     []journal.Finding
	undoable, up bool      // the environment's undo was on record before it was up
	upAt         time.Time // when the environment was up; what starts later is started again
	disturbances []disturbance
	life         []target.Event // of the instances
	services     []string       // whose metrics are read
	coverage     []coverage
	looks        map[string][]look // by check id
	recovery     []RecoveryLook
	recovered    *journal.RecoveryResult
	steps        map[string]*stepRecord
	methodRuns   bool
	injected     bool // a fault was active; what is told of the steady state from then on shows nothing
}

// look is an observation with the attempt and phase it belongs to.
type look struct {
	attempt int
	journal.Observation
}

// collect sorts the events by experiment, in the order in which they were planned.
func collect(events []journal.Event) ([]*record, error) {
	var records []*record
	byName := map[string]*record{}
	for _, e := range events {
		if e.Type == journal.Planned {
			p, err := journal.Decode[plan.Plan](e)
			if err != nil {
				return nil, err
			}
			if byName[p.Name] != nil {
				return nil, fmt.Errorf("%w: experiment %q is planned twice", journal.ErrFormat, p.Name)
			}
			r := &record{plan: p, looks: map[string][]look{}, steps: map[string]*stepRecord{}}
			byName[p.Name] = r
			records = append(records, r)
			continue
		}
		if e.Experiment == "" {
			continue
		}
		r := byName[e.Experiment]
		if r == nil {
			return nil, fmt.Errorf("%w: event %d is about experiment %q, which is not planned", journal.ErrFormat, e.Seq, e.Experiment)
		}
		if err := r.add(e); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func (r *record) add(e journal.Event) error {
	switch e.Type {
	case journal.ExperimentStarted:
		r.started = true
	case journal.UndoRecorded:
		return r.addUndo(e)
	case journal.EnvironmentUp:
		return r.addUp(e)
	case journal.CoverageKept:
		return r.addCoverage(e)
	case journal.EnvironmentDown:
		return once(e, &r.down)
	case journal.ExperimentEnded:
		return once(e, &r.end)
	case journal.Recovered:
		return journal.DecodeNew(e, &r.recovered)
	case journal.Aborted:
		return journal.DecodeAppend(e, &r.aborts)
	case journal.FindingNoted:
		return r.addFinding(e)
	case journal.InstanceEvent:
		return r.addInstance(e)
	case journal.PhaseStarted:
		p, err := journal.Decode[journal.Phase](e)
		r.methodRuns = r.methodRuns || p.Name == journal.Method
		return err
	case journal.Looked:
		return r.addLook(e)
	default:
		r.injected = r.injected || e.Type == journal.FaultActive
		if e.Step != "" {
			return r.step(e.Step).add(e)
		}
	}
	return nil
}

// addUndo takes notice of the undo of the environment, or of a step.
func (r *record) addUndo(e journal.Event) error {
	if e.Step != "" {
		return r.step(e.Step).add(e)
	}
	r.undoable = r.undoable || !r.up
	return nil
}

// once decodes what a journal tells once: of two that differ, the second would hide the first.
func once[T any](e journal.Event, to **T) error {
	if *to != nil {
		return fmt.Errorf("%w: event %d tells %s of %s %s a second time", journal.ErrFormat, e.Seq, e.Type, e.Experiment, e.Step)
	}
	return journal.DecodeNew(e, to)
}

func (r *record) addLook(e journal.Event) error {
	o, err := journal.Decode[journal.Observation](e)
	if err != nil {
		return err
	}
	if o.Phase == journal.Recovery {
		r.recovery = append(r.recovery, RecoveryLook{Check: e.Step, Observation: o})
		return nil
	}
	if o.Phase == journal.Steady && r.injected {
		return nil
	}
	r.looks[e.Step] = append(r.looks[e.Step], look{attempt: e.Attempt, Observation: o})
	return nil
}

func (r *record) step(id string) *stepRecord {
	if r.steps[id] == nil {
		r.steps[id] = &stepRecord{}
	}
	return r.steps[id]
}
