package proc_test

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/proc"
)

// lockThreadForGood makes the runtime end this goroutine's thread with it.
func lockThreadForGood() { runtime.LockOSThread() }

func TestRunCaptures(t *testing.T) {
	r, err := proc.Run(soon(t), self("print", "out", "err"), 100)
	if err != nil || r.ExitCode != 0 || r.Stdout != "out" || r.Stderr != "err" || r.Truncated || r.Took <= 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestRunAnswersTheExitCode(t *testing.T) {
	if r, err := proc.Run(soon(t), self("exit", "7"), 100); err != nil || r.ExitCode != 7 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestRunBoundsItsCapture(t *testing.T) {
	long := strings.Repeat("0123456789", 10_000)
	r, err := proc.Run(soon(t), self("print", long, "e"), 25)
	if err != nil || r.Stdout != "0123456789012345678901234" || r.Stderr != "e" || !r.Truncated || r.ExitCode != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestRunKillsTheGroupWhenItsContextEnds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		defer cancel(errors.New("out of time"))
		readPIDs(t, file)
	}()
	r, err := proc.Run(ctx, self("family", file), 100)
	if err == nil || !strings.Contains(err.Error(), "out of time") || r.ExitCode != 137 {
		t.Fatalf("got %+v, %v", r, err)
	}
	for _, id := range readableIDs(file) {
		eventually(t, "the grandchild is dead", func() bool { return !id.Alive() })
	}
}

func TestRunIsNotStartedAfterItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := proc.Run(ctx, self("sleep"), 1); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "was not started") {
		t.Errorf("got %v", err)
	}
}

// A child that holds the output open after the command's exit must not hold up Run, in its group or out of it.
func TestRunDoesNotWaitForWhoIsLeft(t *testing.T) {
	for _, role := range []string{"leave", "daemonise"} {
		file := filepath.Join(t.TempDir(), "pid")
		cmd := self(role, file)
		marker := mark(t, cmd)
		r, err := proc.Run(soon(t), cmd, 100)
		if r.ExitCode != 0 || r.Took > 2*time.Second {
			t.Errorf("%s: got %+v, %v", role, r, err)
		}
		if err := proc.KillMarked(soon(t), marker); err != nil {
			t.Error(err)
		}
	}
}
