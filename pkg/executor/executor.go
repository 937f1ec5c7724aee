// Package executor walks plans and records what happens. It decides nothing and judges nothing beyond what it must act on, and for that it asks the
// same pure functions that later judge the journal. Whatever happens, it rolls back what it has begun.
package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/probe"
	"chaosgate/pkg/target"
)

// Metrics is a source that can be asked to look at everything right now.
type Metrics interface {
	metrics.Source
	// Flush returns when every target has been scraped after the call, or has failed to answer. A window that ends with a Flush is complete.
	Flush(context.Context) error
	// Resets lists the counters of some services that fell in a stretch of time.
	Resets(ctx context.Context, services []string, from, to time.Time) ([]metrics.Reset, error)
	// Cut stops reading: from here on nothing new is seen, as if the targets were not reached any more. What was seen stays.
	Cut()
	Close() error
}

// Load is running traffic. Stop ends it and says in a sentence if it could not keep its rate, and how many requests that were due in a stretch of time were never sent.
type Load interface {
	Stop(ctx context.Context, judged journal.Stretch) (problem string, missed uint64)
}

// Parts are what an executor works with. They are called for each experiment, from several goroutines.
type Parts struct {
	Run     string // its id, by which what faults are to others is known as its own
	Open    func(plan.Plan) (target.Environment, error)
	Guarded func() error // nil if somebody would take back a change, should this process be killed; asked before each
	Load    func(context.Context, plan.Plan, target.Environment) (Load, error)
	// Measure records what has to be undone before it makes it; the Close of what it answers undoes it, or Measure itself if it fails.
	Measure func(context.Context, plan.Plan, target.Environment, Load, target.RecordUndo) (Metrics, error)
	Fault   func(kind string) (fault.Kind, bool)
	Look    func(context.Context, probe.Deps, plan.Check, probe.Window) journal.Observation
	Act     func(context.Context, probe.Deps, plan.Action) error
	Clock   Clock      // nil is the machine's own
	Deps    probe.Deps // its Source and Environment are filled in for each experiment
}

// Options say how plans are run.
type Options struct {
	Jobs int  // experiments at once, at least 1
	Mode Mode // what is left out
}

// Mode says what is left out of a run.
type Mode string

// The modes.
const (
	Inject Mode = "inject"  // everything
	DryRun Mode = "dry-run" // everything but injection
	// The controls show that the gate can close. WithoutFault arms each fault and reads back its effect as if it had been injected; ScrapeCut stops reading metrics
	// when the steady state has been met.
	WithoutFault Mode = "without-fault"
	ScrapeCut    Mode = "scrape-cut"
)

// Interrupted is the cause with which a context is cancelled to end a run early, after rollback.
type Interrupted struct{ Signal string } // "SIGINT"

func (i Interrupted) Error() string { return "interrupted by " + i.Signal }

// Run carries out the plans and returns when everything is rolled back. The error is about the run as such (the journal cannot be written); what became
// of the experiments is in the journal. With several jobs those that bear nobody beside them go first, one by one, and then the longest start first.
func Run(ctx context.Context, w *journal.Writer, plans []plan.Plan, parts Parts, opts Options) error {
	for _, p := range plans {
		if err := w.Append(journal.Entry{Type: journal.Planned, Experiment: p.Name, Data: p}); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go watchJournal(ctx, w, cancel)
	alone, beside := schedule(plans, opts.Jobs)
	for _, turn := range []struct {
		plans []plan.Plan
		lanes int
	}{{alone, 1}, {beside, opts.Jobs}} {
		runLanes(turn.lanes, turn.plans, func(p plan.Plan) bool {
			if ctx.Err() != nil {
				return false
			}
			newExperiment(p, w, parts, opts.Mode, cancel).run(ctx)
			return true
		})
	}
	return endRun(context.Cause(ctx), w)
}

// journalInterval is how often a run in which nothing happens sees whether its journal can still be written.
const journalInterval = 500 * time.Millisecond

// watchJournal ends the run when its journal is gone, which is seen at the next event otherwise, a minute later perhaps.
func watchJournal(ctx context.Context, w *journal.Writer, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(journalInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := w.Usable(); err != nil {
				cancel(err)
				return
			}
		}
	}
}

// endRun records how the run as a whole ended, and why if that was early.
func endRun(cause error, w *journal.Writer) error {
	end := journal.Outcome{OK: cause == nil}
	if cause != nil {
		end.Error = cause.Error()
		if err := w.Append(journal.Entry{Type: journal.Aborted, Data: abortInfo(cause)}); err != nil {
			return err
		}
	}
	return w.Append(journal.Entry{Type: journal.RunEnded, Data: end})
}

// schedule keeps the given order for one lane. On several, those that must run alone are taken out, and of the others the longest go first, which packs them best.
func schedule(plans []plan.Plan, jobs int) (alone, beside []plan.Plan) {
	if jobs <= 1 {
		return nil, plans
	}
	for _, p := range plans {
		if p.BearsNobody() {
			alone = append(alone, p)
		} else {
			beside = append(beside, p)
		}
	}
	slices.SortStableFunc(beside, func(a, b plan.Plan) int { return int(b.Expected - a.Expected) })
	return alone, beside
}

// runLanes hands the plans out to lanes that walk them at the same time; a lane ends when do answers false.
func runLanes(lanes int, plans []plan.Plan, do func(plan.Plan) bool) {
	queue := make(chan plan.Plan, len(plans))
	for _, p := range plans {
		queue <- p
	}
	close(queue)
	var busy sync.WaitGroup
	for range max(1, lanes) {
		busy.Go(func() {
			for p := range queue {
				if !do(p) {
					return
				}
			}
		})
	}
	busy.Wait()
}

// abortError is why an experiment was cancelled.
type abortError struct{ journal.AbortInfo }

func (e abortError) Error() string { return e.Reason }

// abortInfo turns the cause of a cancelled context into what the journal says about it.
func abortInfo(cause error) journal.AbortInfo {
	var abort abortError
	if errors.As(cause, &abort) {
		return abort.AbortInfo
	}
	var interrupted Interrupted
	if errors.As(cause, &interrupted) {
		return journal.AbortInfo{Cause: "interrupt", By: interrupted.Signal, Reason: cause.Error()}
	}
	return journal.AbortInfo{Cause: "error", Reason: cause.Error()}
}

func timedOut(limit plan.Duration) error {
	return abortError{journal.AbortInfo{Cause: "timeout", Reason: fmt.Sprintf("the experiment was not done within its timeout of %v", time.Duration(limit))}}
}

// sleep waits until t or until ctx is done, and says which: nil or the cause.
func sleep(ctx context.Context, until time.Time) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	d := time.Until(until)
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
