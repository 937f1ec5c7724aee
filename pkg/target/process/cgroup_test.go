package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/target"
)

// tree makes files, given by path and content, that look like a cgroup file system.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCgroupV2InATreeThatLooksLikeIt(t *testing.T) {
	root := tree(t, map[string]string{"cgroup.controllers": "cpu memory\n", "user/me/cgroup.subtree_control": ""})
	h, err := findHierarchy(root, "0::/user/me\n")
	if err != nil || !h.v2 || h.memory != filepath.Join(root, "user/me") {
		t.Fatalf("got %+v, %v", h, err)
	}
	c, err := h.create("chaos-x-a", 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.add(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, c.memory, "memory.max") + " " + read(t, c.memory, "memory.swap.max"); got != "67108864 0" {
		t.Errorf("got %s", got)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(c.memory, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("cpu.stat", "usage_usec 1500\nuser_usec 1000\n")
	write("memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n")
	use, err := c.usage()
	if err != nil || use.CPU != target.Duration(1500*time.Microsecond) || use.Memory < 1<<20 {
		t.Errorf("got %+v, %v", use, err)
	}
	if kills, err := c.oomKills(); err != nil || kills != 1 {
		t.Errorf("got %d, %v", kills, err)
	}
}

// A cgroup that has processes of its own does not hand controllers on, so the one above it is tried.
func TestCgroupV2AboveOurOwn(t *testing.T) {
	root := tree(t, map[string]string{"cgroup.controllers": "cpu memory\n", "slice/cgroup.subtree_control": "", "slice/me/cgroup.procs": ""})
	if err := os.Mkdir(filepath.Join(root, "slice/me/cgroup.subtree_control"), 0o755); err != nil { // cannot be written
		t.Fatal(err)
	}
	if h, err := findHierarchy(root, "0::/slice/me\n"); err != nil || h.memory != filepath.Join(root, "slice") {
		t.Errorf("got %+v, %v", h, err)
	}
}

func TestNoCgroupHasAReason(t *testing.T) {
	for name, root := range map[string]string{
		"nothing there": t.TempDir(),
		"not handed on": tree(t, map[string]string{"cgroup.controllers": "cpu\n"}),
	} {
		h, err := findHierarchy(root, "0::/nowhere/me\n4:memory:/\n")
		if err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%s: got %+v, %v", name, h, err)
		}
	}
}

func TestOwnPaths(t *testing.T) {
	paths := ownPaths("4:memory:/a/b\n2:cpu,cpuacct:/c\n1:name=systemd:/\n0::/u:v\nnonsense\n")
	for controller, want := range map[string]string{"memory": "/a/b", "cpuacct": "/c", "cpu": "/c", "": "/u:v"} {
		if paths[controller] != want {
			t.Errorf("%q: got %q, want %q", controller, paths[controller], want)
		}
	}
}

// The controllers for accounting and for sharing may have one folder under two names.
func TestCgroupV1ControllersThatShareAFolder(t *testing.T) {
	root := tree(t, map[string]string{"memory/me/x": "", "cpu,cpuacct/me/x": ""})
	for _, name := range []string{"cpu", "cpuacct"} {
		if err := os.Symlink("cpu,cpuacct", filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	h, err := findHierarchy(root, "4:memory:/me\n2:cpu,cpuacct:/me\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(root, "memory/me/a"), filepath.Join(root, "cpu,cpuacct/me/a")}
	if got := h.paths("a"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCgroupOfThisMachine(t *testing.T) {
	charge := findCharge("test/" + t.TempDir())
	if charge.reason != "" {
		t.Skip("no cgroup here: " + charge.reason)
	}
	c, err := charge.create("a", 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := c.add(cmd.Process.Pid); err != nil {
		t.Error(err)
	}
	short, cancel := timeout(t, 20*time.Millisecond)
	defer cancel()
	if err := removeCgroup(short, c.memory); err == nil || !strings.Contains(err.Error(), "busy") {
		t.Errorf("a cgroup with a process in it: got %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	long, cancel := timeout(t, 5*time.Second)
	defer cancel()
	for _, dir := range append(c.dirs, c.dirs...) {
		if err := removeCgroup(long, dir); err != nil {
			t.Error(err)
		}
	}
}

// A process that is killed while it tries leaves an empty cgroup that is recorded nowhere.
func TestTriesOfDeadProcessesAreRemoved(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a[b]*c?") // no character of a path is a pattern
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	dead, alive := filepath.Join(root, "chaos-try-999999999-1"), filepath.Join(root, fmt.Sprintf("chaos-try-%d-1", os.Getppid()))
	for _, dir := range []string{dead, alive} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := writable(root); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(root); err != nil || len(left) != 1 || left[0].Name() != filepath.Base(alive) {
		t.Errorf("left: %v, %v, want only that of a live process", left, err)
	}
}
