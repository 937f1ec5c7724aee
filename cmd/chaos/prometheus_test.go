//go:build !race

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/proc"
)

// prometheus is a real server of the machine's own package, which scrapes every 250 ms what is announced in a folder.
type prometheusServer struct {
	url    string
	folder string
}

// startPrometheus starts a server for one test. Where there is none the test is skipped, in CI it fails.
func startPrometheus(t *testing.T) prometheusServer {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no prometheus here, and in CI there must be")
		}
		t.Skip("there is no prometheus here")
	}
	dir := t.TempDir()
	s := prometheusServer{url: "http://" + freeAddress(t), folder: filepath.Join(dir, "discovery")}
	rules, err := filepath.Abs(filepath.Join("..", "..", "observability", "alerts.yml"))
	must(t, err)
	config := fmt.Sprintf(`global: {scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: chaos
    file_sd_configs: [{files: [%q]}]
`, rules, filepath.Join(s.folder, "chaos-*.json"))
	must(t, os.Mkdir(s.folder, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o644))
	log, err := os.Create(filepath.Join(dir, "prometheus.log"))
	must(t, err)
	defer log.Close()
	cmd := exec.Command(program, "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+strings.TrimPrefix(s.url, "http://"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	p, err := proc.Start(cmd)
	must(t, err)
	t.Cleanup(func() {
		_ = p.Kill() // it may have ended
		<-p.Done()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("prometheus said:\n%s", text)
		}
	})
	projectCopy{t: t}.eventually("the Prometheus server is ready", func() bool { return answers(s.url + "/-/ready") })
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func answers(url string) bool {
	client := http.Client{Timeout: time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // to its end, so that the connection can be used again
	return resp.StatusCode == http.StatusOK
}

// shippedProject is the project of this repository in a folder of its own: the same services, built once, and the same experiments, measured by a server.
func shippedProject(t *testing.T, s prometheusServer) string {
	t.Helper()
	dir := shippedServices(t)
	path := filepath.Join(dir, configFile)
	config, err := os.ReadFile(path)
	must(t, err)
	text := replaceOnce(t, string(config), "prometheus: embedded", fmt.Sprintf("prometheus: {url: %q, interval: 250ms, discovery: %q}", s.url, s.folder))
	must(t, os.WriteFile(path, []byte(text), 0o644))
	return dir
}

// shippedServices is a folder with the shipped chaos.yaml and the services of it, built.
func shippedServices(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
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

// nothingAnnounced fails if a run has left something in the folder that the server reads.
func (s prometheusServer) nothingAnnounced(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(s.folder)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the discovery folder: %v, %v", left, err)
	}
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
			cmd := p.command(append([]string{"run", "--jobs", "2", "--seed", "2", "--quiet", "--reports", reports, "--output", "json=" + filepath.Join(reports, "report.json")}, c.args...)...)
			said, _ := cmd.CombinedOutput() // how it ended is looked at below
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
			if code := cmd.ProcessState.ExitCode(); code != c.exit || r.Gate != c.gate {
				t.Errorf("exit code %d and gate %s, want %d and %s:\n%s", code, r.Gate, c.exit, c.gate, said)
			}
			left, err := alive(reports, p.mark)
			if err != nil || len(left) > 0 {
				t.Errorf("left running: %s, %v", describeProcesses(left), err)
			}
			if name != "sound" {
				return
			}
			o := observe(t, s, began)
			o.dashboards()
			o.alerts()
			for _, one := range r.Scenarios {
				o.recovered(r.RunID, one.Name, one.Recovery)
			}
		})
	}
	t.Cleanup(func() { s.nothingAnnounced(t) })
}

// What was announced is taken back by the guard if the run is killed.
func TestAKilledRunIsNotScrapedAnyMore(t *testing.T) {
	s := startPrometheus(t)
	p := newProject(t)
	path := filepath.Join(p.dir, configFile)
	config, err := os.ReadFile(path)
	must(t, err)
	text := replaceOnce(t, string(config), "{url: embedded, interval: 100ms}", fmt.Sprintf("{url: %q, interval: 100ms, discovery: %q}", s.url, s.folder))
	must(t, os.WriteFile(path, []byte(text), 0o644))
	run := p.start("run", "long.yaml")
	p.waitFor(journal.UndoRecorded)
	p.eventually("the experiment is announced", func() bool {
		found, _ := filepath.Glob(filepath.Join(s.folder, "chaos-*.json"))
		return len(found) == 1
	})
	run.signal(syscall.SIGKILL)
	_ = run.cmd.Wait() // it was killed
	p.eventually("the announcement is taken back", func() bool {
		found, err := os.ReadDir(s.folder)
		return err == nil && len(found) == 0
	})
	p.eventually("nothing is left running", func() bool {
		left, err := alive(p.dir, p.mark)
		return err == nil && len(left) == 0
	})
}
