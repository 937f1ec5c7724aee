package agent_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"chaosgate/pkg/agent"
)

var quiet = agent.CPUConfig{Workers: 1, Load: 0.01}

// short is a context for what is expected to be waited for in vain.
func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Millisecond, errors.New("time is over"))
	t.Cleanup(cancel)
	return ctx
}

func TestArmReportsWhatIsWrong(t *testing.T) {
	h := start(t)
	h.Client = agent.NewClient(h.in, h.out)
	wantError(t, h.Arm(soon(t), agent.CPUJob, agent.CPUConfig{}), "job cpu: load is 0")
	wantError(t, h.Arm(soon(t), agent.CPUJob, func() {}), "configure cpu: ")
	must(t, h.Arm(soon(t), agent.CPUJob, quiet)) // nothing is spoilt
	must(t, h.end(t))
}

// A helper that is killed between calls, in the middle of one, or has ended in an orderly way: ErrEnded.
func TestHelperThatHasEnded(t *testing.T) {
	idle := armed(t, agent.CPUJob, quiet)
	must(t, idle.cmd.Process.Kill())
	_ = idle.wait(t)
	wantEnded(t, idle)

	busy := armed(t, agent.CPUJob, quiet)
	busy.stop(t) // so that the call is under way when it dies
	failed := make(chan error)
	go func() {
		_, err := busy.Call(soon(t), agent.Status)
		failed <- err
	}()
	must(t, busy.cmd.Process.Kill())
	if err := <-failed; !errors.Is(err, agent.ErrEnded) {
		t.Errorf("got %v", err)
	}
	wantEnded(t, busy)

	closed := armed(t, agent.CPUJob, quiet)
	for range 2 {
		must(t, closed.Close(soon(t)))
	}
	must(t, closed.wait(t))
	wantEnded(t, closed)
}

func wantEnded(t *testing.T, h *child) {
	t.Helper()
	for range 2 {
		if _, err := h.Call(soon(t), agent.Status); !errors.Is(err, agent.ErrEnded) {
			t.Errorf("got %v, want that it has ended", err)
		}
	}
}

// An answer that nobody waited for any more is not taken for that to a later call.
func TestLateAnswers(t *testing.T) {
	h := armed(t, agent.MemoryJob, agent.MemoryConfig{Size: 1 << 20})
	h.stop(t)
	for range 3 {
		_, err := h.Call(short(t), agent.Status)
		wantError(t, err, "status: time is over")
	}
	wantError(t, h.Close(short(t)), "did not end when it was told to: time is over")
	h.resume(t)
	must(t, h.Close(soon(t)))

	h = armed(t, agent.MemoryJob, agent.MemoryConfig{Size: 1 << 20})
	h.stop(t)
	_, err := h.Call(short(t), agent.Status) // answered with nothing filled, later
	wantError(t, err, "time is over")
	h.resume(t)
	call[agent.MemoryStatus](t, h, agent.Inject)
	eventually(t, "the answers are those to the calls", func() bool { return call[agent.MemoryStatus](t, h, agent.Status).Filled == 1<<20 })
	must(t, h.end(t))
}

// Calls from many goroutines wait for each other, and each gets its own answer. One that waits for its turn gives up when its context ends.
func TestConcurrentCalls(t *testing.T) {
	h := armed(t, agent.CPUJob, quiet)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for _, command := range []string{agent.Inject, agent.Status, agent.Revert, agent.Status} {
				text, err := h.Call(soon(t), command)
				if err != nil {
					t.Error(err)
				}
				if hasData := string(text) != "null"; hasData != (command != agent.Revert) {
					t.Errorf("%s was answered %s", command, text)
				}
			}
		})
	}
	all.Wait()
	h.stop(t)
	first := make(chan error)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		_, err := h.Call(ctx, agent.Status)
		first <- err
	}()
	_, err := h.Call(short(t), agent.Status)
	wantError(t, err, "time is over")
	cancel(errors.New("not wanted"))
	wantError(t, <-first, "not wanted")
}

// scripted is a helper that answers each line with the next of its lines.
func scripted(t *testing.T, lines ...string) *agent.Client {
	t.Helper()
	inR, inW, err := os.Pipe()
	must(t, err)
	outR, outW, err := os.Pipe()
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer outW.Close()
		heard := bufio.NewScanner(inR)
		for _, line := range lines {
			if !heard.Scan() {
				return
			}
			_, _ = fmt.Fprintln(outW, line)
		}
	}()
	t.Cleanup(func() {
		_ = inW.Close()
		<-done
		_, _ = inR.Close(), outR.Close()
	})
	return agent.NewClient(inW, outR)
}

// What is not an answer is an error with what was said, and never success.
func TestAnswersThatAreNone(t *testing.T) {
	c := scripted(t, `panic: out of range`, `{"id":2}`, `{"id":3,"ok":true,"data":{"x":1}}`, `{"id":4,"error":"no"}`, `{"id":99,"ok":true}`)
	for i, want := range []string{"panic: out of range", "neither ok nor what went wrong", "", "no"} {
		text, err := c.Call(soon(t), agent.Status)
		if want != "" {
			wantError(t, err, want)
			continue
		}
		var data struct{ X int }
		if err != nil || json.Unmarshal(text, &data) != nil || data.X != 1 {
			t.Errorf("call %d: %s, %v", i, text, err)
		}
	}
	if _, err := c.Call(soon(t), agent.Status); !errors.Is(err, agent.ErrEnded) { // it answered another call and ended
		t.Errorf("got %v", err)
	}
}
