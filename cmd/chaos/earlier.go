package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chaosgate/pkg/guard"
	"chaosgate/pkg/journal"
)

// guardPatience is how long a run waits for the guard of a dead run beside it to finish its work.
const guardPatience = 5 * time.Second

// leftover is a dead run that has something left to undo.
type leftover struct {
	guard.Run
	pending []journal.PendingUndo
}

// leftovers answers the dead runs of a reports folder with something left to undo. Those with nothing left are forgotten, those at work are left alone.
func leftovers(ctx context.Context, reports string) ([]leftover, error) {
	runs, err := guard.Runs(reports)
	if err != nil {
		return nil, fmt.Errorf("look for earlier runs: %w", err)
	}
	var left []leftover
	for _, r := range runs {
		if r.Runner.Alive() {
			continue
		}
		if to := leads(reports, r.Journal); to != "" {
			return nil, fmt.Errorf(textStrangeJournal, r.ID, reports, to)
		}
		waitForGuard(ctx, r)
		pending, err := r.Pending()
		switch {
		case err != nil:
			return nil, fmt.Errorf("earlier run %s: %w", r.ID, err)
		case len(pending) > 0:
			left = append(left, leftover{Run: r, pending: pending})
		default:
			if err := forget(r); err != nil {
				return nil, err
			}
		}
	}
	return left, nil
}

// waitForGuard waits until a run's guard has ended, or patience has.
func waitForGuard(ctx context.Context, r guard.Run) {
	ctx, cancel := context.WithTimeout(ctx, guardPatience)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for r.Guard.Alive() {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// rollBack undoes what a dead run has left, and forgets the run if all of it is verified as undone.
func rollBack(ctx context.Context, say func(string), l leftover) error {
	if l.Guard.Alive() {
		return dirty(textGuardBusyHint, textGuardBusy, l.ID)
	}
	result, err := guard.Rollback(ctx, l.Journal, "rollback", revert)
	for _, p := range result.Done {
		say(fmt.Sprintf(textUndone, subject(p)))
	}
	if len(result.Pending) > 0 {
		return dirty(manualHint(result.Pending), textRollbackFailed, l.ID, err)
	}
	if err != nil {
		return cannot("", textRollbackFailed, l.ID, err)
	}
	return forget(l.Run)
}

// forget removes what a dead run with nothing left to undo has on disk beside its reports: the programs that were copied for it, and its entry in the registry.
func forget(r guard.Run) error {
	if err := errors.Join(removePrograms(r.Programs), r.Forget()); err != nil {
		return cannot(textNotForgottenHint, textNotForgotten, r.ID, err)
	}
	return nil
}

// refuseOver says that earlier runs have to be rolled back first, or does that if the user said so.
func refuseOver(ctx context.Context, sys system, say func(string), left []leftover, mode rollbackMode) error {
	for _, l := range left {
		if mode == refuse {
			return dirty(fmt.Sprintf(textDirtyHint, sys.name(), sys.shown(l.Journal)), textDirty, l.ID, subjects(l.pending))
		}
		say(fmt.Sprintf(textRollingBackEarlier, l.ID))
		if err := rollBack(ctx, say, l); err != nil {
			return err
		}
	}
	return nil
}

// rollbackMode says what is done about earlier runs that have something left to undo.
type rollbackMode string

const (
	refuse    rollbackMode = "refuse"
	rollFirst rollbackMode = "roll back first"
)
