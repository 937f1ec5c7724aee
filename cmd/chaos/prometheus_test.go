//go:build !race

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/promtest"
)

// startPrometheus starts a server for one test, with the shipped configuration.
func startPrometheus(t *testing.T) promtest.Server {
	t.Helper()
	return promtest.Start(t, filepath.Join("..", ".."))
}

// shippedProject is the project of this repository in a folder of its own: the same services, built once, and the same experiments, measured by a server.
func shippedProject(t *testing.T, s promtest.Server) string {
	t.Helper()
	dir := shippedServices(t)
	path := filepath.Join(dir, configFile)
	config, err := os.ReadFile(path)
	must(t, err)
	text := replaceOnce(t, string(config), "prometheus: embedded", fmt.Sprintf("prometheus: {url: %q, interval: 250ms, discovery: %q}", s.URL, s.Folder))
	must(t, os.WriteFile(path, []byte(text), 0o644))
	return dir
}

// shippedServices is a folder with the shipped chaos.yaml and the services of it, built.
func shippedServices(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	// What is built from is looked at, so that `go test` does not answer from its cache when it has changed.
	must(t, filepath.WalkDir(filepath.Join("..", "..", "services"), func(_ string, _ fs.DirEntry, err error) error { return err }))
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir, "./services/service-a", "./services/service-b")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	config, err := os.ReadFile(filepath.Join("..", "..", configFile))
	must(t, err)
	text := string(config)
	for _, name := range []string{"service-a", "service-b"} {
		text = replaceOnce(t, text, "build: ./services/"+name, fmt.Sprintf("command: [%q]", filepath.Join(dir, name)))
	}
	must(t, os.WriteFile(filepath.Join(dir, configFile), []byte(text), 0o644))
	return dir
}

func replaceOnce(t *testing.T, text, old, new string) string {
	t.Helper()
	if strings.Count(text, old) != 1 {
		t.Fatalf("%q is not in chaos.yaml exactly once", old)
	}
	return strings.Replace(text, old, new, 1)
}

func shipped(t *testing.T, names ...string) []string {
	t.Helper()
	var files []string
	for _, name := range names {
		path, err := filepath.Abs(filepath.Join("..", "..", "experiments", name+".yaml"))
		must(t, err)
		files = append(files, path)
	}
	return files
}

// The whole command against a real server: the gate opens, and without its protections it closes for the same reason as with the embedded storage.
func TestRunsAgainstARealPrometheus(t *testing.T) {
	s := startPrometheus(t)
	dir := shippedProject(t, s)
	type wants struct {
		args []string
		exit int
		gate string
	}
	for name, c := range map[string]wants{
		"sound":    {shipped(t, "service-kill", "network-latency"), 0, "OPEN"},
		"weakened": {append(shipped(t, "network-latency"), "--weakened", "no-timeout"), 1, "CLOSED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := projectCopy{t: t, dir: dir, mark: marker + "=" + t.TempDir()}
			reports, began := t.TempDir(), time.Now()
			code, said := p.decided(append([]string{"run", "--jobs", "2", "--seed", "2", "--quiet", "--reports", reports, "--output", "json=" + filepath.Join(reports, "report.json")}, c.args...)...)
			text, err := os.ReadFile(filepath.Join(reports, "report.json"))
			if err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			var r struct {
				RunID     string `json:"run_id"`
				Gate      string `json:"deployment_gate"`
				Scenarios []struct {
					Name     string
					Recovery float64 `json:"recovery_time_seconds"`
				}
			}
			must(t, json.Unmarshal(text, &r))
			if code != c.exit || r.Gate != c.gate {
				t.Errorf("exit code %d and gate %s, want %d and %s:\n%s", code, r.Gate, c.exit, c.gate, said)
			}
			left, err := alive(reports, p.mark)
			if err != nil || len(left) > 0 {
				t.Errorf("left running: %s, %v", describeProcesses(left), err)
			}
			if name != "sound" {
				return
			}
			o := promtest.Observe(t, s, filepath.Join("..", ".."), began)
			o.Dashboards()
			o.Alerts()
			for _, one := range r.Scenarios {
				o.Recovered(r.RunID, one.Name, one.Recovery)
			}
		})
	}
	t.Cleanup(func() { s.Empty(t) })
}

// What was announced is taken back by the guard if the run is killed.
func TestAKilledRunIsNotScrapedAnyMore(t *testing.T) {
	s := startPrometheus(t)
	p := newProject(t)
	path := filepath.Join(p.dir, configFile)
	config, err := os.ReadFile(path)
	must(t, err)
	text := replaceOnce(t, string(config), "{url: embedded, interval: 100ms}", fmt.Sprintf("{url: %q, interval: 100ms, discovery: %q}", s.URL, s.Folder))
	must(t, os.WriteFile(path, []byte(text), 0o644))
	run := p.start("run", "long.yaml")
	p.waitFor(journal.UndoRecorded)
	p.eventually("the experiment is announced", func() bool {
		found, _ := filepath.Glob(filepath.Join(s.Folder, "chaos-*.json"))
		return len(found) == 1
	})
	run.signal(syscall.SIGKILL)
	_ = run.cmd.Wait() // it was killed
	p.eventually("the announcement is taken back", func() bool {
		found, err := os.ReadDir(s.Folder)
		return err == nil && len(found) == 0
	})
	p.eventually("nothing is left running", func() bool {
		left, err := alive(p.dir, p.mark)
		return err == nil && len(left) == 0
	})
}
