package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/proc"
	"chaosgate/pkg/target/process"
)

func run(t *testing.T, d Deps, command ...string) journal.Observation {
	t.Helper()
	return look(t, d, check("exec", plan.Probe{Exec: &plan.Exec{Command: command, Env: map[string]string{"GREETING": "hello $HOME"}}}))
}

func TestExecBringsBackWhatTheCommandSays(t *testing.T) {
	d := at("http://127.0.0.1:1")
	d.Dir = t.TempDir()
	d.Secrets = secrets("s3cret")
	o := run(t, d, "sh", "-c", "pwd; echo s3cret is kept >&2; exit 3")
	dir, err := filepath.EvalSymlinks(d.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if o.Error != "" || o.Numbers["exit_code"] != 3 || o.Text["stdout"] != dir+"\n" || o.Text["stderr"] != "*** is kept\n" {
		t.Errorf("got %+v", o)
	}
}

func TestExecKeepsOnlySoMuch(t *testing.T) {
	o := run(t, at(""), "sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x")
	if o.Numbers["exit_code"] != 0 || o.Error != "" || len(o.Text["stdout"]) < textLimit || len(o.Text["stdout"]) > textLimit+100 {
		t.Errorf("got exit code %v, error %q and %d characters", o.Numbers["exit_code"], o.Error, len(o.Text["stdout"]))
	}
}

func TestExecUsesNoShell(t *testing.T) {
	if o := run(t, at(""), "echo", "$HOME", ";", "*"); o.Text["stdout"] != "$HOME ; *\n" {
		t.Errorf("got %q", o.Text["stdout"])
	}
}

func TestExecIsToldLittle(t *testing.T) {
	t.Setenv("CHAOS_TEST_TOKEN", "s3cret")
	o := run(t, at("http://127.0.0.1:4000"), "env")
	lines := strings.Split(o.Text["stdout"], "\n")
	for _, want := range []string{"GREETING=hello $HOME", "CHAOS_URL_SERVICE_A=http://127.0.0.1:4000", "PATH=" + os.Getenv("PATH")} {
		if !slices.Contains(lines, want) {
			t.Errorf("the command was not told %s", want)
		}
	}
	if strings.Contains(o.Text["stdout"], "s3cret") {
		t.Errorf("the command was told what is none of its business:\n%s", o.Text["stdout"])
	}
}

func TestExecDoesNotWaitForAPersonToType(t *testing.T) {
	if o := run(t, at(""), "cat"); o.Error != "" || o.Numbers["exit_code"] != 0 || o.Text["stdout"] != "" {
		t.Errorf("got %+v", o)
	}
}

func TestExecSaysWhatWeDidWrong(t *testing.T) {
	d := at("")
	d.Dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(d.Dir, "script"), []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		"no-such-command": "no-such-command",
		"./script":        "permission denied",
		"./nothing":       "no such file",
	} {
		o := run(t, d, command)
		if !strings.Contains(o.Error, want) || !strings.Contains(o.Error, command) || len(o.Numbers) > 0 {
			t.Errorf("got error %q and numbers %v, want one with %q", o.Error, o.Numbers, want)
		}
	}
}

func TestExecLeavesNothingBehind(t *testing.T) {
	d := at("")
	d.Dir = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	c := check("exec", plan.Probe{Exec: &plan.Exec{Command: []string{"sh", "-c", "sleep 60 & echo $! > child; wait"}}})
	o := Look(ctx, d, c, Window{})
	if !strings.Contains(o.Error, "no answer within ") || time.Duration(o.Took) > 5*time.Second {
		t.Errorf("got error %q after %v", o.Error, time.Duration(o.Took))
	}
	pid, err := os.ReadFile(filepath.Join(d.Dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join("/proc", strings.TrimSpace(string(pid)))
	for end := time.Now().Add(5 * time.Second); alive(folder); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the command's child %s still runs", pid)
		}
	}
}

// alive says whether a process runs; one that has ended but was not yet reaped does not.
func alive(folder string) bool {
	stat, err := os.ReadFile(filepath.Join(folder, "stat"))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// A command that leaves a process behind, in a session of its own, is found when the runner was killed: by the undo of the environment, which is on disk.
func TestWhatACommandLeavesBelongsToTheEnvironment(t *testing.T) {
	id := fmt.Sprintf("test-%d/exec", os.Getpid())
	d := at("")
	d.Dir = t.TempDir()
	d.Environment = process.New(process.Options{RunID: path.Dir(id), Experiment: path.Base(id)})
	c := check("exec", plan.Probe{Exec: &plan.Exec{
		Command: []string{"sh", "-c", "setsid sh -c 'sleep 60 & >ready; wait' >/dev/null 2>&1 & until test -e ready; do sleep 0.01; done"}, Env: map[string]string{proc.MarkerName: "somebody else's"},
	}})
	if o := look(t, d, c); o.Error != "" || o.Numbers["exit_code"] != 0 {
		t.Fatalf("got %+v", o)
	}
	if left, err := proc.FindMarked(proc.Marker(id)); err != nil || len(left) != 2 {
		t.Errorf("found %v, %v; want the shell and its child", left, err)
	}
	undo := fmt.Sprintf(`{"marker":%q,"work_dir":%q}`, proc.Marker(id), filepath.Join(t.TempDir(), "chaos-none"))
	if err := process.RevertEnvironment(t.Context(), json.RawMessage(undo)); err != nil {
		t.Error(err)
	}
	if left, err := proc.FindMarked(proc.Marker(id)); err != nil || len(left) > 0 {
		t.Errorf("after the undo: %v, %v", left, err)
	}
}
