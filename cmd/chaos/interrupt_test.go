package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/proc"
)

// project is a copy of the scripts' project for one test that needs to interfere with a run under way.
type projectCopy struct {
	t      *testing.T
	dir    string
	mark   string
	more   []string      // variables of its commands
	longer time.Duration // than patience, for what takes a while on an idle machine too
}

func newProject(t *testing.T) projectCopy {
	t.Helper()
	dir := t.TempDir()
	if err := copyProject("testdata/project", dir); err != nil {
		t.Fatal(err)
	}
	return projectCopy{t: t, dir: dir, mark: marker + "=" + dir}
}

// started is a run under way.
type started struct {
	projectCopy
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr bytes.Buffer
}

func (p projectCopy) command(args ...string) *exec.Cmd {
	return p.commandContext(context.Background(), args...)
}

func (p projectCopy) commandContext(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "chaos", args...)
	cmd.Dir = p.dir
	cmd.Env = slices.Concat(os.Environ(), p.more, []string{p.mark})
	return cmd
}

func (p projectCopy) start(args ...string) *started {
	p.t.Helper()
	s := &started{projectCopy: p, cmd: p.command(args...)}
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	if err := s.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { s.cmd.Process.Kill() })
	return s
}

// patience is how long something may take that takes a second at most when the machine is idle.
const patience = 20 * time.Second

func (p projectCopy) eventually(what string, holds func() bool) {
	p.t.Helper()
	within := max(patience, p.longer)
	for deadline := time.Now().Add(within); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// waitFor waits until the journal of the only run holds an event of a type.
func (p projectCopy) waitFor(kind journal.Type) {
	p.t.Helper()
	p.eventually("an event "+string(kind), func() bool { return strings.Contains(p.journalText(), `"type":"`+string(kind)+`"`) })
}

func (p projectCopy) journalText() string {
	found, _ := filepath.Glob(filepath.Join(p.dir, "reports", "*", "journal.jsonl"))
	if len(found) != 1 {
		return ""
	}
	text, _ := os.ReadFile(found[0])
	return string(text)
}

func (s *started) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// ends waits for the command's end with an exit code.
func (s *started) ends(code int) {
	s.t.Helper()
	s.wait()
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Fatalf("exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", got, code, &s.stdout, &s.stderr)
	}
}

// wait waits for the command's end, and ends it if it takes too long.
func (s *started) wait() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	defer context.AfterFunc(ctx, func() { s.cmd.Process.Kill() })()
	s.cmd.Wait()
}

// run runs a command to its end.
func (p projectCopy) run(code int, args ...string) (output string) {
	p.t.Helper()
	s := p.start(args...)
	s.ends(code)
	return s.stdout.String() + s.stderr.String()
}

func (p projectCopy) nothingIsLeft() {
	p.t.Helper()
	p.eventually("no process is left", func() bool {
		left, err := alive(p.dir, p.mark)
		if err != nil {
			p.t.Fatal(err)
		}
		return len(left) == 0
	})
}

func (p projectCopy) nothingIsPending() {
	p.t.Helper()
	found, _ := filepath.Glob(filepath.Join(p.dir, "reports", "*", "journal.jsonl"))
	if len(found) != 1 {
		p.t.Fatalf("%d journals, want 1", len(found))
	}
	pending, err := pendingOf(found[0])
	if err != nil || len(pending) > 0 {
		p.t.Errorf("pending: %v, %v", pending, err)
	}
}

func contains(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("missing %q in:\n%s", part, text)
	}
}

func TestTheFirstInterruptRollsBack(t *testing.T) {
	for signal, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			s := p.start("run", "long.yaml")
			p.waitFor(journal.FaultActive)
			s.signal(signal)
			s.ends(code)
			contains(t, s.stderr.String(), "rolling back; press ^C again to stop at once")
			contains(t, s.stdout.String(), "GATE CLOSED")
			p.waitFor(journal.FaultReverted)
			p.nothingIsPending()
			p.nothingIsLeft()
			contains(t, p.run(0, "rollback"), "nothing is left to undo")
		})
	}
}

func TestTheSecondInterruptStopsAtOnceAndTheGuardGoesOn(t *testing.T) {
	t.Parallel()
	for range 5 { // the rollback may be done before the second signal comes
		p := newProject(t)
		s := p.start("run", "long.yaml", "--config", "stubborn.yaml")
		p.waitFor(journal.FaultActive)
		s.signal(syscall.SIGINT)
		p.waitFor(journal.Aborted)
		_ = s.cmd.Process.Signal(syscall.SIGINT) // it fails only if the run has ended
		s.wait()
		p.nothingIsLeft()
		p.nothingIsPending()
		if s.cmd.ProcessState.ExitCode() == 130 {
			continue
		}
		s.ends(6)
		contains(t, s.stderr.String(), "stopped at once by a second SIGINT")
		contains(t, s.stderr.String(), "chaos rollback reports")
		return
	}
	t.Error("no second signal came in time")
}

func TestAKilledRunnerLeavesNothing(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	s := p.start("run", "long.yaml")
	p.waitFor(journal.FaultActive)
	s.signal(syscall.SIGKILL)
	s.cmd.Wait()
	p.nothingIsLeft()
	p.nothingIsPending()
	p.runs(ran, "run", "pass.yaml") // the guard has done its work, so the next run is not refused
}

func TestARunOverADirtyJournalIsRefused(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	s := p.start("run", "long.yaml")
	p.waitFor(journal.FaultActive)
	s.signal(syscall.SIGSTOP) // so that it does not replace its guard
	p.killGuard()
	s.signal(syscall.SIGKILL)
	s.cmd.Wait()
	out := p.run(6, "run", "pass.yaml")
	contains(t, out, "has died and left something behind")
	contains(t, out, "chaos rollback reports")
	contains(t, out, "--rollback")
	contains(t, p.runs(ran, "run", "pass.yaml", "--rollback"), "undone: ")
	p.nothingIsLeft()
}

// killGuard kills the run's guard, as a kernel short of memory might.
func (p projectCopy) killGuard() {
	p.t.Helper()
	marked, err := proc.FindMarked(p.mark)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, id := range marked {
		if strings.Contains(describeProcesses([]proc.ID{id}), " guard ") {
			syscall.Kill(id.PID, syscall.SIGKILL)
			p.eventually("the guard is dead", func() bool { return !id.Alive() })
			return
		}
	}
	p.t.Fatal("no guard found")
}

func TestALiveRunIsNotRolledBack(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	s := p.start("run", "long.yaml")
	p.waitFor(journal.FaultActive)
	found, _ := filepath.Glob(filepath.Join(p.dir, "reports", "*", "journal.jsonl"))
	contains(t, p.run(5, "rollback", found[0]), "is still going")
	contains(t, p.run(0, "rollback"), "nothing is left to undo")
	// A second run beside a live one is nobody's problem.
	p.runs(ran, "run", "pass.yaml", "--reports", "others")
	s.signal(syscall.SIGINT)
	s.ends(130)
	p.nothingIsLeft()
}

// A run goes on without its guard for a moment only: the next kill of the runner must find one.
func TestAKilledGuardIsReplaced(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	s := p.start("run", "long.yaml")
	p.waitFor(journal.FaultActive)
	p.killGuard()
	p.waitFor(journal.FindingNoted)
	contains(t, p.journalText(), `"kind":"`+journal.GuardDied+`"`)
	s.signal(syscall.SIGKILL)
	s.cmd.Wait()
	p.nothingIsLeft()
	p.nothingIsPending()
	contains(t, p.run(0, "rollback"), "nothing is left to undo")
}

// A run that cannot keep a guard changes nothing more and does not decide.
func TestARunThatKeepsLosingItsGuardIsGivenUp(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	s := p.start("run", "long.yaml")
	p.waitFor(journal.FaultActive)
	for lost := range mostGuards + 1 {
		p.killGuard()
		if lost < mostGuards {
			p.eventually("it is replaced", func() bool { return strings.Count(p.journalText(), journal.GuardDied) == lost+1 })
		}
	}
	s.ends(5)
	contains(t, s.stdout.String(), "something kills it")
	p.nothingIsPending()
	p.nothingIsLeft()
}

// The path comes from a file that anybody may have written.
func TestOnlyProgramsOfARunAreRemoved(t *testing.T) {
	root := t.TempDir()
	ours, foreign := filepath.Join(root, workFolder, runBinPrefix+"1-2"), filepath.Join(root, "precious", runBinPrefix+"1-2")
	for _, dir := range []string{ours, foreign} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := removePrograms(ours); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{foreign, filepath.Dir(ours), filepath.Join(workFolder, runBinPrefix+"1"), "/"} {
		if err := removePrograms(dir); err == nil {
			t.Errorf("%s was removed", dir)
		}
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Error("the foreign folder is gone")
	}
	if _, err := os.Stat(ours); err == nil {
		t.Error("the programs are left")
	}
}
