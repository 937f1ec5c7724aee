package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"chaosgate/pkg/executor"
	"chaosgate/pkg/guard"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/verdict"
)

// What is left to undo outweighs the signal that came before the run existed, and nothing that went wrong beside the signal is swallowed.
func TestWhatASignalBeforeTheRunHides(t *testing.T) {
	stop := executor.Interrupted{Signal: "SIGINT"}
	const quiet = "interrupted by SIGINT before anything was started"
	broken := errors.New("the folder cannot be removed")
	for name, c := range map[string]struct {
		cause, err error
		code       int
		says       string
	}{
		"no signal":         {nil, cannot("", "no room"), verdict.ExitError, "no room"},
		"only the signal":   {stop, cannot("", textCannotStart, fmt.Errorf("begin: %w", stop)), verdict.ExitInterrupt, quiet},
		"dirty":             {stop, dirty("", "left behind: %w", stop), verdict.ExitDirty, "left behind: interrupted by SIGINT"},
		"something else":    {stop, cannot("", "no room"), verdict.ExitInterrupt, quiet + ": no room"},
		"more than it":      {stop, cannot("", textCannotStart, errors.Join(errors.Join(stop, broken), nil)), verdict.ExitInterrupt, quiet + ": the folder cannot be removed"},
		"more, said at end": {stop, fmt.Errorf("%w, and %w", stop, broken), verdict.ExitInterrupt, quiet + ": the folder cannot be removed"},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(c.cause)
		var f *failure
		if err := early(ctx, c.err); !errors.As(err, &f) || f.code != c.code || err.Error() != c.says {
			t.Errorf("%s: got %v, want exit code %d and %q", name, err, c.code, c.says)
		}
	}
}

// Whatever goes wrong at the end of a run, the exit code is not that of an open gate.
func TestTroubleAtTheEndOfARunIsNotLost(t *testing.T) {
	trouble := errors.New("trouble")
	for name, c := range map[string]struct {
		failed, left error
		code         int
	}{
		"none":                  {nil, nil, verdict.ExitOpen},
		"the run was given up":  {trouble, nil, verdict.ExitError},
		"its programs are left": {nil, trouble, verdict.ExitError},
	} {
		err := finishPassed(t, c.failed, c.left)
		if code := conclude(io.Discard, err); code != c.code {
			t.Errorf("%s: exit code %d, want %d: %v", name, code, c.code, err)
		}
		if c.left != nil && !errors.Is(err, c.left) {
			t.Errorf("%s: it is not said: %v", name, err)
		}
	}
}

// finishPassed finishes a run whose journal says that the gate is open.
func finishPassed(t *testing.T, failed, left error) error {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, journalFile), []byte(readAll(t, "../../pkg/report/testdata/passed.jsonl")), 0o600))
	w, err := journal.Create(filepath.Join(t.TempDir(), journalFile))
	must(t, err)
	log, err := os.Create(filepath.Join(t.TempDir(), guardLog))
	must(t, err)
	defer log.Close()
	g, err := guard.Start(log, "cat") // ends with its input, as a guard does
	must(t, err)
	r := running{sys: system{stdout: io.Discard, stderr: io.Discard, env: func(string) string { return "" }, dir: dir}, talk: io.Discard}
	s := &session{id: "r", dir: dir, journal: w, guards: &guarding{process: g}}
	return r.finish(s, newFeed(silent{out: io.Discard}), failed, left)
}
