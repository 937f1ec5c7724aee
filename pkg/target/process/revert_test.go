package process_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/proc"
	"chaosgate/pkg/target"
	"chaosgate/pkg/target/process"
)

// A runner is killed, with its service's child in another session; then a fresh process, this one, reverts what it finds in the undo.
func TestRevertAfterTheRunnerWasKilled(t *testing.T) {
	dir := t.TempDir()
	undo, work := filepath.Join(dir, "undo.json"), filepath.Join(dir, "chaos-work")
	run := "revert-" + filepath.Base(dir) + "-" + filepath.Base(filepath.Dir(dir))
	runner := exec.Command(os.Args[0])
	runner.Env = append(os.Environ(), "ROLE=runner", "RUN="+run, "WORK="+work, "LOGS="+filepath.Join(dir, "logs"), "UNDO="+undo)
	out, err := runner.StdoutPipe()
	must(t, err)
	must(t, runner.Start())
	said := make([]byte, 100)
	n, err := out.Read(said)
	must(t, err)
	if got := string(said[:n]); got != "up\n" {
		t.Fatalf("the runner said %q", got)
	}
	marker := proc.Marker(run + "/x")
	stray := exec.Command(os.Args[0]) // as a daemon of the service would be
	stray.Env = append(os.Environ(), "ROLE=hang", marker, "CHAOS_INSTANCE="+run+"/x/a-1")
	stray.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	must(t, stray.Start())
	go func() { _ = stray.Wait() }()
	must(t, runner.Process.Kill())
	killed := time.Now()
	_ = runner.Wait()
	eventually(t, "only the stray is left", func() bool { ids, err := proc.FindMarked(marker); return err == nil && len(ids) == 1 })
	if took := time.Since(killed); took > 10*time.Second { // nothing else would end them
		t.Errorf("the services lived for %v after their runner", took)
	}
	checkAttached(t, run, stray.Process.Pid)
	data, err := os.ReadFile(undo)
	must(t, err)
	for range 2 {
		must(t, process.RevertEnvironment(soon(t), data))
		if ids, err := proc.FindMarked(marker); err != nil || len(ids) > 0 {
			t.Errorf("left: %v, %v", ids, err)
		}
		if _, err := os.Stat(work); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("left: %v", err)
		}
	}
}

// checkAttached resumes what is stopped, through the runtime of an environment whose runner has died.
func checkAttached(t *testing.T, run string, pid int) {
	t.Helper()
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	eventually(t, "stopped", func() bool { s, err := proc.ReadStat(pid); return err == nil && s.Stopped() })
	ref := target.Ref{Runtime: "process", Service: "a", Instance: "a-1", ID: run + "/x/a-1"}
	r := process.Attach(ref)
	must(t, r.(target.Pauser).Resume(soon(t), target.Target{Ref: ref}))
	if s, err := proc.ReadStat(pid); err != nil || s.Stopped() {
		t.Errorf("still stopped: %v, %v", s, err)
	}
	if err := r.(target.Starter).Start(soon(t), target.Target{Ref: ref}); !errors.Is(err, target.ErrGone) {
		t.Errorf("got %v", err)
	}
	ref.ID += "0"
	if err := process.Attach(ref).(target.Pauser).Resume(soon(t), target.Target{Ref: ref}); !errors.Is(err, target.ErrGone) {
		t.Errorf("got %v", err)
	}
}

// A journal may have been written by anybody: nothing that is not ours is touched.
func TestRevertRefusesWhatIsNotOurs(t *testing.T) {
	dir := t.TempDir()
	foreign, link := filepath.Join(dir, "chaos-foreign"), filepath.Join(dir, "chaos-link")
	must(t, os.MkdirAll(filepath.Join(foreign, "precious"), 0o755))
	must(t, os.WriteFile(filepath.Join(foreign, ".chaos-environment"), []byte("CHAOS_ENVIRONMENT=other/x"), 0o600))
	must(t, os.Symlink(foreign, link))
	marker := "CHAOS_ENVIRONMENT=hostile/x"
	cases := map[string]string{
		`{"marker":"HOME=/root","work_dir":"` + foreign + `"}`:                                                   `has the marker "HOME=/root"`,
		`{"marker":"CHAOS_ENVIRONMENT=","work_dir":"` + foreign + `"}`:                                           "nothing was done",
		`{"marker":"` + marker + `","work_dir":"` + foreign + `"}`:                                               "does not say that it belongs to " + marker,
		`{"marker":"` + marker + `","work_dir":"` + link + `"}`:                                                  "it is not a folder",
		`{"marker":"` + marker + `","work_dir":"` + dir + `"}`:                                                   "begins with chaos-",
		`{"marker":"` + marker + `","work_dir":"` + foreign + `/../chaos-foreign"}`:                              "must be an absolute path",
		`{"marker":"` + marker + `","work_dir":"/chaos-none","cgroups":["` + foreign + `"]}`:                     "is not a cgroup of ours",
		`{"marker":"` + marker + `","work_dir":"/chaos-none","cgroups":["` + filepath.Join(dir, "other") + `"]}`: "is not a cgroup of ours",
		`{`: "read the undo",
	}
	for data, want := range cases {
		wantError(t, process.RevertEnvironment(soon(t), json.RawMessage(data)), want)
	}
	if _, err := os.Stat(filepath.Join(foreign, "precious")); err != nil {
		t.Error("the foreign folder was touched")
	}
}

func TestRevertOfWhatNeverCameToBe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "chaos-empty")
	data := json.RawMessage(`{"marker":"CHAOS_ENVIRONMENT=never/x","work_dir":"` + dir + `"}`)
	must(t, process.RevertEnvironment(soon(t), data))
	for _, stamp := range []string{"none", "", "CHAOS_ENVIRONMENT=nev"} { // died between making it and stamping it, or while stamping it
		must(t, os.Mkdir(dir, 0o755))
		if stamp != "none" {
			must(t, os.WriteFile(filepath.Join(dir, ".chaos-environment"), []byte(stamp), 0o600))
		}
		must(t, process.RevertEnvironment(soon(t), data))
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("with the stamp %q it is left", stamp)
		}
	}
	must(t, os.MkdirAll(filepath.Join(dir, "precious"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, ".chaos-environment"), nil, 0o600))
	wantError(t, process.RevertEnvironment(soon(t), data), "does not say that it belongs to")
}

// What a person is told to do works.
func TestManualUndo(t *testing.T) {
	opts := newWorld(t, one(nil)).opts
	opts.Experiment = "latency[delay=300ms]" // as a matrix makes it
	w := newWorldOf(opts)
	must(t, w.Up(soon(t), w.record))
	if out, err := exec.Command("sh", "-c", w.undo[0].Manual).CombinedOutput(); err != nil && !strings.Contains(string(out), "No such process") {
		t.Errorf("%v: %s", err, out)
	}
	eventually(t, "nothing is left", func() bool { ids, err := proc.FindMarked(w.marker()); return err == nil && len(ids) == 0 })
	if _, err := os.Stat(w.opts.WorkDir); !errors.Is(err, os.ErrNotExist) {
		t.Error("the work folder is left")
	}
	must(t, w.Down(soon(t)))
}
