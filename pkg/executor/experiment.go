package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/probe"
	"chaosgate/pkg/target"
	"chaosgate/pkg/verdict"
)

// downTimeout bounds taking an environment down, and revertTimeout one attempt to revert a fault: neither may hang for ever on a target that does not answer. Where slow services
// are waited for in them, they are longer by target.Patience.
const (
	downTimeout   = time.Minute
	revertTimeout = 30 * time.Second
	revertTries   = 3
)

// experiment is one experiment on its way.
type experiment struct {
	plan    plan.Plan
	mode    Mode
	parts   Parts
	journal *journal.Writer
	failRun context.CancelCauseFunc // ends the whole run: the journal cannot be written

	env     target.Environment
	metrics Metrics
	deps    probe.Deps

	began                time.Time // traffic runs from here on
	steadyFrom, steadyTo time.Time
	recoveredAt          time.Time // when the recovery was over, however it ended
	recovered            bool
	recoveryTook         time.Duration // from the end of the last fault, if it recovered
	faults               map[string]*faultRun
	aborted              sync.Once
	touched              touched
	clock                *clockWatch
	starts               starts
	outside              lookedOver
}

// starts counts how often the process of each instance was started.
type starts struct {
	mu sync.Mutex
	of map[string]int
}

func (x *experiment) countStart(instance string) {
	x.starts.mu.Lock()
	defer x.starts.mu.Unlock()
	x.starts.of[instance]++
}

func (x *experiment) startsOf(instance string) int {
	x.starts.mu.Lock()
	defer x.starts.mu.Unlock()
	return x.starts.of[instance]
}

func newExperiment(p plan.Plan, w *journal.Writer, parts Parts, mode Mode, failRun context.CancelCauseFunc) *experiment {
	x := &experiment{plan: p, mode: mode, parts: parts, journal: w, failRun: failRun, faults: map[string]*faultRun{}, starts: starts{of: map[string]int{}}}
	x.clock = newClockWatch(parts.Clock, time.Duration(p.Interval))
	for _, s := range p.Steps {
		if s.Fault != nil {
			x.faults[s.ID] = newFaultRun(s)
		}
	}
	return x
}

// note writes an event. A journal that cannot be written ends the run: nothing may happen that is not recorded.
func (x *experiment) note(t journal.Type, step string, attempt int, data any) {
	err := x.journal.Append(journal.Entry{Type: t, Experiment: x.plan.Name, Step: step, Attempt: attempt, Data: data})
	if err != nil {
		x.failRun(err)
	}
}

// run carries the experiment out, from the environment's start to its verified end.
func (x *experiment) run(ctx context.Context) {
	x.note(journal.ExperimentStarted, "", 0, nil)
	result := journal.ExperimentResult{Outcome: journal.Outcome{OK: true}, Critical: x.plan.Expected}
	wall, err := x.inEnvironment(ctx)
	if err != nil {
		result.Outcome = journal.Outcome{Error: err.Error()}
	}
	result.Wall = target.Duration(wall)
	if ctx.Err() != nil {
		x.noteAborted(context.Cause(ctx))
	}
	x.note(journal.ExperimentEnded, "", 0, result)
}

// inEnvironment starts the environment, does the work and takes the environment down. The environment's own undo is recorded before anything of it exists,
// and is done when Down has verified that nothing is left.
func (x *experiment) inEnvironment(ctx context.Context) (wall time.Duration, err error) {
	env, err := x.parts.Open(x.plan)
	if err != nil {
		return 0, fmt.Errorf("open the environment: %w", err)
	}
	x.env = env
	defer func() { err = errors.Join(err, env.Close()) }()
	var undos []string
	before := time.Now()
	err = env.Up(ctx, x.recordIn(&undos))
	if err != nil {
		x.undone(undos, x.down(ctx))
		return 0, fmt.Errorf("start the environment: %w", err)
	}
	watched := x.watchInstances(ctx)
	x.note(journal.EnvironmentUp, "", 0, journal.EnvironmentInfo{Took: target.Duration(time.Since(before)), Services: x.measured()})
	wall, err = x.timed(ctx, watched)
	x.undone(undos, x.down(ctx))
	<-watched.done
	return wall, err
}

// recordUndo puts an undo on disk. After an error the change must not be made: nobody would take it back if this process were killed.
func (x *experiment) recordUndo(step string, u target.Undo) error {
	if err := x.parts.Guarded(); err != nil {
		return err
	}
	return x.journal.RecordUndo(x.plan.Name, step, u)
}

// recordIn records undos of the experiment itself and keeps their names.
func (x *experiment) recordIn(ids *[]string) target.RecordUndo {
	return func(u target.Undo) error {
		*ids = append(*ids, u.ID)
		return x.recordUndo("", u)
	}
}

func (x *experiment) down(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), target.Patience(downTimeout, time.Duration(x.plan.Ready)))
	defer cancel()
	err := x.env.Down(ctx)
	out := journal.Outcome{OK: err == nil}
	if err != nil {
		out.Error = err.Error()
	}
	x.note(journal.EnvironmentDown, "", 0, out)
	return err
}

func (x *experiment) undone(ids []string, err error) {
	for _, id := range ids {
		x.note(journal.UndoDone, "", 0, undoResult(id, err))
	}
}

func undoResult(id string, err error) journal.UndoResult {
	r := journal.UndoResult{ID: id, Verified: err == nil, By: "run"}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

// timed is what the plan's expected duration is about: everything between the environment's start and its end.
func (x *experiment) timed(ctx context.Context, watched *watch) (wall time.Duration, err error) {
	x.began = time.Now()
	ctx, stop := context.WithTimeoutCause(ctx, time.Duration(x.plan.Timeout), timedOut(x.plan.Timeout))
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched.onExit(cancel)
	unwatch := context.AfterFunc(ctx, func() { x.noteAborted(context.Cause(ctx)) })
	defer unwatch()
	load, err := x.parts.Load(ctx, x.plan, x.env)
	if err != nil {
		return time.Since(x.began), unlessCancelled(ctx, "start the traffic", err)
	}
	var judged journal.Stretch // by its traffic: what comes before and after may hold that up, as it asks a lot of the machine
	defer func() { x.stopLoad(ctx, load, judged) }()
	var undos []string
	x.metrics, err = x.parts.Measure(ctx, x.plan, x.env, load, x.recordIn(&undos))
	if err != nil {
		return time.Since(x.began), unlessCancelled(ctx, "start measuring", err)
	}
	defer func() {
		closed := x.metrics.Close()
		x.undone(undos, closed)
		err = errors.Join(err, closed)
	}()
	x.note(journal.Measuring, "", 0, journal.MeasuringInfo{Source: x.metrics.Describe(), Interval: x.plan.Interval})
	x.deps = x.parts.Deps
	x.deps.Source, x.deps.Environment = x.metrics, x.env
	judged.From = time.Now()
	x.work(ctx, cancel)
	judged.To = time.Now()
	if ctx.Err() != nil {
		x.noteAborted(context.Cause(ctx))
	}
	wall = time.Since(x.began)
	unwatch()
	x.keepEvidence(ctx)
	return wall, err
}

// unlessCancelled is the error of something that failed, unless all that it says is that the experiment had ended: why it has is told by its abort.
func unlessCancelled(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func (x *experiment) stopLoad(ctx context.Context, load Load, judged journal.Stretch) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downTimeout)
	defer cancel()
	problem, missed := load.Stop(ctx, judged)
	if problem == "" {
		return
	}
	f := journal.Finding{Kind: "traffic", Subject: "traffic", Message: problem}
	if missed > 0 { // how callers would have fared with them is not known, and they are missed most when services hang
		f.Closes = verdict.Inconclusive.String()
	}
	x.note(journal.FindingNoted, "", 0, f)
}

// work is the experiment proper: nothing is injected unless the steady state was met.
func (x *experiment) work(ctx context.Context, cancel context.CancelCauseFunc) {
	met := x.steadyState(ctx)
	if !met || x.mode == DryRun || ctx.Err() != nil {
		x.disarm(ctx)
		return
	}
	if x.mode == ScrapeCut {
		x.metrics.Cut()
	}
	x.method(ctx, cancel)
}

// noteAborted says once why the experiment ended early.
func (x *experiment) noteAborted(cause error) {
	x.aborted.Do(func() {
		info := abortInfo(cause)
		x.note(journal.Aborted, "", 0, info)
	})
}

func (x *experiment) startPhase(name journal.PhaseName) {
	x.note(journal.PhaseStarted, "", 0, journal.Phase{Name: name})
}

func (x *experiment) endPhase(name journal.PhaseName) {
	x.note(journal.PhaseEnded, "", 0, journal.Phase{Name: name})
}

// flush completes the scrapes up to now. A target that does not answer shows in its own series; only a broken source is an error, and
// that shows in every look.
func (x *experiment) flush(ctx context.Context) {
	if err := x.metrics.Flush(ctx); err != nil && ctx.Err() == nil {
		x.note(journal.FindingNoted, "", 0, journal.Finding{Kind: "scrape-failed", Subject: "metrics", Message: err.Error(), At: time.Now()})
	}
}
