// Package verdict judges: Judge one look, Decide a whole journal. It is pure: the same journal gives the same verdict, anywhere, at any time.
//
// There is no path that opens the gate by default: a state starts as INCONCLUSIVE and only evidence makes it PASS.
package verdict

import "chaosgate/pkg/target"

// State is what a check came to. The numbers are ordered by severity and are written to disk only by name.
type State int

// The states. Merge is max.
const (
	Pass         State = 0
	Inconclusive State = 1 // the evidence is missing or too thin
	Fail         State = 2
	Error        State = 3 // we could not look
	Dirty        State = 4 // a revert is not verified
)

// Gate is what a deployment may do.
type Gate string

// The gate's positions.
const (
	Open   Gate = "OPEN"
	Closed Gate = "CLOSED"
)

// Judgement is the outcome of one or several looks.
type Judgement struct {
	State  State  `json:"state"`
	Rule   string `json:"rule"`            // which rule decided: "limit", "no-data", "several-series", "not-a-number", "hold", "within", "could-not-look"...
	Reason string `json:"reason"`          // a sentence with the value and the limit
	Value  *Value `json:"value,omitempty"` // what was compared, if one number was
}

// Value is a measured number beside its limit. Unit as in quantity.Unit.
type Value struct {
	Measured float64  `json:"measured"`
	Limit    float64  `json:"limit"`
	Op       string   `json:"op"`
	Unit     string   `json:"unit,omitempty"`
	Baseline *float64 `json:"baseline,omitempty"`
	P        *float64 `json:"p,omitempty"` // of a comparison with the baseline: how likely as large a difference is if there is none; Holm's, over the experiment
	Text     string   `json:"text"`        // "312ms, at most 1s"
}

// Verdict is what a run came to, with the evidence behind it.
type Verdict struct {
	FormatVersion string       `json:"format_version"`
	RunID         string       `json:"run_id"`
	Seed          uint64       `json:"seed"`
	State         State        `json:"state"`
	Gate          Gate         `json:"gate"`
	Reasons       []Reason     `json:"reasons"` // why the gate is closed; empty if and only if it is open
	Experiments   []Experiment `json:"experiments"`
	Interrupted   string       `json:"interrupted,omitempty"` // signal
	Complete      bool         `json:"complete"`              // the journal ends with run.ended
	DryRun        bool         `json:"dry_run"`
	Control       string       `json:"control,omitempty"` // a negative control of `chaos prove`
}

// Reason is one thing that closes the gate.
type Reason struct {
	Experiment string `json:"experiment,omitempty"`
	Step       string `json:"step,omitempty"`
	State      State  `json:"state"`
	Rule       string `json:"rule"`
	Text       string `json:"text"`
}

// Experiment is what one experiment came to.
type Experiment struct {
	Name     string          `json:"name"`
	State    State           `json:"state"`
	Reasons  []Reason        `json:"reasons"`
	Checks   []Check         `json:"checks"` // steady before, steps, steady after (recovery), abort conditions
	Faults   []Fault         `json:"faults"`
	Recovery *Recovery       `json:"recovery,omitempty"`
	Wall     target.Duration `json:"wall"`
	Critical target.Duration `json:"critical"`
}

// Check is one check's outcome. Role is "steady-state", "step", "recovery", "abort".
type Check struct {
	ID       string `json:"id"`
	Role     string `json:"role"`
	Required bool   `json:"required"`
	Skipped  bool   `json:"skipped"`
	Looks    int    `json:"looks"`
	// Notes say what happened inside the windows: restarts and counters that fell.
	Notes    []string `json:"notes"`
	Attempts int      `json:"attempts"`
	Judgement
	Elapsed target.Duration `json:"elapsed,omitempty,omitzero"` // of within
}

// Fault is one fault's outcome.
type Fault struct {
	ID         string          `json:"id"`
	Kind       string          `json:"kind"`
	Targets    []string        `json:"targets"`
	Skipped    bool            `json:"skipped"`
	Effective  bool            `json:"effective"`
	Reverted   bool            `json:"reverted"` // verified
	State      State           `json:"state"`
	Effect     string          `json:"effect"`
	Revert     string          `json:"revert"`
	ActiveFrom target.Duration `json:"active_from"` // since the run started
	ActiveTo   target.Duration `json:"active_to"`
}

// Injected is how many faults the run has injected: those whose own condition skipped them do not count.
func (v Verdict) Injected() int {
	n := 0
	for _, e := range v.Experiments {
		for _, f := range e.Faults {
			if !f.Skipped {
				n++
			}
		}
	}
	return n
}

// Recovery is the measured recovery.
type Recovery struct {
	State  State           `json:"state"`
	Took   target.Duration `json:"took"`
	Within target.Duration `json:"within"`
	Reason string          `json:"reason"`
}
