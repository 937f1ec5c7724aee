// Package journal is the record of a run: append-only lines of JSON, and the only thing the verdict and the reports read.
//
// An Undo is on disk before the change it takes back is made. A journal that ends in a torn line reads to its last whole line.
package journal

import (
	"encoding/json"
	"time"

	"chaosgate/pkg/metrics"
	"chaosgate/pkg/target"
)

// FormatVersion is written in the first event. A reader refuses a higher major version.
const FormatVersion = "1"

// Type names an event. The comment gives the type of its Data.
type Type string

// The event types, in about the order in which they appear.
const (
	RunStarted        Type = "run.started"        // RunInfo; always the first event
	Planned           Type = "experiment.planned" // plan.Plan
	ExperimentStarted Type = "experiment.started" // nil
	UndoRecorded      Type = "undo.recorded"      // target.Undo; synced
	UndoDone          Type = "undo.done"          // UndoResult
	EnvironmentUp     Type = "environment.up"     // EnvironmentInfo
	InstanceEvent     Type = "instance"           // target.Event
	Measuring         Type = "measuring"          // MeasuringInfo
	PhaseStarted      Type = "phase.started"      // Phase
	PhaseEnded        Type = "phase.ended"        // Phase
	StepStarted       Type = "step.started"       // nil
	FaultArmed        Type = "fault.armed"        // FaultInfo
	FaultActive       Type = "fault.active"       // fault.Effect; the active phase starts here
	FaultChecked      Type = "fault.checked"      // fault.Effect; while active
	FaultEnding       Type = "fault.ending"       // nil; the active phase ends here
	FaultReverted     Type = "fault.reverted"     // fault.Effect; Proven is "verified"
	Looked            Type = "check.looked"       // Observation
	CheckEnded        Type = "check.ended"        // CheckResult, of a steady-state check or an abort condition
	StepEnded         Type = "step.ended"         // StepResult
	Aborted           Type = "aborted"            // AbortInfo
	CoverageKept      Type = "coverage"           // Coverage; of a phase, or with a step of that fault's active phase
	SignalsKept       Type = "signals"            // Signals; around a fault
	FindingNoted      Type = "finding"            // Finding
	SeriesKept        Type = "series"             // SeriesData; for the charts
	Recovered         Type = "recovery"           // RecoveryResult
	EnvironmentDown   Type = "environment.down"   // Outcome
	ExperimentEnded   Type = "experiment.ended"   // ExperimentResult
	RunEnded          Type = "run.ended"          // Outcome
)

// Event is one line. Mono is the time since the run started by the monotonic clock: durations are taken from it, never from Time.
type Event struct {
	Seq        int64           `json:"seq"` // from 1, without gaps
	Time       time.Time       `json:"time"`
	Mono       time.Duration   `json:"mono_ns"`
	Type       Type            `json:"type"`
	Experiment string          `json:"experiment,omitempty"`
	Step       string          `json:"step,omitempty"`    // step, steady-state check or abort condition
	Attempt    int             `json:"attempt,omitempty"` // from 1
	Data       json.RawMessage `json:"data,omitempty"`
}

// RunInfo says what is run, by what.
type RunInfo struct {
	FormatVersion string   `json:"format_version"`
	RunID         string   `json:"run_id"`
	Seed          uint64   `json:"seed"`
	Commit        string   `json:"commit"` // of the project under test; "" outside a git checkout
	Dirty         bool     `json:"dirty"`  // the checkout had changes
	Environment   string   `json:"environment"`
	Target        string   `json:"target"`  // "process"
	Version       string   `json:"version"` // of chaos
	GoVersion     string   `json:"go_version"`
	Host          string   `json:"host"` // kernel, cores; no host name
	Jobs          int      `json:"jobs"`
	DryRun        bool     `json:"dry_run"`
	Weakened      string   `json:"weakened,omitempty"` // name of the weakened variant in force
	Control       string   `json:"control,omitempty"`  // of a run that `chaos prove` makes to see the gate close: which one
	Files         []string `json:"files"`
}

// EnvironmentInfo says what was started.
type EnvironmentInfo struct {
	Took     target.Duration `json:"took"`
	Services []string        `json:"services"` // those whose metrics are read
}

// MeasuringInfo says where metrics come from.
type MeasuringInfo struct {
	Source   string          `json:"source"`   // "embedded, every 250ms", "Prometheus 2.42.0 at http://..."
	Interval target.Duration `json:"interval"` // of scrapes
}

// PhaseName names a phase of an experiment. A fault's active phase has no event of its own: FaultActive to FaultEnding.
type PhaseName string

// The phases.
const (
	Steady   PhaseName = "steady-state"
	Method   PhaseName = "steps"
	Recovery PhaseName = "recovery"
)

// Phase is the data of PhaseStarted and PhaseEnded.
type Phase struct {
	Name PhaseName `json:"name"`
}

// FaultInfo says what was armed.
type FaultInfo struct {
	Targets []target.Target `json:"targets"`
	Undos   []string        `json:"undos"` // ids
}

// UndoResult is the end of an Undo. An Undo without a verified UndoDone is pending.
type UndoResult struct {
	ID       string `json:"id"`
	Verified bool   `json:"verified"`
	Error    string `json:"error,omitempty"`
	By       string `json:"by"` // "run", "guard", "rollback"
}

// Observation is the raw evidence of one look of one check: what was asked, when, and what came back. Nothing in it is judged.
type Observation struct {
	Phase PhaseName `json:"phase"`
	// Offset is when the look was made, by the monotonic clock: since the step started, or since the last fault ended in the recovery phase.
	Offset   target.Duration  `json:"offset"`
	At       time.Time        `json:"at"`
	From     time.Time        `json:"from,omitzero"`   // of a metric: the window, From exclusive of nothing: both ends are scrapes
	Query    string           `json:"query,omitempty"` // rendered
	Source   string           `json:"source,omitempty"`
	Series   []metrics.Series `json:"series,omitempty"`   // of a metric: one point a series
	Baseline []metrics.Series `json:"baseline,omitempty"` // the same query over the steady state
	// Samples are the values of the query over short stretches that do not overlap, of the window and of the steady state; those without a finite value are left out,
	// and Events tells how many stretches there were: samples_asked, baseline_samples_asked.
	Samples         []float64          `json:"samples,omitempty"`
	BaselineSamples []float64          `json:"baseline_samples,omitempty"`
	Events          map[string]float64 `json:"events,omitempty"`  // of ratio: part, total; of quantile: count, last_bound, in_last_bucket
	Missing         string             `json:"missing,omitempty"` // why the evidence is not there: "no series named htp_requests_total in the window"
	Warnings        []string           `json:"warnings,omitempty"`
	Numbers         map[string]float64 `json:"numbers,omitempty"` // http: status, latency_seconds; exec: exit_code; state: running (0/1), restarts, oom_killed; tcp: connected
	Text            map[string]string  `json:"text,omitempty"`    // http: body; exec: stdout, stderr; cut to 64 KiB, secrets masked
	Error           string             `json:"error,omitempty"`   // could not look; of http and tcp a refused or timed-out call is Numbers, not Error
	Took            target.Duration    `json:"took"`
	// Outer is the same look over a window that begins with the scrape before, of a source that scrapes by its own clock. The worse of the two decides.
	Outer *Observation `json:"outer,omitempty"`
}

// Status is how a step ended, as carried out. Whether a probe holds is the verdict's to say; State is what the executor acted on,
// by the same rules.
type Status string

// The statuses.
const (
	Done      Status = "done"
	Skipped   Status = "skipped"
	Failed    Status = "failed" // could not be carried out
	TimedOut  Status = "timed-out"
	Cancelled Status = "cancelled" // the run was aborted, interrupted or out of time
)

// StepResult is the data of StepEnded.
type StepResult struct {
	Status  Status          `json:"status"`
	State   string          `json:"state,omitempty"` // of a probe or check: PASS, FAIL, INCONCLUSIVE, ERROR
	Reason  string          `json:"reason,omitempty"`
	Error   string          `json:"error,omitempty"`
	Elapsed target.Duration `json:"elapsed,omitempty,omitzero"` // of `within`: until it held
}

// CheckResult is the data of CheckEnded.
type CheckResult struct {
	Phase  PhaseName `json:"phase"`
	State  string    `json:"state"`
	Reason string    `json:"reason"`
}

// AbortInfo says why everything was rolled back early.
type AbortInfo struct {
	Cause  string `json:"cause"`        // "condition", "timeout", "interrupt", "steady-state", "error"
	By     string `json:"by,omitempty"` // id of the condition, or the signal
	Reason string `json:"reason"`
}

// Finding is something the report must show: a service that exited by itself, a counter that was reset, a target that was not scraped.
type Finding struct {
	Kind    string    `json:"kind"` // "unexpected-exit", "counter-reset", "scrape-failed", "clock-jump", "guard-died"
	Subject string    `json:"subject"`
	Message string    `json:"message"`
	At      time.Time `json:"at,omitzero"`
	// Closes is the state the finding forces on the experiment: "", INCONCLUSIVE or ERROR.
	Closes string `json:"closes,omitempty"`
}

// The kinds of findings that others ask for.
const (
	CounterReset = "counter-reset" // counters of an instance fell
	ClockJump    = "clock-jump"    // the wall clock was set, or the machine was suspended
)

// GuardDied is the kind of the finding that the run's guard died and another one took its place.
const GuardDied = "guard-died"

// Coverage says how well each target was scraped in a phase.
type Coverage struct {
	Phase   PhaseName         `json:"phase"`
	From    time.Time         `json:"from"`
	To      time.Time         `json:"to"`
	Targets []metrics.Covered `json:"targets"`
	Error   string            `json:"error,omitempty"` // it could not be asked
}

// SeriesData is what a chart shows: a check's expression over the whole experiment.
type SeriesData struct {
	Check  string           `json:"check"`
	Title  string           `json:"title"`
	Unit   string           `json:"unit"` // "seconds", "ratio", ""
	Query  string           `json:"query"`
	Series []metrics.Series `json:"series"`
}

// RecoveryResult says when the steady state held again. Took counts from the end of the last fault.
type RecoveryResult struct {
	Held   bool            `json:"held"`
	Took   target.Duration `json:"took"`
	Reason string          `json:"reason,omitempty"`
}

// ExperimentResult is the data of ExperimentEnded.
type ExperimentResult struct {
	Outcome
	Wall     target.Duration `json:"wall"`     // environment start and stop apart
	Critical target.Duration `json:"critical"` // the plan's critical path
}

// Outcome says whether something went through.
type Outcome struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}
