package journal

import (
	"time"

	"chaosgate/pkg/target"
)

// Signals is what was measured at every place of the plan before, during and after one fault. Nothing in it is judged.
type Signals struct {
	// Struck is when the injection began. What came before it was not the fault's doing.
	Struck time.Time `json:"struck"`
	Before Stretch   `json:"before"` // the steady state
	During Stretch   `json:"during"` // from the injection until the fault was over; of a fault that happens once, until the steady state held again
	After  Stretch   `json:"after,omitzero"`
	// Step is the distance of the samples. Each covers twice that, up to its time.
	Step   target.Duration `json:"step"`
	Places []PlaceSignals  `json:"places"`
	Error  string          `json:"error,omitempty"` // why not everything could be asked
}

// Stretch is a part of the run.
type Stretch struct {
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// Length is how long it lasts; 0 of one that there was not.
func (s Stretch) Length() time.Duration { return s.To.Sub(s.From) }

// PlaceSignals is one place's share.
type PlaceSignals struct {
	Place string `json:"place"`
	// SlowerThan is what counts as slow, in seconds: the first bound of the histogram that is at least twice the 0.99-quantile of Before.
	SlowerThan *float64       `json:"slower_than,omitempty"`
	Before     Amounts        `json:"before"`
	During     Amounts        `json:"during"`
	After      Amounts        `json:"after,omitzero"`
	Samples    []SignalSample `json:"samples,omitempty"`
}

// Amounts are what a place counted in a stretch. What was not measured, or is no finite number, is nil.
type Amounts struct {
	Requests *float64 `json:"requests,omitempty"`
	Errors   *float64 `json:"errors,omitempty"` // of the requests
	Inside   *float64 `json:"inside,omitempty"` // errors inside, seen by the callers or not
	Mean     *float64 `json:"mean,omitempty"`   // latency in seconds
	P99      *float64 `json:"p99,omitempty"`    // likewise; the last bound of the histogram if it lies beyond
	Slow     *float64 `json:"slow,omitempty"`   // requests slower than SlowerThan
	Missed   *float64 `json:"missed,omitempty"` // scrapes that failed
}

// SignalSample is what a place counted in the Step before T and the one before that.
type SignalSample struct {
	T        int64    `json:"t"` // Unix milliseconds
	Requests *float64 `json:"requests,omitempty"`
	Errors   *float64 `json:"errors,omitempty"`
	Inside   *float64 `json:"inside,omitempty"`
	Mean     *float64 `json:"mean,omitempty"`
	Slow     *float64 `json:"slow,omitempty"`
	Missed   *float64 `json:"missed,omitempty"`
}
