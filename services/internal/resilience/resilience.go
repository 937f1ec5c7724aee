// Package resilience holds the protections that service-a wraps around a call to service-b, and the load shedding of both.
//
// A protection is a function from a call to a call, so a policy is read as their nesting, from the outside in:
//
//	Timeout(deadline, Retry(policy, Break(breaker, Timeout(perAttempt, call))))
//
// A protection that is switched off is not there: its zero setting returns the call unchanged.
package resilience

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Call is one piece of work that may fail. It must return soon after its context ends.
type Call[T any] func(context.Context) (T, error)

// TimeoutError says that a call was given up; it is a context.DeadlineExceeded.
type TimeoutError struct {
	After time.Duration
	Last  error // what the call returned when it was given up
}

func (e *TimeoutError) Error() string        { return fmt.Sprintf("no answer within %s", e.After) }
func (e *TimeoutError) Unwrap() error        { return e.Last }
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Timeout gives the call at most d; 0 is no limit.
// When the limit ran out the error is a *TimeoutError; when the caller's own context ended, it is the call's error.
func Timeout[T any](d time.Duration, call Call[T]) Call[T] {
	if d == 0 {
		return call
	}
	return func(parent context.Context) (T, error) {
		ctx, cancel := context.WithTimeout(parent, d)
		defer cancel()
		v, err := call(ctx)
		if err != nil && ctx.Err() != nil && parent.Err() == nil {
			err = &TimeoutError{After: d, Last: err}
		}
		return v, err
	}
}

// RetryPolicy bounds the retries. The wait before retry n (from 1) is drawn evenly from 0 to min(Cap, Base*2^(n-1)):
// full jitter, which spreads the retries of many callers the most.
type RetryPolicy struct {
	Retries   int // beyond the first attempt; 0 is none
	Base, Cap time.Duration
}

func (p RetryPolicy) wait(retry int) time.Duration {
	limit := p.Cap
	if shifted := p.Base << (retry - 1); shifted > 0 && shifted < limit {
		limit = shifted
	}
	if limit <= 0 {
		return 0
	}
	return rand.N(limit)
}

// permanent marks an error that another attempt cannot mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks err as one that a retry cannot mend and that does not speak against the callee's health.
func Permanent(err error) error { return permanent{err} }

// IsPermanent tells whether err was marked so.
func IsPermanent(err error) bool { return errors.As(err, new(permanent)) }

// Retry repeats a failed call within the policy and the context. It does not repeat what is permanent, nor what an open
// breaker refused. The error is that of the last attempt.
func Retry[T any](p RetryPolicy, call Call[T]) Call[T] {
	if p.Retries == 0 {
		return call
	}
	return func(ctx context.Context) (T, error) {
		for retry := 1; ; retry++ {
			v, err := call(ctx)
			if err == nil || retry > p.Retries || IsPermanent(err) || errors.Is(err, ErrOpen) || !sleep(ctx, p.wait(retry)) {
				return v, err
			}
		}
	}
}

// sleep reports whether the whole wait passed before the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
