package process_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"chaosgate/pkg/proc"
	"chaosgate/pkg/target/process"
)

// hidden makes a service start a process that hides, and answers that.
func hidden(t *testing.T, w *world) proc.ID {
	t.Helper()
	pid, err := strconv.Atoi(w.get(t, "a", "/hide"))
	must(t, err)
	id, err := proc.Identify(pid)
	must(t, err)
	t.Cleanup(func() { _ = id.Signal(syscall.SIGKILL) })
	marked, err := proc.FindMarked(w.marker())
	must(t, err)
	for _, m := range marked {
		if m == id {
			t.Fatal("it does not hide from the search for its marker")
		}
	}
	return id
}

// needsCgroups skips a test where no cgroup can be made.
func needsCgroups(t *testing.T, w *world) {
	t.Helper()
	p, err := w.Placement(soon(t), w.target(t, "a"))
	must(t, err)
	if !p.Cgroup {
		t.Skip(p.Where)
	}
}

func TestWhoHidesIsFoundInItsCgroup(t *testing.T) {
	w := up(t, one(nil))
	needsCgroups(t, w)
	id := hidden(t, w)
	must(t, w.Pause(soon(t), w.target(t, "a")))
	if s, err := proc.ReadStat(id.PID); err != nil || !s.Stopped() {
		t.Errorf("the service is paused, and what it has hidden is in state %c, %v", s.State, err)
	}
	must(t, w.Resume(soon(t), w.target(t, "a")))
	must(t, w.Kill(soon(t), w.target(t, "a"), "SIGKILL"))
	if id.Alive() {
		t.Error("the service was killed, and what it has hidden lives")
	}
}

func TestNobodyIsLeftInACgroup(t *testing.T) {
	w := newWorld(t, one(nil))
	must(t, w.Up(soon(t), w.record))
	needsCgroupsOrDown(t, w)
	id := hidden(t, w)
	must(t, w.Down(soon(t)))
	if id.Alive() {
		t.Error("the environment is down, and what a service has hidden lives")
	}
	w.checkNothingLeft(t)
}

func needsCgroupsOrDown(t *testing.T, w *world) {
	t.Helper()
	p, err := w.Placement(soon(t), w.target(t, "a"))
	must(t, err)
	if !p.Cgroup {
		must(t, w.Down(soon(t)))
		t.Skip(p.Where)
	}
}

// From a fresh process, with nothing but the undo.
func TestRevertFindsWhoHidesInACgroup(t *testing.T) {
	w := newWorld(t, one(nil))
	must(t, w.Up(soon(t), w.record))
	needsCgroupsOrDown(t, w)
	id := hidden(t, w)
	must(t, process.RevertEnvironment(soon(t), w.undo[0].Data))
	if id.Alive() {
		t.Error("the environment is reverted, and what a service has hidden lives")
	}
	must(t, w.Down(soon(t)))
}

// The cgroup of another environment is left alone, whatever an undo says.
func TestRevertLeavesTheCgroupsOfOthersAlone(t *testing.T) {
	w := up(t, one(nil))
	needsCgroups(t, w)
	var data map[string]any
	must(t, json.Unmarshal(w.undo[0].Data, &data))
	data["marker"], data["work_dir"] = proc.Marker("nobody/x"), filepath.Join(t.TempDir(), "chaos-none")
	text, err := json.Marshal(data)
	must(t, err)
	wantError(t, process.RevertEnvironment(soon(t), text), "is not a cgroup of ours")
	if got := w.get(t, "a", "/health"); got != "hello" {
		t.Errorf("got %q", got)
	}
}

// leaveCgroups takes a process out of its cgroups, as a service that runs as root may do itself.
func leaveCgroups(t *testing.T, w *world, id proc.ID) {
	t.Helper()
	var data struct{ Cgroups []string }
	must(t, json.Unmarshal(w.undo[0].Data, &data))
	for _, dir := range data.Cgroups {
		must(t, os.WriteFile(filepath.Join(filepath.Dir(dir), "cgroup.procs"), []byte(strconv.Itoa(id.PID)), 0o644))
	}
}

// Without a cgroup, who hides has no parent any more but the runner. The test is a process of its own: what it adopts is killed.
func TestWhoHidesIsAdopted(t *testing.T) {
	if os.Getenv("ADOPT") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestWhoHidesIsAdopted$", "-test.v")
		cmd.Env = append(os.Environ(), "ADOPT=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "PASS: TestWhoHidesIsAdopted") {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	var known exec.Cmd
	known.Path, known.Args = "/bin/sleep", []string{"sleep", "60"}
	must(t, known.Start()) // as a guard is: a child from before, which is no orphan
	defer func() { _ = known.Process.Kill(); _ = known.Wait() }()
	orphans, err := proc.AdoptOrphans()
	must(t, err)
	first, second := newWorld(t, one(nil)), newWorld(t, one(nil))
	second.opts.Experiment += "-second"
	var hides []proc.ID
	for _, w := range []*world{first, second} {
		w.opts.WorkDir, w.opts.Orphans = filepath.Join(t.TempDir(), "chaos-data"), orphans
		*w = *newWorldOf(w.opts)
		must(t, w.Up(soon(t), w.record))
		hides = append(hides, hidden(t, w))
		leaveCgroups(t, w, hides[len(hides)-1])
	}
	must(t, first.Down(soon(t)))
	if !hides[1].Alive() {
		t.Error("another experiment's process was killed")
	}
	must(t, second.Down(soon(t)))
	for _, id := range hides {
		if id.Alive() {
			t.Error("all environments are down, and what a service has hidden lives")
		}
	}
	if s, err := proc.ReadStat(known.Process.Pid); err != nil || s.Dead() {
		t.Error("a child that was there before was killed")
	}
}
