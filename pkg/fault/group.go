package fault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"chaosgate/pkg/target"
)

// subject is a fault on one instance or one link. Its methods are those of Fault, and are called in the same order.
type subject interface {
	name() string // "service-a-1", "service-a -> service-b"
	Fault
}

// group is a fault on several subjects at once. It is proven if it is proven on each.
type group []subject

// Prepare implements Fault.
func (g group) Prepare(ctx context.Context) ([]target.Undo, error) {
	undos := make([][]target.Undo, len(g))
	_, err := g.all(func(i int, s subject) (_ Effect, err error) {
		undos[i], err = s.Prepare(ctx)
		return Effect{Proven: true}, err
	})
	var flat []target.Undo
	for _, u := range undos {
		flat = append(flat, u...)
	}
	return flat, err
}

// Inject implements Fault.
func (g group) Inject(ctx context.Context) (Effect, error) {
	return g.all(func(_ int, s subject) (Effect, error) { return s.Inject(ctx) })
}

// Check implements Fault.
func (g group) Check(ctx context.Context) (Effect, error) {
	return g.all(func(_ int, s subject) (Effect, error) { return s.Check(ctx) })
}

// Revert implements Fault. One that fails does not keep the others from being reverted.
func (g group) Revert(ctx context.Context) (Effect, error) {
	return g.all(func(_ int, s subject) (Effect, error) { return s.Revert(ctx) })
}

// all does something to all subjects at the same time and puts together what came of it.
func (g group) all(do func(int, subject) (Effect, error)) (Effect, error) {
	effects, failures := make([]Effect, len(g)), make([]error, len(g))
	var busy sync.WaitGroup
	for i, s := range g {
		busy.Go(func() {
			effects[i], failures[i] = do(i, s)
			if failures[i] != nil {
				effects[i].Proven = false
				failures[i] = fmt.Errorf("%s: %w", s.name(), failures[i])
			}
		})
	}
	busy.Wait()
	return g.merge(effects), errors.Join(failures...)
}

// merge puts effects together; readings of several subjects carry the subject's name. No subject at all proves nothing.
func (g group) merge(effects []Effect) Effect {
	whole := Effect{Proven: len(g) > 0, Readings: map[string]float64{}}
	var said []string
	for i, e := range effects {
		whole.Proven = whole.Proven && e.Proven
		if e.Summary != "" {
			said = append(said, e.Summary)
		}
		if len(g) == 1 {
			maps.Copy(whole.Readings, e.Readings)
			continue
		}
		for name, v := range e.Readings {
			whole.Readings[g[i].name()+": "+name] = v
		}
	}
	whole.Summary = strings.Join(said, "; ")
	return whole
}

// able finds a capability of the runtime.
func able[T any](r target.Runtime, needed target.Capability) (T, error) {
	can, ok := r.(T)
	if !ok {
		return can, fmt.Errorf("target %s cannot %s", r.Name(), needed)
	}
	return can, nil
}

// Polling begins fast, so that a proof costs little, and slows down, so that waiting does.
const (
	pollFirst = time.Millisecond
	pollLast  = 20 * time.Millisecond
)

// until asks again and again until the answer is yes or an error, or the limit is over, which is not an error but a no. An ended ctx is an error.
func until(ctx context.Context, limit time.Duration, ask func(context.Context) (bool, error)) (bool, error) {
	over := time.Now().Add(limit)
	for wait := pollFirst; ; wait = min(wait*3/2, pollLast) {
		if yes, err := ask(ctx); yes || err != nil {
			return yes, err
		}
		if time.Now().After(over) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// breathe waits between two looks at something slow.
func breathe(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pollLast):
		return nil
	}
}

// milliseconds is a reading.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// count is "1 worker" or "2 workers".
func count[N int | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// show writes a time as people read it.
func show(d time.Duration) string {
	switch {
	case d >= 100*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}
