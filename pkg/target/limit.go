package target

import (
	"context"
	"encoding/json"
)

// Resource is what can be limited.
type Resource string

// The resources. An amount of CPU is so many processors' time, an amount of memory so many bytes.
const (
	CPU    Resource = "CPU"
	Memory Resource = "memory"
)

// Limit is how much of a resource an instance may use.
type Limit struct {
	Resource Resource `json:"resource"`
	// Amount is what it may use; without a limit of its own all that its machine has.
	Amount float64 `json:"amount"`
	// Least is the lowest amount that the limit can be set to.
	Least float64 `json:"least"`
	// Lowered means that a fault of this run has lowered it, and has not given it back yet.
	Lowered bool `json:"lowered,omitempty"`
	// Exact is the limit as the adapter writes it: with the resource all that RestoreLimit needs.
	Exact json.RawMessage `json:"exact"`
	// Manual is the command by which a person sets this limit; empty if there is none.
	Manual string `json:"-"`
}

// Limiter lowers limits. What an instance may use survives its restarts.
type Limiter interface {
	LimitRestorer
	// Limit reads a limit. One that RestoreLimit could not set again once it was lowered is an error that says what to do about it.
	Limit(context.Context, Target, Resource) (Limit, error)
	// LowerLimit sets a limit that was read by Limit to another amount, and reads that back. After an error some of it may be done.
	LowerLimit(ctx context.Context, t Target, was Limit, amount float64) error
	// Strain reads how the instance has met its limits since it was last started; all is zero if it does not run.
	Strain(context.Context, Target) (Strain, error)
}

// LimitRestorer gives limits back, also from a fresh process.
type LimitRestorer interface {
	// RestoreLimit sets a limit as it was read by Limit, and verifies that by readback. It is idempotent, and safe if the limit was never lowered.
	RestoreLimit(ctx context.Context, t Target, was Limit) error
}

// Strain is how an instance has met its limits.
type Strain struct {
	Throttled    int64    // periods, of a tenth of a second mostly, in which it had to wait for its CPU limit
	ThrottledFor Duration // how long its threads have waited then, all together
	Memory       int64    // bytes in use now, the files that the kernel holds for it included
	MemoryMet    int64    // how often it wanted a page beyond its memory limit; 0 where that is not counted
}
