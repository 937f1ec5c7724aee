package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"chaosgate/pkg/guard"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/verdict"
)

func rollbackCommand(sys system) *cobra.Command {
	var reports string
	c := &cobra.Command{
		Use: "rollback [JOURNAL]", Short: textRollbackShort, Long: textRollbackLong, Example: textRollbackExample,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				path, err := findJournal(sys, args[0])
				if err != nil {
					return err
				}
				return rollbackOne(c.Context(), sys, path)
			}
			return rollbackAll(c.Context(), sys, sys.path(reports))
		},
	}
	c.Flags().StringVar(&reports, "reports", defaultReports, textReportsFlag)
	return c
}

// rollbackAll rolls back every dead run of a reports folder. One that fails does not stop the others.
func rollbackAll(ctx context.Context, sys system, reports string) error {
	left, err := leftovers(ctx, reports)
	if err != nil {
		return err
	}
	if len(left) == 0 {
		fmt.Fprintf(sys.stdout, textNothingToUndo, sys.shown(reports))
		return nil
	}
	code := verdict.ExitOpen
	for _, l := range left {
		sys.say(fmt.Sprintf(textRollingBackEarlier, l.ID))
		if err := rollBack(ctx, sys.say, l); err != nil {
			code = max(code, conclude(sys.stderr, err))
		}
	}
	return exitWith(code)
}

// rollbackOne rolls back the run that a journal belongs to, registered or not.
func rollbackOne(ctx context.Context, sys system, path string) error {
	l, err := leftoverOf(path)
	if err != nil {
		return cannot("", "%w", err)
	}
	if l.Runner.Alive() {
		return cannot(fmt.Sprintf(textRunnerAliveHint, l.Runner.PID), textRunnerAlive, l.ID)
	}
	waitForGuard(ctx, l.Run)
	if l.pending, err = pendingOf(path); err != nil {
		return cannot("", "%w", err)
	}
	if len(l.pending) == 0 {
		fmt.Fprintf(sys.stdout, textNothingToUndo, sys.shown(path))
		return forget(l.Run)
	}
	return rollBack(ctx, sys.say, l)
}

// leftoverOf finds the run of a journal in the registry beside it. A journal that was moved away is not registered, and has no runner that lives.
func leftoverOf(path string) (leftover, error) {
	l := leftover{Run: guard.Run{ID: filepath.Base(filepath.Dir(path)), Journal: path}}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return l, err
	}
	for _, path := range []string{path, real} { // a link to the run's folder may lie beside another registry, or beside none
		runs, err := guard.Runs(filepath.Dir(filepath.Dir(path)))
		if err != nil {
			return l, err
		}
		if i := slices.IndexFunc(runs, func(r guard.Run) bool { return r.Journal == path }); i >= 0 {
			l.Run = runs[i]
			break
		}
	}
	return l, nil
}

func pendingOf(path string) ([]journal.PendingUndo, error) {
	events, err := journal.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return journal.Pending(events)
}
