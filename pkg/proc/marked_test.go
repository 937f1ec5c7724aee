package proc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/proc"
)

// mark puts a marker of this test's own on a command.
func mark(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	marker := proc.Marker(fmt.Sprintf("test-%d-%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-")))
	cmd.Env = append(cmd.Env, marker)
	return marker
}

func readableIDs(file string) []proc.ID {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		return nil
	}
	id, err := proc.Identify(pid)
	if err != nil {
		return nil
	}
	return []proc.ID{id}
}

func find(t *testing.T, marker string) []proc.ID {
	t.Helper()
	ids, err := proc.FindMarked(marker)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestFindMarkedFindsDescendantsInOtherGroups(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	cmd := self("daemonise", file)
	marker := mark(t, cmd)
	p := start(t, cmd)
	daemon := readPIDs(t, file)[0]
	if _, err := p.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	if found := find(t, marker); !slices.Equal(found, []proc.ID{daemon}) {
		t.Fatalf("found %v, want the daemon %v", found, daemon)
	}
	if found := find(t, marker+"0"); len(found) != 0 {
		t.Errorf("another marker found %v", found)
	}
	if found := find(t, marker[:len(marker)-1]); len(found) != 0 {
		t.Errorf("a prefix of the marker found %v", found)
	}
	if err := proc.KillMarked(soon(t), marker); err != nil {
		t.Fatal(err)
	}
	if daemon.Alive() || len(find(t, marker)) != 0 {
		t.Error("the daemon lives")
	}
}

func TestKillMarkedOutrunsAForker(t *testing.T) {
	cmd := self("forker")
	marker := mark(t, cmd)
	start(t, cmd)
	eventually(t, "it has forked", func() bool { return len(find(t, marker)) > 1 })
	if err := proc.KillMarked(soon(t), marker); err != nil {
		t.Fatal(err)
	}
	if left := find(t, marker); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestKillMarkedNamesWhatIsLeft(t *testing.T) {
	cmd := self("sleep")
	marker := mark(t, cmd)
	p := start(t, cmd)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no time"))
	err := proc.KillMarked(ctx, marker)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("processes %d are still alive", p.PID())) || !strings.Contains(err.Error(), "no time") {
		t.Errorf("got %v", err)
	}
}

func TestKillMarkedSparesThisProcess(t *testing.T) {
	// The environment of this process as it was at exec holds many entries; any of them will do.
	environ, err := os.ReadFile("/proc/self/environ")
	if err != nil || len(environ) == 0 {
		t.Skip("this process was started without an environment")
	}
	unique := exec.Command(os.Args[0], "-test.run=^TestSpare$", "-test.v")
	marker := mark(t, unique)
	unique.Env = append(os.Environ(), marker, "SPARE="+marker)
	r, err := proc.Run(soon(t), unique, 1<<16)
	if err != nil || r.ExitCode != 0 || !strings.Contains(r.Stdout, "PASS: TestSpare") {
		t.Errorf("a process that kills its own marker: %+v, %v\n%s%s", r.ExitCode, err, r.Stdout, r.Stderr)
	}
}

// TestSpare is run by TestKillMarkedSparesThisProcess in a process that carries the marker itself.
func TestSpare(t *testing.T) {
	marker := os.Getenv("SPARE")
	if marker == "" {
		t.Skip("started by TestKillMarkedSparesThisProcess")
	}
	child := start(t, self("sleep"))
	if err := proc.KillMarked(soon(t), marker); err != nil {
		t.Fatal(err)
	}
	select {
	case <-child.Done():
	case <-time.After(5 * time.Second):
		t.Error("the child lives")
	}
}

func TestEmptyMarkerIsRefused(t *testing.T) {
	if _, err := proc.FindMarked(""); err == nil {
		t.Error("no error")
	}
	if err := proc.KillMarked(soon(t), ""); err == nil {
		t.Error("no error")
	}
}
