// Package experiments holds the shipped experiments; its tests run them for real.
package experiments

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chaosgate/pkg/propagation"
)

func files(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("*.yaml")
	if err != nil || len(found) < 10 {
		t.Fatalf("%d experiments, expected at least ten: %v", len(found), err)
	}
	for i := range found {
		found[i] = filepath.Join("experiments", found[i])
	}
	return found
}

// output runs a command in the project's folder and answers its exit code and what it said.
func output(t *testing.T, program string, args ...string) (code int, said string) {
	t.Helper()
	said, err := inProject(program, args...)
	var status *exec.ExitError
	switch {
	case errors.As(err, &status):
		return status.ExitCode(), said
	case err != nil:
		t.Fatal(err)
	}
	return 0, said
}

// report is the part of report.json that the tests read.
type report struct {
	RunID     string     `json:"run_id"`
	Gate      string     `json:"deployment_gate"`
	Weakened  string     `json:"weakened"`
	Scenarios []scenario `json:"scenarios"`
}

type scenario struct {
	Name     string                         `json:"name"`
	State    string                         `json:"state"`
	Reasons  []struct{ State, Text string } `json:"reasons"`
	Faults   []struct{ Effect string }      `json:"faults"`
	Spreads  []propagation.Spread           `json:"propagation"`
	Recovery float64                        `json:"recovery_time_seconds"`
}

func run(t *testing.T, program string, args ...string) (code int, r report, said string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "report.json")
	code, said = output(t, program, append([]string{"run", "--reports", dir, "--output", "json=" + path}, args...)...)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return code, r, said
}

// decided runs experiments again that a machine busy with something else has left undecided, as it must; how often that happens is counted by `make repeated`.
func decided(t *testing.T, program string, args ...string) (code int, r report, said string) {
	t.Helper()
	for range 3 {
		code, r, said = run(t, program, args...)
		if !slices.ContainsFunc(r.Scenarios, func(s scenario) bool { return s.State == "INCONCLUSIVE" }) {
			break
		}
		t.Logf("run again, because it was not decided:\n%s", said)
	}
	return code, r, said
}

func TestTheShippedExperimentsAreValidAndPlanned(t *testing.T) {
	program := chaos(t)
	code, said := output(t, program, append([]string{"validate"}, files(t)...)...)
	if code != 0 || strings.Contains(said, "warning") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	for _, file := range files(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		code, said := output(t, program, "plan", file)
		if code != 0 || !strings.HasPrefix(said, "experiment "+name+" ") || !strings.Contains(said, "INJECT") {
			t.Errorf("%s: exit code %d:\n%s", file, code, said)
		}
	}
}

// The main job runs them one after the other in the order of their names; here they run side by side and the other way round.
func TestTheGateOpensInAnyOrder(t *testing.T) {
	if testing.Short() {
		t.Skip("runs all experiments, about half a minute")
	}
	all := files(t)
	slices.Reverse(all)
	code, r, said := decided(t, chaos(t), append([]string{"--jobs", "3"}, all...)...)
	if code != 0 || r.Gate != "OPEN" || len(r.Scenarios) != len(all) {
		t.Errorf("exit code %d, gate %s, %d of %d scenarios:\n%s", code, r.Gate, len(r.Scenarios), len(all), said)
	}
	tookTheirWays(t, "", r)
}

// weakened says which scenarios must close the gate when which protection of the services is taken away.
var weakened = []struct {
	variant   string
	jobs      string
	seed      string // of service-kill: one that picks service-b, since no setting of service-a can keep a dead service-a from failing
	scenarios []string
}{
	{"no-fallback", "3", "2", []string{"service-kill", "service-stop", "service-restart", "memory-spike", "database-failure", "connection-reset"}},
	{"no-timeout", "2", "1", []string{"service-pause", "network-partition", "network-latency", "network-bandwidth"}},
	{"no-degraded-mode", "1", "1", []string{"database-readonly"}},
	{"heavy-worker", "1", "1", []string{"cpu-spike"}},
}

// proven is a folder in which `chaos prove` of all experiments has left its runs just before: its weakened runs need not be made twice.
var proven = os.Getenv("CHAOS_PROVEN")

// closed answers what experiments came to in an environment that was weakened.
func closed(t *testing.T, variant, jobs, seed string, names []string) (r report, said string) {
	t.Helper()
	if proven != "" {
		return of(t, proven, variant), "by " + proven
	}
	args := []string{"--weakened", variant, "--jobs", jobs, "--seed", seed}
	for _, name := range names {
		args = append(args, filepath.Join("experiments", name+".yaml"))
	}
	code, r, said := decided(t, chaos(t), args...)
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	return r, said
}

// of reads the report of a weakened run among those of a folder.
func of(t *testing.T, reports, variant string) (r report) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(reports, "*", "report.json"))
	if err != nil || len(all) == 0 {
		t.Fatalf("%d reports in %s: %v", len(all), reports, err)
	}
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var one report
		if err := json.Unmarshal(text, &one); err != nil {
			t.Fatal(err)
		}
		if one.Weakened == variant {
			r = one // the latest, by the names of runs
		}
	}
	return r
}

func TestTheGateClosesWithoutEachProtection(t *testing.T) {
	if testing.Short() {
		t.Skip("runs every experiment in an environment that was weakened on purpose, about a minute")
	}
	var tried []string
	for _, w := range weakened {
		t.Run(w.variant, func(t *testing.T) {
			r, said := closed(t, w.variant, w.jobs, w.seed, w.scenarios)
			if r.Gate != "CLOSED" || len(r.Scenarios) != len(w.scenarios) {
				t.Errorf("gate %s, %d scenarios", r.Gate, len(r.Scenarios))
			}
			for _, s := range r.Scenarios {
				if s.Name == "memory-spike" && !strings.Contains(s.Faults[0].Effect, "limit") {
					t.Logf("memory-spike: no cgroup can be had here, so nothing is killed for memory (%s): %s", s.State, s.Faults[0].Effect)
					continue
				}
				if s.State != "FAIL" {
					t.Errorf("%s is %s, expected FAIL: %+v", s.Name, s.State, s.Reasons)
				}
			}
			tookTheirWays(t, w.variant, r)
			if t.Failed() {
				t.Log(said)
			}
		})
		tried = append(tried, w.scenarios...)
	}
	for _, file := range files(t) {
		if name := strings.TrimSuffix(filepath.Base(file), ".yaml"); !slices.Contains(tried, name) {
			t.Errorf("no weakened variant is tried on %s", name)
		}
	}
}
