// Package report shows a judged run: one format a file, one row a format. It reads the journal and the verdict and nothing else, so that a report can be made
// again at any time.
package report

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/propagation"
	"chaosgate/pkg/target"
	"chaosgate/pkg/verdict"
)

// Model is a run, sorted for showing. All offsets count from the start of the experiment they belong to.
type Model struct {
	Run         journal.RunInfo
	Verdict     verdict.Verdict
	Started     time.Time
	Ended       time.Time
	Took        time.Duration
	Experiments []Experiment
}

// Experiment is one experiment with everything that is shown of it.
type Experiment struct {
	Plan    plan.Plan
	Verdict verdict.Experiment
	// State and Reasons are the verdict's, with those reasons that only concern the run's end: a change of this experiment that nobody took back. Worst first.
	State     verdict.State
	Reasons   []verdict.Reason
	Took      time.Duration // the environment's start and end included
	Wall      time.Duration // without them; of an experiment that did not end, until its last event
	EnvTook   time.Duration
	Metrics   string
	Bars      []Bar
	Phases    []Span
	Bands     []Span            // the active phases of faults
	Looks     map[string][]Look // by check
	Faults    map[string]FaultEvidence
	Charts    []journal.SeriesData
	Spreads   []propagation.Spread
	Coverage  []Coverage
	Findings  []journal.Finding
	Instances []InstanceEvent
	Aborts    []journal.AbortInfo
	Undos     []Undo

	began time.Time // wall time of offset 0
}

// Span is a named stretch.
type Span struct {
	Name     string
	From, To time.Duration
}

// Bar is a step as it ran.
type Bar struct {
	Span
	Kind     string // fault, probe, wait, action
	State    string // PASS, FAIL, INCONCLUSIVE, ERROR, SKIPPED, CANCELLED, DONE, UNFINISHED, NOT RUN
	During   string
	Needs    []string
	Attempts int
	Started  bool
}

// Look is one observation and when it was made.
type Look struct {
	At      time.Duration
	Attempt int
	journal.Observation
}

// FaultEvidence is what the injector read back.
type FaultEvidence struct {
	Active, Checked, Reverted *fault.Effect
}

// Coverage says how well the targets were scraped in a phase, or in the active phase of the fault Step.
type Coverage struct {
	Step string `json:"step,omitempty"`
	journal.Coverage
}

// InstanceEvent is what happened to an instance, and when.
type InstanceEvent struct {
	At time.Duration
	target.Event
}

// Undo is a change that had to be taken back.
type Undo struct {
	target.Undo
	Step     string
	Verified bool
	By       string
	Error    string
}

// NewModel sorts a journal for showing. v is the verdict of the same events.
func NewModel(events []journal.Event, v verdict.Verdict) (Model, error) {
	m := Model{Verdict: v}
	if len(events) == 0 {
		return m, errors.New("the journal is empty: there is nothing to report")
	}
	var err error
	if m.Run, err = journal.Decode[journal.RunInfo](events[0]); err != nil {
		return m, err
	}
	m.Started, m.Ended = events[0].Time, events[0].Time
	byName := map[string][]journal.Event{}
	for _, e := range events {
		byName[e.Experiment] = append(byName[e.Experiment], e)
		if e.Type != journal.UndoDone { // a rollback may come days later
			m.Ended, m.Took = e.Time, e.Mono
		}
	}
	for _, e := range v.Experiments {
		x, err := newExperiment(byName[e.Name], e)
		if err != nil {
			return m, err
		}
		x.judged(v)
		m.Experiments = append(m.Experiments, x)
	}
	return m, nil
}

// judged adds what the verdict says about an experiment outside of it.
func (x *Experiment) judged(v verdict.Verdict) {
	x.State, x.Reasons = x.Verdict.State, []verdict.Reason{}
	for _, r := range v.Reasons {
		if r.Experiment == x.Verdict.Name {
			x.State = max(x.State, r.State)
			x.Reasons = append(x.Reasons, r)
		}
	}
	slices.SortStableFunc(x.Reasons, func(a, b verdict.Reason) int { return int(b.State) - int(a.State) })
}

// closing is the worst that a step closes the gate with; Pass if it does not.
func (x Experiment) closing(step string) verdict.State {
	worst := verdict.Pass
	for _, r := range x.Reasons {
		if r.Step == step {
			worst = max(worst, r.State)
		}
	}
	return worst
}

// skipped is the state of what was skipped by its own condition. It closes nothing and never counts as passed.
const skipped = "SKIPPED"

// checkState is what a check is shown as: its own state, or that of its step if the step went worse than what the check saw (it ran out of time).
func (x Experiment) checkState(c verdict.Check) string {
	closes := x.closing(c.ID)
	if c.Skipped && closes == verdict.Pass {
		return skipped
	}
	if c.Required && closes > c.State {
		return closes.String()
	}
	return c.State.String()
}

// faultState is what a fault is shown as.
func (x Experiment) faultState(f verdict.Fault) string {
	closes := x.closing(f.ID)
	if f.Skipped && closes == verdict.Pass {
		return skipped
	}
	return max(f.State, closes).String()
}

func kindOf(s plan.Step) string {
	switch {
	case s.Fault != nil:
		return "fault"
	case s.Check != nil:
		return "probe"
	case s.Action != nil:
		return "action"
	default:
		return "wait"
	}
}

// check finds the plan of a check by its id and role.
func (x Experiment) check(id, role string) (plan.Check, bool) {
	lists := map[string][]plan.Check{"steady-state": x.Plan.Steady, "abort": x.Plan.Abort}
	for _, c := range lists[role] {
		if c.ID == id {
			return c, true
		}
	}
	for _, s := range x.Plan.Steps {
		if s.ID == id && s.Check != nil {
			return *s.Check, true
		}
	}
	return plan.Check{}, false
}

// looksOf answers the looks that a check was judged by, and those of attempts before the last.
func (x Experiment) looksOf(c verdict.Check) []Look {
	return slices.DeleteFunc(slices.Clone(x.Looks[c.ID]), func(l Look) bool {
		return l.Phase == journal.Recovery || (l.Phase == journal.Steady) != (c.Role == "steady-state")
	})
}

// recoveryLook is a look of a steady-state check while the steady state was waited for to hold again.
type recoveryLook struct {
	Check string
	State verdict.State
	Look
}

// recoveryLooks answers them in the order in which they were made.
func (x Experiment) recoveryLooks() []recoveryLook {
	var all []recoveryLook
	for _, c := range x.Plan.Steady {
		for _, l := range x.Looks[c.ID] {
			if l.Phase == journal.Recovery {
				all = append(all, recoveryLook{c.ID, verdict.JudgeLook(c, l.Observation).State, l})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b recoveryLook) int { return cmp.Compare(a.At, b.At) })
	return all
}

// offset is a wall time as an offset of the experiment.
func (x Experiment) offset(t time.Time) time.Duration { return t.Sub(x.began) }
