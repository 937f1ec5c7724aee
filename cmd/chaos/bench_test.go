package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

// The benchmarks measure the real program as a user starts it. Each reports what docs/benchmarks.md lists; `make bench` runs them all.

// program builds the chaos command once for a benchmark.
func program(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "chaos")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", path, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return path
}

// used is what a command has cost.
type used struct {
	wall   time.Duration
	memory float64 // MB, the most that was resident
	out    string
}

func measured(b *testing.B, dir, program string, args ...string) used {
	b.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	memory := make(chan float64)
	go func() { memory <- mostResident(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	wall := time.Since(began)
	close(ended)
	if err != nil {
		b.Fatalf("%v\n%s", err, out.String())
	}
	return used{wall: wall, memory: <-memory, out: out.String()}
}

// mostResident follows the most memory in MB that a process has had resident, without its children: the kernel's own figure after its end includes them.
func mostResident(pid int, ended <-chan struct{}) float64 {
	most := 0.0
	for {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				kB, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
				most = max(most, kB/1024)
			}
		}
		select {
		case <-ended:
			return most
		case <-time.After(time.Millisecond):
		}
	}
}

func costs(b *testing.B, all []used) {
	b.Helper()
	slices.SortFunc(all, func(x, y used) int { return int(x.wall - y.wall) })
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(all[len(all)/2].wall.Microseconds())/1000, "ms(median)")
	b.ReportMetric(float64(all[len(all)-1].wall.Microseconds())/1000, "ms(worst)")
	b.ReportMetric(all[len(all)/2].memory, "MB(rss)")
}

func BenchmarkVersion(b *testing.B) {
	chaos := program(b)
	var all []used
	for b.Loop() {
		all = append(all, measured(b, b.TempDir(), chaos, "version"))
	}
	costs(b, all)
}

// benchProject is a project with one small service, in which commands may be run.
func benchProject(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	write(b, dir, "chaos.yaml", `apiVersion: chaos/v1
environments:
  local:
    target: process
    prometheus: {url: embedded, interval: 100ms}
    services:
      front: {command: [service], ports: {http: 8080}, env: {PORT: "${port.http}"}, ready: {http: /health}, metrics: /metrics}
policy: {exec: true}
`)
	return dir
}

func write(b *testing.B, dir, name, text string) {
	b.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
}

const benchHead = `apiVersion: chaos/v1
name: %s
timeout: 2m
steadyState:
  - {id: up, http: {service: front, path: /health}, expect: {status: 200}}
recovery: {within: 5s, for: 100ms}
steps:
`

func BenchmarkValidate1000(b *testing.B) {
	chaos, dir := program(b), benchProject(b)
	text, err := os.ReadFile("../../experiments/network-latency.yaml")
	if err != nil {
		b.Fatal(err)
	}
	like := strings.NewReplacer("service-a", "front", "service-b", "back").Replace(string(text))
	config := strings.Replace(readText(b, dir, "chaos.yaml"), "      front: {", "      back: {command: [service], ports: {http: 8081}, env: {PORT: \"${port.http}\"}}\n      front: {links: [back], ", 1)
	write(b, dir, "chaos.yaml", config)
	if err := os.Mkdir(filepath.Join(dir, "many"), 0o755); err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		distinct := strings.NewReplacer("network-latency", fmt.Sprintf("latency-%d", i), "delay: 300ms", fmt.Sprintf("delay: %dms", 100+i)).Replace(like)
		write(b, filepath.Join(dir, "many"), fmt.Sprintf("e%d.yaml", i), distinct)
	}
	var all []used
	for b.Loop() {
		all = append(all, measured(b, dir, chaos, "validate", "many"))
	}
	costs(b, all)
}

func readText(b *testing.B, dir, name string) string {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}

// stepsTook is how long the steps of the only experiment of a run took, by the journal.
func stepsTook(b *testing.B, reports string) time.Duration {
	b.Helper()
	var began, ended time.Duration
	for _, e := range eventsOf(b, reports) {
		if e.Type != journal.PhaseStarted && e.Type != journal.PhaseEnded {
			continue
		}
		p, err := journal.Decode[journal.Phase](e)
		if err != nil {
			b.Fatal(err)
		}
		if p.Name == journal.Method && e.Type == journal.PhaseStarted {
			began = e.Mono
		} else if p.Name == journal.Method {
			ended = e.Mono
		}
	}
	return ended - began
}

func eventsOf(b *testing.B, reports string) []journal.Event {
	b.Helper()
	found, err := filepath.Glob(filepath.Join(reports, "*", journalFile))
	if err != nil || len(found) != 1 {
		b.Fatalf("journals %v, %v", found, err)
	}
	events, err := journal.ReadFile(found[0])
	if err != nil {
		b.Fatal(err)
	}
	return events
}

// benchSteps runs an experiment of many steps again and again, and reports and answers how long they took.
func benchSteps(b *testing.B, steps string) (median time.Duration) {
	chaos, dir := program(b), benchProject(b)
	write(b, dir, "steps.yaml", fmt.Sprintf(benchHead, "steps")+steps)
	var all []used
	for b.Loop() {
		reports := b.TempDir()
		u := measured(b, dir, chaos, "run", "steps.yaml", "--quiet", "--reports", reports, "--output", "text")
		u.wall = stepsTook(b, reports)
		all = append(all, u)
	}
	costs(b, all)
	return all[len(all)/2].wall
}

func BenchmarkChainOf10000Waits(b *testing.B) {
	var steps strings.Builder
	steps.WriteString("  - {id: w0, wait: 0s}\n")
	for i := 1; i < 10_000; i++ {
		fmt.Fprintf(&steps, "  - {id: w%d, wait: 0s, needs: [w%d]}\n", i, i-1)
	}
	benchSteps(b, steps.String())
}

func Benchmark1000CommandsAtOnce(b *testing.B) {
	var steps strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&steps, "  - {id: c%d, action: {exec: {command: [sleep, \"1\"]}}}\n", i)
	}
	took := benchSteps(b, steps.String())
	b.ReportMetric(took.Seconds()/bareCommands(b, 1000).Seconds(), "x(shell)")
}

// bareCommands is how long a shell takes for as many commands side by side, as the least that starting them costs on this machine.
func bareCommands(b *testing.B, n int) time.Duration {
	b.Helper()
	began := time.Now()
	out, err := exec.Command("sh", "-c", fmt.Sprintf("for i in $(seq %d); do sleep 1 & done; wait", n)).CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return time.Since(began)
}

// BenchmarkShippedExperiments runs the main job with five lanes. Its time is compared with the ideal schedule: the plans' critical paths, the longest first, packed
// on as many lanes.
func BenchmarkShippedExperiments(b *testing.B) {
	chaos := program(b)
	files, err := filepath.Glob("../../experiments/*.yaml")
	if err != nil {
		b.Fatal(err)
	}
	for i := range files {
		files[i] = filepath.Join("experiments", filepath.Base(files[i]))
	}
	const lanes = 5
	var all []used
	var ratio, over float64
	for b.Loop() {
		reports := b.TempDir()
		u := measured(b, "../..", chaos, append([]string{"run", "--quiet", "--jobs", fmt.Sprint(lanes), "--reports", reports}, files...)...)
		events := eventsOf(b, reports)
		u.wall = events[len(events)-1].Mono
		all = append(all, u)
		ideal, most := schedules(b, events, lanes)
		ratio, over = max(ratio, u.wall.Seconds()/ideal.Seconds()), max(over, most.Seconds()*1000)
	}
	costs(b, all)
	b.ReportMetric(ratio, "x(ideal)")
	b.ReportMetric(over, "ms(most_over_its_path)")
}

// schedules answers how long the plans take if those that run alone go one by one, and each other one at once to the lane that is free first, and by how much an experiment was longer than its plan at most.
func schedules(b *testing.B, events []journal.Event, lanes int) (ideal, over time.Duration) {
	b.Helper()
	var lengths []time.Duration
	var alone time.Duration
	expected := map[string]time.Duration{}
	for _, e := range events {
		switch e.Type {
		case journal.Planned:
			var p plan.Plan
			if err := json.Unmarshal(e.Data, &p); err != nil {
				b.Fatal(err)
			}
			expected[e.Experiment] = time.Duration(p.Expected)
			if p.BearsNobody() {
				alone += time.Duration(p.Expected)
			} else {
				lengths = append(lengths, time.Duration(p.Expected))
			}
		case journal.ExperimentEnded:
			r, err := journal.Decode[journal.ExperimentResult](e)
			if err != nil {
				b.Fatal(err)
			}
			if late := time.Duration(r.Wall) - expected[e.Experiment]; late > 200*time.Millisecond {
				b.Logf("%s took %v, planned %v", e.Experiment, time.Duration(r.Wall).Round(time.Millisecond), expected[e.Experiment])
			}
			over = max(over, time.Duration(r.Wall)-expected[e.Experiment])
		}
	}
	slices.SortFunc(lengths, func(x, y time.Duration) int { return int(y - x) })
	free := make([]time.Duration, lanes)
	for _, l := range lengths {
		slices.Sort(free)
		free[0] += l
	}
	return alone + slices.Max(free), over
}
