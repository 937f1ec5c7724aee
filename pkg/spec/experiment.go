// Package spec is the experiment and chaos.yaml as written, with positions.
//
// Load reads files, checks them against the published JSON Schema and then for what a schema cannot say, and reports all problems
// of all files at once. It decides nothing: thresholds, defaults and environments are the plan's business, so quantities stay text here
// (checked to be well-formed, or to be a "$name").
package spec

// APIVersion is the only format version there is.
const APIVersion = "chaos/v1"

// Experiment is one file (or one combination of a matrix, see Expand).
type Experiment struct {
	Doc *Document `yaml:"-" json:"-"` // where everything stands

	APIVersion  string              `yaml:"apiVersion"`
	Name        string              `yaml:"name"`
	Title       string              `yaml:"title"`
	Description string              `yaml:"description"`
	Owner       string              `yaml:"owner"`
	Tags        []string            `yaml:"tags"`
	Timeout     string              `yaml:"timeout"`
	Thresholds  map[string]string   `yaml:"thresholds"`
	Traffic     []Traffic           `yaml:"traffic"`
	SteadyState []Step              `yaml:"steadyState"` // probes only
	Recovery    Recovery            `yaml:"recovery"`
	Steps       []Step              `yaml:"steps"`
	AbortWhen   []Step              `yaml:"abortWhen"` // promql, ratio and quantile only
	Matrix      map[string][]string `yaml:"matrix"`
}

// Traffic is a constant open-model load on one path.
type Traffic struct {
	Service string            `yaml:"service"`
	Path    string            `yaml:"path"`
	Method  string            `yaml:"method"` // default GET
	Rate    string            `yaml:"rate"`
	Headers map[string]string `yaml:"headers"`
	Body    string            `yaml:"body"`
	Timeout string            `yaml:"timeout"` // default 5s
}

// Recovery says by when the whole steady state must hold again, and for how long.
type Recovery struct {
	Within string `yaml:"within"`
	For    string `yaml:"for"`
}

// Step is a step, a steady-state check or an abort condition. Exactly one of Fault, Promql, Ratio, Quantile, HTTP, TCP, Exec, State,
// Check, Wait and Action is set.
type Step struct {
	ID string `yaml:"id"`

	Fault    string    `yaml:"fault"`
	Promql   *Promql   `yaml:"promql"`
	Ratio    *Ratio    `yaml:"ratio"`
	Quantile *Quantile `yaml:"quantile"`
	HTTP     *HTTP     `yaml:"http"`
	TCP      *TCP      `yaml:"tcp"`
	Exec     *Exec     `yaml:"exec"`
	State    *State    `yaml:"state"`
	Check    string    `yaml:"check"`
	Wait     string    `yaml:"wait"`
	Action   *Action   `yaml:"action"`

	Target   *Target           `yaml:"target"`
	With     map[string]string `yaml:"with"`
	Duration string            `yaml:"duration"`

	Needs    []string `yaml:"needs"`
	During   string   `yaml:"during"`
	When     string   `yaml:"when"` // pass, fail, always
	Window   string   `yaml:"window"`
	Every    string   `yaml:"every"`
	For      string   `yaml:"for"`
	Within   string   `yaml:"within"`
	Hold     string   `yaml:"hold"`     // all, ratio>=95%, breach<=5s
	Baseline string   `yaml:"baseline"` // before
	Timeout  string   `yaml:"timeout"`
	Retry    *Retry   `yaml:"retry"`
	Required *bool    `yaml:"required"`
	Expect   *Expect  `yaml:"expect"`
}

// Target is the blast radius.
type Target struct {
	Service   Names  `yaml:"service"` // one name or a list
	To        string `yaml:"to"`
	Port      string `yaml:"port"`      // of the callee, by its name
	Instances string `yaml:"instances"` // one, all, N, N%
	Pick      string `yaml:"pick"`      // random: one of the services, from the run's seed
	Database  string `yaml:"database"`
}

// Names is one name or a list of names.
type Names []string

// Promql is an expression; the short form is a string.
type Promql struct {
	Query    string `yaml:"query"`
	Each     string `yaml:"each"`     // all, any
	NoData   string `yaml:"noData"`   // inconclusive, fail, zero
	Presence string `yaml:"presence"` // selector that must have data, for noData: zero
}

// Ratio is part of total, as selectors of counters.
type Ratio struct {
	Part  string `yaml:"part"`
	Total string `yaml:"total"`
}

// Quantile is a quantile of a classic histogram, named by its selector without _bucket.
type Quantile struct {
	Q  string `yaml:"q"`
	Of string `yaml:"of"`
}

// HTTP is one request.
type HTTP struct {
	Service string            `yaml:"service"`
	Path    string            `yaml:"path"`
	Method  string            `yaml:"method"`
	Headers map[string]string `yaml:"headers"`
	Body    string            `yaml:"body"`
}

// TCP is one connection attempt.
type TCP struct {
	Service string `yaml:"service"`
}

// Exec is a command, run without a shell in the project's folder.
type Exec struct {
	Command []string          `yaml:"command"`
	Env     map[string]string `yaml:"env"`
}

// State reads the state of a service's instances; all of them must meet the expectation.
type State struct {
	Service string `yaml:"service"`
}

// Action is a request or a command that is not judged, but must be carried out.
type Action struct {
	HTTP *HTTP `yaml:"http"`
	Exec *Exec `yaml:"exec"`
}

// Retry repeats a step that could not be carried out or did not hold.
type Retry struct {
	Times string `yaml:"times"` // further attempts
	Every string `yaml:"every"`
}

// Expect is what a probe must show. Which keys fit which probe is checked by Load.
type Expect struct {
	// promql, ratio, quantile
	Min         string   `yaml:"min"`
	Max         string   `yaml:"max"`
	Equals      string   `yaml:"equals"`
	Between     []string `yaml:"between"`
	MaxIncrease string   `yaml:"maxIncrease"`
	MaxDecrease string   `yaml:"maxDecrease"`
	// http
	Status  string `yaml:"status"` // 200, or a class: 2xx
	Body    *Body  `yaml:"body"`
	Latency string `yaml:"latency"` // at most
	// exec
	ExitCode string `yaml:"exitCode"`
	Stdout   *Body  `yaml:"stdout"`
	// tcp
	Connects *bool `yaml:"connects"`
	// state
	Running   *bool  `yaml:"running"`
	Restarts  string `yaml:"restarts"` // at most
	OOMKilled *bool  `yaml:"oomKilled"`
}

// Body is what a text must show; all that is given must hold.
type Body struct {
	Contains string    `yaml:"contains"`
	Matches  string    `yaml:"matches"` // RE2
	JSON     *JSONPath `yaml:"json"`
}

// JSONPath is a value in a JSON body: path "a.b[0].c" and what it equals, as text.
type JSONPath struct {
	Path   string `yaml:"path"`
	Equals string `yaml:"equals"`
}
