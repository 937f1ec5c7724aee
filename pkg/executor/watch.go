package executor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
	"chaosgate/pkg/verdict"
)

// watch follows what happens to the instances until the environment is down.
type watch struct {
	mu    sync.Mutex
	exit  context.CancelCauseFunc
	cause error // of an exit that came before there was anything to cancel
	done  chan struct{}
}

// onExit says what to cancel when an instance ends by itself before anything is injected.
func (w *watch) onExit(cancel context.CancelCauseFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.exit = cancel
	if w.cause != nil {
		cancel(w.cause)
	}
}

func (w *watch) cancel(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause = cause; w.exit != nil {
		w.exit(cause)
	}
}

func (x *experiment) watchInstances(context.Context) *watch {
	w := &watch{done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for e := range x.env.Events() {
			if e.Type == target.Lost {
				x.judgeLoss(w, e)
				continue
			}
			x.note(journal.InstanceEvent, "", 0, e)
			x.judgeInstance(w, e)
		}
	}()
	return w
}

// touched is when the system was first touched: by an injection, or by an action of the experiment. It is safe for concurrent use.
type touched struct {
	mu sync.Mutex
	at time.Time
}

func (d *touched) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at.IsZero() {
		d.at = time.Now()
	}
}

// after says whether something that happened at a time was not before that.
func (d *touched) after(t time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.at.IsZero() && !t.Before(d.at)
}

// judgeInstance turns an exit that nothing caused on purpose into a finding. Before anything is injected it ends the experiment: a system that falls by
// itself has no steady state.
func (x *experiment) judgeInstance(w *watch, e target.Event) {
	if e.Type == target.Started {
		x.countStart(e.Instance)
	}
	if e.Type == target.GaveUp {
		x.find("gave-up", e, fmt.Sprintf("%s will not be started again: %s", e.Instance, e.Detail), "")
		return
	}
	if e.Type != target.Exited || e.Expected {
		return
	}
	if x.touched.after(e.Time) {
		x.find("unexpected-exit", e, fmt.Sprintf("%s ended by itself: %s", e.Instance, e.Detail), "")
		return
	}
	reason := fmt.Sprintf("%s ended by itself before anything was injected: %s", e.Instance, e.Detail)
	x.find("unexpected-exit", e, reason, verdict.Inconclusive.String())
	w.cancel(abortError{journal.AbortInfo{Cause: "steady-state", By: e.Instance, Reason: reason}})
}

// judgeLoss ends the experiment when its environment is lost from sight, whatever comes of it: from then on nothing can be told apart from what that has done.
func (x *experiment) judgeLoss(w *watch, e target.Event) {
	x.note(journal.FindingNoted, "", 0, journal.Finding{Kind: "environment-lost", Subject: x.plan.Environment, Message: e.Detail, At: e.Time, Closes: verdict.Error.String()})
	w.cancel(abortError{journal.AbortInfo{Cause: "error", Reason: "the environment was lost from sight"}})
}

func (x *experiment) find(kind string, e target.Event, message, closes string) {
	x.note(journal.FindingNoted, "", 0, journal.Finding{Kind: kind, Subject: e.Instance, Message: message, At: e.Time, Closes: closes})
}

// watchAbort looks at the abort conditions every scrape interval. A breach cancels everything.
func (x *experiment) watchAbort(ctx context.Context, abort context.CancelCauseFunc) {
	var watching sync.WaitGroup
	for _, c := range x.plan.Abort {
		watching.Go(func() { x.watchCondition(ctx, c, abort) })
	}
	watching.Wait()
}

func (x *experiment) watchCondition(ctx context.Context, c plan.Check, abort context.CancelCauseFunc) {
	began := time.Now()
	every := time.Duration(max(c.Every, x.plan.Interval))
	c.Window = max(c.Window, 4*x.plan.Interval)
	var looks []journal.Observation
	for next := began; sleep(ctx, next) == nil; next = next.Add(every) {
		o := x.look(ctx, c, x.window(journal.Method, x.began, time.Now()), began)
		if ctx.Err() != nil {
			return
		}
		x.note(journal.Looked, c.ID, 1, o)
		looks = append(looks, o)
		if j, breached := verdict.Breached(c, looks); breached {
			abort(abortError{journal.AbortInfo{Cause: "condition", By: c.ID, Reason: c.ID + ": " + j.Reason}})
			return
		}
	}
}
