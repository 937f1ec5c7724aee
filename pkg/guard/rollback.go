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

// undoTimeout bounds one undo, so that one that hangs does not keep the others from being done.
const undoTimeout = 30 * time.Second

// Result says what a rollback did.
type Result struct {
	Done    []journal.PendingUndo
	Pending []journal.PendingUndo // still not verified as undone
}

// Rollback does every pending undo of a journal, the newest first, and records each end in the journal. One that fails does not stop the
// others; all their errors are returned together. It must not run while the journal's runner lives.
func Rollback(ctx context.Context, path, by string, revert RevertFunc) (Result, error) {
	var result Result
	w, events, err := journal.Resume(path)
	if err != nil {
		return result, err
	}
	pending, err := journal.Pending(events)
	if err != nil {
		return result, errors.Join(err, w.Close())
	}
	var failures *multierror.Error
	for _, p := range pending {
		err := undo(ctx, p, revert)
		if err == nil {
			result.Done = append(result.Done, p)
		} else {
			result.Pending = append(result.Pending, p)
			failures = multierror.Append(failures, fmt.Errorf("%s on %s: %w", p.Kind, subject(p), err))
		}
		if err := note(w, p, by, err); err != nil {
			failures = multierror.Append(failures, err)
		}
	}
	if err := w.Close(); err != nil {
		failures = multierror.Append(failures, err)
	}
	return result, failures.ErrorOrNil()
}

func subject(p journal.PendingUndo) string {
	if p.Target.Instance != "" {
		return p.Target.Instance
	}
	return "experiment " + p.Experiment
}

func undo(ctx context.Context, p journal.PendingUndo, revert RevertFunc) error {
	ctx, cancel := context.WithTimeout(ctx, undoTimeout)
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
