package experiments

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/proc"
	"chaosgate/pkg/verdict"
)

// signalled sends the runner a signal.
func signalled(sig syscall.Signal) func(*victim) error {
	return func(v *victim) error {
		err := v.cmd.Process.Signal(sig)
		if errors.Is(err, os.ErrProcessDone) {
			return errMissed
		}
		return err
	}
}

// twice is a user who does not wait for the rollback, or not long.
func twice(v *victim) error {
	pause := time.Duration(v.order.rand.Float64() * float64(200*time.Millisecond))
	if err := signalled(syscall.SIGINT)(v); err != nil {
		return err
	}
	select {
	case <-v.ended: // the rollback was quicker
	case <-time.After(pause):
		_ = v.cmd.Process.Signal(syscall.SIGINT) // it fails only if the run has ended
	}
	return nil
}

// guardOnly kills the guard; the run goes on.
func guardOnly(v *victim) error {
	id, ok := v.guard()
	if !ok {
		return errMissed
	}
	err := id.Signal(syscall.SIGKILL)
	if errors.Is(err, fs.ErrNotExist) {
		return errMissed // it has ended with its run
	}
	return err
}

// both kills the runner and its guard: at the same time, or the guard a moment later, while it does its work.
func both(v *victim) error {
	r := v.order.rand
	guardFirst, late := r.IntN(2) == 0, time.Duration(r.IntN(2))*time.Duration(r.Float64()*float64(100*time.Millisecond))
	id, ok := v.guard()
	if ok && guardFirst && late == 0 {
		_ = id.Signal(syscall.SIGKILL)
	}
	if err := signalled(syscall.SIGKILL)(v); err != nil {
		return err
	}
	time.Sleep(late)
	if ok {
		_ = id.Signal(syscall.SIGKILL) // it fails only if the guard has ended
	}
	return nil
}

// guard finds the run's guard from outside: a process of the run with this word for its argument.
func (v *victim) guard() (proc.ID, bool) {
	marked, err := proc.FindMarked(v.mark)
	if err != nil {
		return proc.ID{}, false
	}
	for _, id := range marked {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id.PID))
		if args := bytes.Split(line, []byte{0}); len(args) > 1 && string(args[1]) == "guard" {
			return id, true
		}
	}
	return proc.ID{}, false
}

// rollback is what a user does about a run that died with its guard.
func rollback(v *victim) error {
	out, err := v.command("rollback", "--reports", v.reports()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("chaos rollback: %w\n%s", err, out)
	}
	return nil
}

// idle is an experiment that does next to nothing.
const idle = `apiVersion: chaos/v1
name: idle
title: Service A can be reached
steadyState:
  - {id: up, http: {service: service-a, path: /health}, expect: {status: 200}}
steps:
  - {id: nothing, wait: 10ms}
`

// nextRun is a user who starts the next run. It refuses over what is left, and rolls it back when told to. A runner that lived long enough to replace its guard
// has left one that does its work first.
func nextRun(v *victim) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if marked, err := proc.FindMarked(v.mark); err != nil || len(marked) == 0 {
			break // else what is left tells of it
		}
	}
	file := filepath.Join(v.dir, "idle.yaml")
	if err := os.WriteFile(file, []byte(idle), 0o644); err != nil {
		return err
	}
	pending := v.pending()
	args := []string{"run", file, "--config", "chaos.yaml", "--quiet", "--reports", v.reports()}
	if pending > 0 {
		refused := v.command(args...)
		out, err := refused.CombinedOutput()
		if refused.ProcessState.ExitCode() != verdict.ExitDirty || !strings.Contains(string(out), "has died and left something behind") {
			return fmt.Errorf("chaos run over %d pending undos: %v, expected exit code %d\n%s", pending, err, verdict.ExitDirty, out)
		}
	}
	cmd := v.command(append(args, "--rollback")...)
	out, err := cmd.CombinedOutput()
	// It injects nothing, and may come to what it will; but it has rolled the dead run back.
	if code := cmd.ProcessState.ExitCode(); code != verdict.ExitOpen && code != verdict.ExitInconclusive {
		return fmt.Errorf("chaos run --rollback: %w\n%s", err, out)
	}
	return nil
}

// pending is how much the run's journal says is not undone.
func (v *victim) pending() int {
	events, err := v.events()
	if err != nil {
		return 0
	}
	pending, _ := journal.Pending(events)
	return len(pending)
}
