//go:build !race

package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/verdict"
)

const hostileMetricsConfig = `apiVersion: chaos/v1
environments:
  local:
    target: process
    prometheus: {url: embedded, interval: 100ms}
    services:
      front:
        command: [service]
        ports: {http: "8080"}
        env: {PORT: "${port.http}", UPSTREAM: "http://${link.odd}"}
        links: [odd]
        ready: {http: /health, within: 15s}
        metrics: /metrics
      odd:
        command: [service]
        ports: {http: "8081"}
        env: {PORT: "${port.http}", HOSTILE: %q}
        ready: {http: /health, within: 15s}
        metrics: /metrics
`

// The checks ask front, of which all is known, and odd, whose metrics are what the row says.
const hostileExperiment = `apiVersion: chaos/v1
name: odd
title: Front answers while the link to odd is a little slow
recovery: {within: 5s, for: 500ms}
traffic:
  - {service: front, path: /work, rate: 100/s}
steadyState:
  - id: answers
    promql: sum(rate(http_requests_total{service="front",status="200"}[$window]))
    window: 1s
    expect: {min: 10}
steps:
  - id: slow
    fault: network.latency
    target: {service: front, to: odd}
    with: {delay: 20ms}
    duration: 2s
  - id: few-errors
    during: slow
    ratio: {part: 'http_requests_total{service="odd",status="503"}', total: 'http_requests_total{service="odd"}'}
    expect: {max: 50%}
`

// runnerMemory is what a runner may need while a target does its worst: it needs about 32 MiB for a healthy one, and 80 MiB at most were seen.
const runnerMemory = 192 << 20

// Whatever one target answers, the gate stays closed for it, the runner's memory is bounded, and the other target is scraped on time.
func TestHostileMetricsEndpoints(t *testing.T) {
	names := slices.Sorted(maps.Keys(hostileMetrics(http.NotFoundHandler())))
	together(t, 3, names, func(t *testing.T, name string) {
		files := map[string]string{configFile: fmt.Sprintf(hostileMetricsConfig, name), "odd.yaml": hostileExperiment}
		want := verdict.ExitInconclusive
		if name == "well-behaved" {
			want = verdict.ExitOpen
		}
		p := runOdd(t, want, func() map[string]string { return files })
		p.scrapedOnTime("front")
	})
}

// runOdd runs odd.yaml, which must end with an exit code and fit into the memory that a runner may need. A run that is to decide, or to fail, is made until it is decided, each
// in a project of its own; the last one's is answered.
func runOdd(t *testing.T, want int, files func() map[string]string) (p projectCopy) {
	t.Helper()
	var cmd *exec.Cmd
	var said []byte
	untilDecided(t, func() (string, bool) {
		p, cmd, said = runProject(t, files(), "run", "odd.yaml")
		fitsInto(t, cmd, runnerMemory)
		return string(said), want == verdict.ExitInconclusive || cmd.ProcessState.ExitCode() != verdict.ExitInconclusive
	})
	if code := cmd.ProcessState.ExitCode(); code != want {
		t.Errorf("exit code %d, want %d:\n%s", code, want, said)
	}
	return p
}

// fitsInto fails if a process has taken more memory than a limit in bytes.
func fitsInto(t *testing.T, ended *exec.Cmd, limit int64) {
	t.Helper()
	if used := ended.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10; used > limit {
		t.Errorf("it took %d MiB, more than %d", used>>20, limit>>20)
	}
}

// runProject runs a command in a project of its own to its end, and fails if it leaves something running.
func runProject(t *testing.T, files map[string]string, args ...string) (p projectCopy, ended *exec.Cmd, said []byte) {
	t.Helper()
	p = projectCopy{t: t, dir: t.TempDir()}
	p.mark = marker + "=" + p.dir
	for name, text := range files {
		must(t, os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended = p.commandContext(ctx, args...)
	said, _ = ended.CombinedOutput() // how it ended is for the caller to look at
	left, err := alive(p.dir, p.mark)
	if err != nil || len(left) > 0 {
		t.Errorf("left running: %s, %v", describeProcesses(left), err)
	}
	return p, ended, said
}

// scrapedOnTime fails if a service was scraped less than half as often as it should be in all phases of the only run together: a machine that stands still for a moment
// may cost a short one as much.
func (p projectCopy) scrapedOnTime(service string) {
	p.t.Helper()
	found, _ := filepath.Glob(filepath.Join(p.dir, "reports", "*", journalFile))
	if len(found) != 1 {
		p.t.Fatalf("%d journals, want 1", len(found))
	}
	events, err := journal.ReadFile(found[0])
	must(p.t, err)
	var got, expected float64
	for _, e := range events {
		if e.Type != journal.CoverageKept {
			continue
		}
		c, err := journal.Decode[journal.Coverage](e)
		must(p.t, err)
		for _, covered := range c.Targets {
			if covered.Service == service {
				got, expected = got+covered.Got, expected+covered.Expected
			}
		}
	}
	// One that waited for its neighbour's time-outs of a second would have a tenth; a busy machine costs some.
	if expected == 0 || got < expected/2 {
		p.t.Errorf("%s was scraped %.0f of %.0f times", service, got, expected)
	}
}

// together runs subtests side by side, at most so many at a time: they wait more than they work.
func together(t *testing.T, most int, names []string, test func(*testing.T, string)) {
	t.Helper()
	room := make(chan struct{}, most)
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			t.Run(name, func(t *testing.T) { test(t, name) })
		})
	}
	all.Wait()
}
