package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	wanted = "63f7807872f1c1d2e3f405162738495a6b7c8d9eafb0c1d2e3f405162738495a"
	other  = "f3787aa55683c1d2e3f405162738495a6b7c8d9eafb0c1d2e3f405162738495a"
)

// The groups of a process as the kernels and the engine's drivers write them: version 1 and 2, seen from the machine and from a cgroup namespace beside.
func TestInCgroupOf(t *testing.T) {
	for groups, want := range map[string]bool{
		"12:memory:/docker/" + wanted + "\n0::/\n":            true,  // v1, cgroupfs
		"11:cpu:/system.slice/docker-" + wanted + ".scope\n":  true,  // v1, systemd
		"0::/docker/" + wanted + "\n":                         true,  // v2, cgroupfs
		"0::/system.slice/docker-" + wanted + ".scope\n":      true,  // v2, systemd
		"0::/../docker-" + wanted + ".scope\n":                true,  // v2, systemd, from beside
		"0::/../" + wanted + "\n":                             true,  // v2, cgroupfs, from beside
		"0::/user.slice/x.scope/docker/" + wanted + "/init\n": true,  // below it
		"12:memory:/docker/" + other + "\n":                   false, // another
		"0::/system.slice/docker-" + wanted[:63] + ".scope\n": false,
		"0::/\n":                       false,
		"":                             false,
		"0::/docker/" + wanted + "0\n": false,
	} {
		if got := inCgroupOf(groups, wanted); got != want {
			t.Errorf("%q: got %v", groups, got)
		}
	}
}

// groupOf says in which cgroup a container's processes are, as /proc tells it, for each version and driver.
var groupOf = map[string]string{
	"v1, cgroupfs": "12:memory:/docker/%s\n11:cpu,cpuacct:/docker/%[1]s\n0::/\n", "v1, systemd": "12:memory:/system.slice/docker-%s.scope\n",
	"v2, cgroupfs": "0::/docker/%s\n", "v2, systemd": "0::/system.slice/docker-%s.scope\n",
}

// procTree is a tree like /proc: process ids, with the containers and the ids in all namespaces.
func procTree(t *testing.T, group string, processes map[int][2]string) string {
	t.Helper()
	dir := t.TempDir()
	for pid, p := range processes {
		at := filepath.Join(dir, strconv.Itoa(pid))
		if err := os.Mkdir(at, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"cgroup": fmt.Sprintf(group, p[0]), "status": "Name:\tx\nNSpid:\t" + p[1] + "\nThreads:\t1\n"} {
			if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// Of all processes in a container the first one of its own namespace is hit: not the machine's, not a child, not one further down, not another container's.
func TestFirstProcess(t *testing.T) {
	self, parent := os.Getpid(), os.Getppid() // they live, whatever the tree says of them
	for name, group := range groupOf {
		t.Run(name, func(t *testing.T) {
			tree := procTree(t, group, map[int][2]string{1: {wanted, "1"}, self: {wanted, strconv.Itoa(self) + "\t1"}, parent: {wanted, strconv.Itoa(parent) + "\t9\t1"}})
			if id, err := firstProcess(tree, wanted); err != nil || id.PID != self {
				t.Errorf("got %v, %v, want %d", id, err, self)
			}
			tree = procTree(t, group, map[int][2]string{1: {other, "1"}, self: {other, strconv.Itoa(self) + "\t1"}, parent: {wanted, strconv.Itoa(parent) + "\t7"}})
			if id, err := firstProcess(tree, wanted); err == nil || !strings.Contains(err.Error(), "no process of the container is seen here") {
				t.Errorf("got %v, %v", id, err)
			}
		})
	}
}

func TestSignalConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{"container":"` + wanted + `","signal":"SIGKILL"}`: "", `{"container":"x","signal":"SIGKILL"}`: "expected 64 hexadecimal digits",
		`{"container":"` + wanted + `","signal":"KILL"}`: `no signal "KILL"`, `{"container":"` + strings.ToUpper(wanted) + `","signal":"SIGKILL"}`: "hexadecimal", `{"x":1}`: "cannot be read",
	} {
		_, err := newSignal([]byte(config))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", config, err, want)
		}
	}
}
