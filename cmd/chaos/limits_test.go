package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/journal"
)

// limited becomes a command that may have some open files, or that is with all of its processes in some cgroup.
func limited() {
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "limited:", err)
			os.Exit(99)
		}
	}
	path := os.Args[2]
	switch files, err := strconv.ParseUint(os.Args[1], 10, 64); {
	case err == nil:
		check(unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: files, Max: files}))
	default:
		check(os.WriteFile(filepath.Join(os.Args[1], "cgroup.procs"), []byte("0"), 0o600))
	}
	check(syscall.Exec(path, os.Args[2:], os.Environ()))
}

// rightState wants of a run that lacked something: an open gate if it went well all the same, and nothing left in any case.
func (s *started) rightState(t *testing.T) {
	t.Helper()
	s.cmd.Wait()
	code := s.cmd.ProcessState.ExitCode()
	s.nothingIsLeft()
	if code == 99 {
		t.Fatal(s.stderr.String())
	}
	found, _ := filepath.Glob(filepath.Join(s.dir, "reports", "*", journalFile))
	if len(found) == 0 {
		if code == 0 {
			t.Error("the gate is open, and there is no journal")
		}
		return
	}
	// A guard that lacks the same thing may have died too. What it has left is on record, and is undone when there is enough again.
	if pending, err := pendingOf(found[0]); err != nil || len(pending) > 0 {
		must(t, err)
		if code == 0 {
			t.Errorf("the gate is open with %v pending", pending)
		}
		contains(t, s.run(0, "rollback"), "undone: ")
	}
	if gate := strings.Contains(s.stdout.String(), "GATE OPEN"); gate != (code == 0) {
		t.Errorf("exit code %d and:\n%s", code, s.stdout.String())
	}
	events, err := journal.ReadFile(found[0])
	must(t, err)
	if code == 0 && (len(events) == 0 || events[len(events)-1].Type != journal.RunEnded) {
		t.Error("the gate is open, and the run did not end")
	}
	t.Logf("exit code %d after %d events", code, len(events))
}

func TestTooFewOpenFiles(t *testing.T) {
	notUnderRace(t)
	for _, files := range []int{8, 16, 20, 28, 1024} {
		t.Run(fmt.Sprint(files), func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			s := &started{projectCopy: p, cmd: p.command()}
			s.cmd.Path, s.cmd.Args = mustLook(t, "limited"), []string{"limited", fmt.Sprint(files), mustLook(t, "chaos"), "run", "pass.yaml"}
			s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
			must(t, s.cmd.Start())
			t.Cleanup(func() { s.cmd.Process.Kill() })
			s.rightState(t)
		})
	}
}

// A program written in Go cannot go on without another thread: it dies, and the guard does the rest.
func TestTooFewProcesses(t *testing.T) {
	notUnderRace(t)
	const root = "/sys/fs/cgroup/pids"
	for _, most := range []int{8, 16, 28, 200} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			t.Parallel()
			group, err := os.MkdirTemp(root, "chaos-test-")
			if err != nil {
				t.Skip("the number of processes cannot be limited here: ", err)
			}
			p := newProject(t)
			t.Cleanup(func() { p.eventually("the cgroup is empty", func() bool { return os.Remove(group) == nil }) })
			must(t, os.WriteFile(filepath.Join(group, "pids.max"), []byte(fmt.Sprint(most)), 0o600))
			s := &started{projectCopy: p, cmd: p.command()}
			s.cmd.Path, s.cmd.Args = mustLook(t, "limited"), []string{"limited", group, mustLook(t, "chaos"), "run", "pass.yaml"}
			s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
			must(t, s.cmd.Start())
			t.Cleanup(func() { s.cmd.Process.Kill() })
			s.rightState(t)
		})
	}
}
