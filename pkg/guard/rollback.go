// Package guard undoes what a run left behind: as a process of its own that outlives the runner, on `chaos rollback`, and it knows which runs
// may still have something to undo.
package guard

import (
	"context"
	"errors"
	"fmt"
	"time"

	multierror "github.com/hashicorp/go-multierror"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/target"
)

// RevertFunc takes back one undo from a fresh process. nil means that the readback shows it is gone; target.ErrGone counts as that.
type RevertFunc func(context.Context, target.Undo) error

// undoTimeout bounds one undo, so that one that hangs does not keep the others from being done. One that starts a slow service has target.Patience.
const undoTimeout = time.Minute

// Result says what a rollback did.
type Result struct {
	Released bool // of a guard: the runner said that nothing was left to do
	Done     []journal.PendingUndo
	Pending  []journal.PendingUndo // still not verified as undone
}

// Rollback does every pending undo of a journal, the newest first, and records each end in the journal. One that fails does not stop the
// others, and is tried again after them: the end of its environment may be its own. All errors that remain are returned together. It must not run while the
// journal's runner lives; while another process rolls the same journal back, it waits.
func Rollback(ctx context.Context, path, by string, revert RevertFunc) (Result, error) {
	waiting, cancel := context.WithTimeout(ctx, undoTimeout)
	defer cancel()
	w, events, err := journal.Resume(waiting, path)
	if errors.Is(err, journal.ErrEmpty) {
		return Result{}, nil // it died before it had changed anything
	}
	if err != nil {
		return Result{}, err
	}
	pending, err := journal.Pending(events)
	if err != nil {
		return Result{}, errors.Join(err, w.Close())
	}
	r := rollback{w: w, by: by, revert: revert, result: Result{Pending: pending}}
	for before := -1; len(r.result.Pending) > 0 && len(r.result.Pending) != before; {
		before = len(r.result.Pending)
		err = r.pass(ctx)
	}
	return r.result, errors.Join(err, w.Close())
}

// rollback is one on its way.
type rollback struct {
	w      *journal.Writer
	by     string
	revert RevertFunc
	result Result
}

// pass tries all that is pending once.
func (r *rollback) pass(ctx context.Context) error {
	var failures *multierror.Error
	var left []journal.PendingUndo
	for _, p := range r.result.Pending {
		err := undo(ctx, p, r.revert)
		if err == nil {
			r.result.Done = append(r.result.Done, p)
		} else {
			left = append(left, p)
			failures = multierror.Append(failures, fmt.Errorf("%s on %s: %w", p.Kind, subject(p), err))
		}
		if err := note(r.w, p, r.by, err); err != nil {
			failures = multierror.Append(failures, err)
		}
	}
	r.result.Pending = left
	return failures.ErrorOrNil()
}

func subject(p journal.PendingUndo) string {
	if p.Target.Instance != "" {
		return p.Target.Instance
	}
	return "experiment " + p.Experiment
}

func undo(ctx context.Context, p journal.PendingUndo, revert RevertFunc) error {
	ctx, cancel := context.WithTimeout(ctx, target.Patience(undoTimeout, time.Duration(p.Ready)))
	defer cancel()
	err := revert(ctx, p.Undo)
	if errors.Is(err, target.ErrGone) {
		return nil
	}
	return err
}

func note(w *journal.Writer, p journal.PendingUndo, by string, err error) error {
	r := journal.UndoResult{ID: p.ID, Verified: err == nil, By: by}
	if err != nil {
		r.Error = err.Error()
	}
	return w.Append(journal.Entry{Type: journal.UndoDone, Experiment: p.Experiment, Step: p.Step, Data: r})
}
