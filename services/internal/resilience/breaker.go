package resilience

import (
	"context"
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

// ErrOpen is returned at once, without a call, while the breaker is open or its one probe is under way.
var ErrOpen = errors.New("circuit breaker is open")

// The breaker opens after 5 failures in a row, or when at least half of 10 or more calls in the last 2 s failed.
// It lets one probe through after 500 ms and closes when that succeeds.
const (
	consecutiveFailures = 5
	minimumCalls        = 10
	rollingWindow       = 2 * time.Second
	bucketPeriod        = 200 * time.Millisecond
	openFor             = 500 * time.Millisecond
)

// Breaker is a circuit breaker around calls that return T; safe for concurrent use.
type Breaker[T any] = gobreaker.CircuitBreaker[T]

// NewBreaker makes a closed breaker. onChange hears each change of state; it must not call the breaker.
// A caller who went away and a permanent error say nothing against the callee.
func NewBreaker[T any](name string, onChange func(from, to string)) *Breaker[T] {
	return gobreaker.NewCircuitBreaker[T](gobreaker.Settings{
		Name: name, MaxRequests: 1, Interval: rollingWindow, BucketPeriod: bucketPeriod, Timeout: openFor,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= consecutiveFailures || c.Requests >= minimumCalls && 2*c.TotalFailures >= c.Requests
		},
		OnStateChange: func(_ string, from, to gobreaker.State) { onChange(from.String(), to.String()) },
		IsSuccessful:  func(err error) bool { return err == nil || IsPermanent(err) },
		IsExcluded:    func(err error) bool { return errors.Is(err, context.Canceled) },
	})
}

// Break refuses calls with ErrOpen while the breaker is open; a nil breaker refuses none.
func Break[T any](b *Breaker[T], call Call[T]) Call[T] {
	if b == nil {
		return call
	}
	return func(ctx context.Context) (T, error) {
		v, err := b.Execute(func() (T, error) { return call(ctx) })
		if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
			err = ErrOpen
		}
		return v, err
	}
}
