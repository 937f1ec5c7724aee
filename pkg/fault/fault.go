// Package fault is the catalogue of faults: prepare, inject, verify, revert. One file per fault, written once against the
// capabilities of package target, and one row in Catalogue.
package fault

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"chaosgate/pkg/target"
)

// Fault is one fault on its targets, from preparation to verified revert. Its methods are called in this order, each at most once
// but for Check and Revert: Prepare, Inject, Check..., Revert. A Fault is used by one goroutine.
type Fault interface {
	// Prepare reads the original state and arms the injector near the target; it changes nothing the target can feel.
	// The undos it answers are written to the journal and synced before Inject is called.
	Prepare(context.Context) ([]target.Undo, error)
	// Inject makes the change and returns when its effect is proven by readback. An error means the effect is not proven;
	// the change may still have been made, so Revert is called all the same.
	Inject(context.Context) (Effect, error)
	// Check reads the effect again while the fault is active, last right before the revert. Effect.Proven false with a nil error
	// means that the fault is no longer, or was never, felt.
	Check(context.Context) (Effect, error)
	// Revert takes the change back and verifies that by readback. It is idempotent and safe if Inject never ran or failed.
	Revert(context.Context) (Effect, error)
}

// Effect is the evidence of an injection, a check or a revert. Proven says whether the readback shows what was to be shown:
// after Inject and Check that the fault is felt, after Revert that it is gone.
type Effect struct {
	Proven   bool               `json:"proven"`
	Summary  string             `json:"summary"`            // a sentence: "round trip service-a -> service-b rose from 1.2ms to 302ms"
	Readings map[string]float64 `json:"readings,omitempty"` // named with unit: "rtt_before_ms"
}

// Request is what a Kind builds a Fault from. All of it was decided and checked by the plan, but for the targets.
type Request struct {
	ID      string // step id; names the fault on its target
	Origin  string // run and experiment; with the ID it names what the fault is to others who share its target
	Runtime target.Runtime
	Targets []target.Target // at least one
	To      string          // peer of a link fault; empty is all peers
	Port    string          // of the callee, by its name, for a link fault; empty is all ports
	Params  Params          // with "database", if a database was named
	OneShot bool            // no duration: the revert is left to the target's restart policy
}

// RevertFunc takes back one undo from a fresh process. It is idempotent, safe if the change was never made, and nil only if the
// readback shows that the change is gone (target.ErrGone counts as gone).
type RevertFunc func(context.Context, target.Runtime, json.RawMessage, target.Ref) error

// Duration says whether a fault takes a duration.
type DurationRule string

// The duration rules.
const (
	DurationOptional DurationRule = "optional" // one-shot without it
	DurationRequired DurationRule = "required"
	DurationNone     DurationRule = "none" // always one-shot
)

// Kind is a row of the catalogue. Everything but New and Revert serves the plan, the schema and the documentation.
type Kind struct {
	Name     string
	Doc      string // one sentence, shown by plan, docs and schema
	Params   []Param
	Needs    []target.Capability
	Duration DurationRule
	Link     bool     // takes target.to
	Sole     bool     // it bears no other fault on a link of its
	Within   string   // the parameter with the directory that it makes read-only, in which it bears no other fault of its kind
	Engines  []Engine // of the databases that it acts on; it takes target.database then
	Writes   bool     // taking it back is a write to the file of its database
	Room     bool     // and needs room on its disk
	Fills    bool     // it takes all the room on the disk of its database
	Loads    bool     // it keeps the whole machine busy where the target cannot confine it
	Silences bool     // it may keep the instance from answering anybody, so that its metrics cannot be read either
	Proof    string   // how the effect is proven, for plan and docs
	// Onset is how long proving the effect takes, for the plan; nil is no time at all.
	Onset func(Params) time.Duration
	// Together checks parameters that are right each by itself against each other; nil if there is nothing to check.
	Together func(Params) []ParamProblem
	New      func(Request) (Fault, error)
	Revert   RevertFunc
}

// TakesPort says whether it acts on links to one port as well, and so takes target.port. What deals with requests has a port of its own: the one named http.
func (k Kind) TakesPort() bool { return k.Link && !slices.Contains(k.Needs, target.CanRequests) }

// StartsAgain says whether a step of it starts what it has taken down, and is over only when that is ready. The step's duration is 0 if it has none.
func (k Kind) StartsAgain(duration time.Duration) bool {
	return slices.Contains(k.Needs, target.CanStart) && (duration > 0 || k.Duration == DurationNone)
}

// Engine is what a database is kept by.
type Engine string

// The engines.
const (
	SQLite     Engine = "SQLite"
	PostgreSQL Engine = "PostgreSQL"
)

// ParamType is the type of a parameter.
type ParamType string

// The parameter types.
const (
	Duration ParamType = "duration" // 300ms
	Bytes    ParamType = "bytes"    // 256MiB
	Rate     ParamType = "rate"     // 1MiB/s
	Percent  ParamType = "percent"  // 80%
	Integer  ParamType = "integer"
	Number   ParamType = "number" // 0.5
	Text     ParamType = "text"
	Path     ParamType = "path" // /data, inside the instance
)

// Param is a parameter of a fault, under `with`.
type Param struct {
	Name     string
	Type     ParamType
	Required bool
	Default  string   // as it would be written; empty is "none"
	Choices  []string // of Text
	Min, Max string   // inclusive, as they would be written; empty is unbounded
	Engine   Engine   // of whose databases only it is; empty is any
	Without  string   // what holds if it is not given, where that is no value that could be written: "one for each CPU"
	Instead  string   // the parameter that can be given in its place
	Doc      string
}
