// Package plan makes every decision, offline: names become services, "$names" become limits, random picks are drawn from the seed, defaults
// are filled in. The executor decides nothing. A Plan is plain data: it prints as text for a reviewer (String, the oracle of the tests) and is
// written to the journal as JSON, from which the verdict reads what was expected.
package plan

import (
	"chaosgate/pkg/fault"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/target"
)

// Duration is a time.Duration that is a string in JSON.
type Duration = target.Duration

// Plan is one experiment, decided.
type Plan struct {
	Name        string   `json:"name"` // with the matrix combination: "latency[delay=300ms]"
	Title       string   `json:"title,omitempty"`
	Description string   `json:"description,omitempty"`
	Owner       string   `json:"owner,omitempty"`
	Tags        []string `json:"tags"`
	File        string   `json:"file"`
	Environment string   `json:"environment"`
	Target      string   `json:"target"` // "process"
	Seed        uint64   `json:"seed"`
	Timeout     Duration `json:"timeout"`  // of the whole experiment, environment start apart
	Interval    Duration `json:"interval"` // of scrapes

	Traffic []Traffic `json:"traffic"`
	Steady  []Check   `json:"steady"`
	// SteadyFor is how long the steady state is observed before anything is injected: the longest window of its checks, at least four scrape intervals.
	SteadyFor Duration `json:"steady_for"`
	Recovery  Recovery `json:"recovery"`
	Steps     []Step   `json:"steps"` // in the order of the file
	Abort     []Check  `json:"abort"`
	// Ready is the longest that is said of a service of the environment to become ready, 0 if nothing is: at the end those that ran before are started again.
	Ready Duration `json:"ready,omitempty,omitzero"`
	// Places is the map along which it is followed how faults spread; the callers come first.
	Places []Place `json:"places"`

	// Expected is how long the experiment takes if all goes well, environment start apart: SteadyFor, the longest chain of Steps, Recovery.Takes.
	Expected Duration `json:"expected"`
	Critical []string `json:"critical"` // step ids of the longest chain
	// Alone are the ids of faults that keep the whole machine busy here: with any of them nothing else runs beside the experiment, since what the others measured
	// would be measured under this one's fault.
	Alone []string `json:"alone,omitempty"`
	// Shared are the ids of faults on a database server that is none of the environment's own, but the same for all experiments: nothing else runs beside the experiment
	// either.
	Shared []string `json:"shared,omitempty"`
}

// BearsNobody says whether no other experiment may run beside this one.
func (p Plan) BearsNobody() bool { return len(p.Alone)+len(p.Shared) > 0 }

// Recovery is by when, after the last fault, the steady state must hold again, and for how long. Takes is the least time needed to
// see it: the longest of For and the steady checks' windows.
type Recovery struct {
	Within Duration `json:"within"`
	For    Duration `json:"for"`
	Takes  Duration `json:"takes"`
}

// Traffic is a load that runs from before the steady state until after recovery.
type Traffic struct {
	Service string            `json:"service"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Rate    float64           `json:"rate"` // requests per second
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	Timeout Duration          `json:"timeout"`
}

// When is what the needed steps must have come to.
type When string

// The conditions.
const (
	WhenPass   When = "pass"
	WhenFail   When = "fail"
	WhenAlways When = "always"
)

// Step is a node of the DAG. Exactly one of Fault, Check, Action is set, or none: then it is a wait for Wait.
type Step struct {
	ID      string   `json:"id"`
	Line    int      `json:"line"` // in File
	Needs   []string `json:"needs"`
	During  string   `json:"during,omitempty"`
	When    When     `json:"when"`
	Timeout Duration `json:"timeout,omitempty,omitzero"` // 0: the experiment's
	Retry   Retry    `json:"retry,omitzero"`

	Fault  *Fault   `json:"fault,omitempty"`
	Check  *Check   `json:"check,omitempty"`
	Action *Action  `json:"action,omitempty"`
	Wait   Duration `json:"wait,omitempty,omitzero"`

	// Takes is how long the step is expected to take; Starts is when, counted from the first step, if all goes well.
	Takes  Duration `json:"takes"`
	Starts Duration `json:"starts"`
}

// Retry is how often a step is tried again, and after how long.
type Retry struct {
	Times int      `json:"times"`
	Every Duration `json:"every"`
}

// Fault is one injection.
type Fault struct {
	Kind       string           `json:"kind"` // "network.latency"
	Selection  target.Selection `json:"selection"`
	Candidates []string         `json:"candidates,omitempty"` // of a random pick, from which Selection.Services was drawn
	To         string           `json:"to,omitempty"`
	Port       string           `json:"port,omitempty"`              // of the callee, by its name; empty is all of them
	Params     fault.Params     `json:"params"`                      // complete, defaults filled in
	Duration   Duration         `json:"duration,omitempty,omitzero"` // 0: one-shot
	Proof      string           `json:"proof"`
	// Ready is how long a service that it takes down may take to be ready when it is started again: the longest `ready.within` that is said of those it may hit; 0 if none is
	// said, or it starts nothing. With a grace of the step for its end that is longer than fault.EndLimit it is as much longer.
	Ready Duration `json:"ready,omitempty,omitzero"`
}

// Check is a probe and what it must show.
type Check struct {
	ID       string   `json:"id"`
	Line     int      `json:"line"`
	Reuses   string   `json:"reuses,omitempty"` // id of the steady-state check
	Probe    Probe    `json:"probe"`
	Expect   []Expect `json:"expect"` // all must hold
	Required bool     `json:"required"`

	// Timeout bounds one look; 0 is the executor's own limit.
	Timeout Duration `json:"timeout,omitempty,omitzero"`
	// Window is the range of a metric probe; 0 is the whole phase. Other probes have none.
	Window Duration `json:"window,omitempty,omitzero"`
	// Mode says when the probe looks.
	Mode   Mode     `json:"mode"`
	Every  Duration `json:"every,omitempty,omitzero"`  // of Continuous and Eventually: always set
	For    Duration `json:"for,omitempty,omitzero"`    // Continuous: how long (0: until the phase ends); Eventually: for how long it must hold; of an abort condition: how long the breach must last
	Within Duration `json:"within,omitempty,omitzero"` // of Eventually
	Hold   Hold     `json:"hold,omitzero"`             // of Continuous
	// Baseline asks for the same query over the steady-state window as well.
	Baseline bool `json:"baseline,omitempty"`
	// Sample is how long each of the stretches is that both sides of a comparison with the baseline are cut into; they do not overlap.
	Sample Duration `json:"sample,omitempty,omitzero"`
	Chart  Chart    `json:"chart,omitzero"`
}

// Mode says when a probe looks.
type Mode string

// The modes.
const (
	AtEnd      Mode = "at-end"     // once, at the end of its phase, over the whole of it or the window before the end
	AtStart    Mode = "at-start"   // once, when the step starts
	Continuous Mode = "continuous" // every Every, judged by Hold
	Eventually Mode = "eventually" // every Every until it holds (for For), at most Within
)

// Hold says what a continuous check may miss. The zero value means "all".
type Hold struct {
	MinRatio  float64  `json:"min_ratio,omitempty"`           // ratio>=95%: 0.95
	MaxBreach Duration `json:"max_breach,omitempty,omitzero"` // breach<=5s: longest stretch that may be missed
}

// Probe is what is looked at. Exactly one pointer is set, the one named by Kind.
type Probe struct {
	Kind     string    `json:"kind"` // promql, ratio, quantile, http, tcp, exec, state
	Promql   *Promql   `json:"promql,omitempty"`
	Ratio    *Ratio    `json:"ratio,omitempty"`
	Quantile *Quantile `json:"quantile,omitempty"`
	HTTP     *HTTP     `json:"http,omitempty"`
	TCP      *TCP      `json:"tcp,omitempty"`
	Exec     *Exec     `json:"exec,omitempty"`
	State    *State    `json:"state,omitempty"`
}

// Metric says whether the probe asks PromQL.
func (p Probe) Metric() bool { return p.Promql != nil || p.Ratio != nil || p.Quantile != nil }

// Promql is an expression; $window is replaced when the window is known.
type Promql struct {
	Query    string `json:"query"`
	Each     string `json:"each,omitempty"` // "", all, any
	NoData   string `json:"no_data"`        // inconclusive, fail, zero
	Presence string `json:"presence,omitempty"`
	// Proportion says that the query divides a part of some events by all of them, so that it takes as many events as a Ratio does.
	Proportion bool `json:"proportion,omitempty"`
}

// Ratio is part of total, as counter selectors.
type Ratio struct {
	Part  string `json:"part"`
	Total string `json:"total"`
}

// Quantile is the Q-quantile of the histogram selected by Of (without _bucket).
type Quantile struct {
	Q  float64 `json:"q"`
	Of string  `json:"of"`
}

// HTTP is a request to a service.
type HTTP struct {
	Service string            `json:"service"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
}

// TCP is a connection attempt.
type TCP struct {
	Service string `json:"service"`
}

// Exec is a command, run without a shell.
type Exec struct {
	Command []string          `json:"command"`
	Env     map[string]string `json:"env,omitempty"`
}

// State reads the state of all instances of a service.
type State struct {
	Service string `json:"service"`
}

// Action is a request or a command that must be carried out: an HTTP status below 400, an exit code 0.
type Action struct {
	HTTP *HTTP `json:"http,omitempty"`
	Exec *Exec `json:"exec,omitempty"`
}

// Op is how a value is compared.
type Op string

// The comparisons. The limits are in the base unit (seconds, a fraction, bytes).
const (
	Min         Op = "min"         // value >= Limit
	Max         Op = "max"         // value <= Limit
	Equals      Op = "equals"      // value == Limit; of text: the text itself
	Between     Op = "between"     // Limit <= value <= High
	MaxIncrease Op = "maxIncrease" // the shift from the baseline's samples, as a part of them, <= Limit
	MaxDecrease Op = "maxDecrease" // the same downwards
	Class       Op = "class"       // http status class: Limit 2 is 2xx
	Contains    Op = "contains"    // of text
	Matches     Op = "matches"     // of text: RE2
	JSONEquals  Op = "json"        // of text: the value at Path equals Text
)

// Expect is one comparison. On names what is compared: "value" of a metric; "status", "latency_seconds", "body" of http; "connected" of
// tcp; "exit_code", "stdout" of exec; "running", "restarts", "oom_killed" of state.
type Expect struct {
	On        string        `json:"on"`
	Op        Op            `json:"op"`
	Limit     float64       `json:"limit"`
	High      float64       `json:"high,omitempty"`
	Text      string        `json:"text,omitempty"`
	Path      string        `json:"path,omitempty"`
	Unit      quantity.Unit `json:"unit,omitempty"`
	Written   string        `json:"written"`             // as the author wrote it: "$p99", "1%"
	Threshold string        `json:"threshold,omitempty"` // name, if it came from thresholds
	Override  string        `json:"override,omitempty"`  // environment that overrode the threshold
}

// Chart is what is drawn for a metric check: a range query over the whole experiment. Query has its window filled in.
type Chart struct {
	Query string `json:"query,omitempty"`
	Unit  string `json:"unit,omitempty"` // seconds, ratio, ""
}
