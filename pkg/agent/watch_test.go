package agent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/fault/sqlitefile"
)

// stillWithin is how long it may take until a helper that stands still is lost: it is asked every two seconds, and may leave three in a row without an answer.
const stillWithin = 20 * time.Second

// watching is an armed helper with one who is told that it is lost, and ends it then, as the adapters do.
func watching(t *testing.T, job string, config any) (h *child, lost <-chan struct{}) {
	t.Helper()
	h = start(t)
	told := make(chan struct{})
	h.Client = agent.NewWatching(h.in, h.out, func() {
		close(told) // or panics, the second time
		_ = h.cmd.Process.Kill()
	})
	must(t, h.Arm(soon(t), job, config))
	return h, told
}

// A helper that is stopped is lost after a while; what is asked of it then, and what was asked before, ends with the reason.
func TestAHelperThatStandsStill(t *testing.T) {
	t.Parallel()
	h, lost := watching(t, agent.CPUJob, quiet)
	call[agent.CPUStatus](t, h, agent.Status)
	h.stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*stillWithin)
	defer cancel()
	began := time.Now()
	_, err := h.Call(ctx, agent.Status)
	for range 2 {
		if !errors.Is(err, agent.ErrEnded) || !strings.Contains(fmt.Sprint(err), "it had given no answer for 6s, like one that is stopped, and was removed") {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		_, err = h.Call(ctx, agent.Status)
	}
	select {
	case <-lost:
	default:
		t.Error("nobody was told")
	}
	if took := time.Since(began); took > stillWithin {
		t.Errorf("it took %v", took)
	}
}

// A helper is not lost for a command that takes its time, nor for one that waits behind it: it says all the while that it is there.
func TestALongCommandIsNoStandstill(t *testing.T) {
	t.Parallel()
	file, db := database(t)
	held, err := db.Conn(t.Context())
	must(t, err)
	defer held.Close()
	_, err = held.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	must(t, err)
	h, lost := watching(t, agent.SQLiteLockJob, agent.SQLiteLockConfig{Path: file, Mode: sqlitefile.Write})
	_, err = fmt.Fprintln(h.in, `{"id":999,"command":"inject"}`) // waits for ten seconds; nobody waits for its answer
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*stillWithin)
	defer cancel()
	began := time.Now()
	for range 2 {
		_, err = h.Call(ctx, agent.Status)
	}
	if err != nil || time.Since(began) < 8*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	select {
	case <-lost:
		t.Error("it was taken for one that stands still")
	default:
	}
	must(t, h.end(t))
}
