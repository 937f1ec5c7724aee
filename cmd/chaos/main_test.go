package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/proc"
	"chaosgate/pkg/verdict"
)

// The scripts run the real program, against real services: this test binary under the name of `service`.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"chaos": main, "service": service, "smalldisk": smallDisk, "limited": limited})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"nothing": nothing,
			"journal": journalOf,
		},
	})
}

// marker is a variable that every process started by a script inherits.
const marker = "CHAOS_TEST_SCRIPT"

// setup puts the project of testdata into the script's folder, under what the script itself brings.
func setup(e *testscript.Env) error {
	e.Setenv(marker, e.WorkDir)
	for _, name := range []string{"PATH", "HOME", "GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS", "GOPROXY"} {
		if v := os.Getenv(name); v != "" && name != "HOME" {
			e.Setenv(name, v)
		}
	}
	return copyProject("testdata/project", e.WorkDir)
}

func copyProject(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		target := filepath.Join(to, filepath.Base(path))
		if _, err := os.Stat(target); err == nil {
			return nil // the script brings its own
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o644)
	})
}

// unshown is in a proof with a control that shows nothing, because the machine was too busy.
var unshown = regexp.MustCompile(`✗ .*INCONCLUSIVE|INCONCLUSIVE .*not tested: the steady state was not met`)

// exits CODE COMMAND...: runs a command that must end with this very exit code. One that was to decide, or to fail, and did not is run again. Longer phases instead would take
// their time on every machine, and not be enough: one that stands still for half a second misses too much of two.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	decides, got := want == verdict.ExitOpen || want == verdict.ExitFail, 0
	untilDecided(ts, func() (string, bool) {
		before := runsOf(ts)
		got = codeOf(ts, args[1], args[2:]...)
		said := ts.ReadFile("stdout")
		undecided := got == verdict.ExitInconclusive && want != verdict.ExitInconclusive
		if !undecided && !(decides && unshown.MatchString(said)) {
			return said, true
		}
		putAside(ts, before)
		return said, false
	})
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// codeOf runs a command of a script and answers its exit code.
func codeOf(ts *testscript.TestScript, program string, args ...string) int {
	err := ts.Exec(program, args...)
	var status *exec.ExitError
	switch {
	case errors.As(err, &status):
		return status.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	return 0
}

// runsOf are the journals of a script's runs.
func runsOf(ts *testscript.TestScript) []string {
	found, err := filepath.Glob(ts.MkAbs("reports/*/journal.jsonl"))
	ts.Check(err)
	return found
}

// putAside moves the runs that were not there before to where a script does not look for them; that nothing of them is left is still seen there.
func putAside(ts *testscript.TestScript, before []string) {
	aside := ts.MkAbs("undecided")
	ts.Check(os.MkdirAll(aside, 0o755))
	for _, path := range runsOf(ts) {
		if dir := filepath.Dir(path); !slices.Contains(before, path) {
			ts.Check(os.Rename(dir, filepath.Join(aside, filepath.Base(dir))))
		}
	}
}

// nothing is-left: no process of the script is left but the script's own.
func nothing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || args[0] != "is-left" {
		ts.Fatalf("usage: nothing is-left")
	}
	left, err := alive(ts.Getenv("WORK"), marker+"="+ts.Getenv("WORK"))
	ts.Check(err)
	if len(left) > 0 {
		ts.Fatalf("left running: %s", describeProcesses(left))
	}
}

// alive answers the processes that carry a mark, or that of an environment of a run in the project.
func alive(project, mark string) ([]proc.ID, error) {
	all, err := proc.FindMarked(mark)
	if err != nil {
		return nil, err
	}
	journals, err := filepath.Glob(filepath.Join(project, "*", "*", journalFile))
	if err != nil {
		return nil, err
	}
	for _, path := range journals {
		events, err := journal.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			if e.Type != journal.Planned {
				continue
			}
			found, err := proc.FindMarked(proc.Marker(filepath.Base(filepath.Dir(path)) + "/" + e.Experiment))
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
	}
	return all, nil
}

func describeProcesses(all []proc.ID) string {
	var out []string
	for _, id := range all {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id.PID))
		out = append(out, fmt.Sprintf("%d %s", id.PID, strings.ReplaceAll(string(line), "\x00", " ")))
	}
	return strings.Join(out, "; ")
}

// journal NAME: sets $NAME to the journal of the only run.
func journalOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: journal NAME")
	}
	found := runsOf(ts)
	if len(found) != 1 {
		ts.Fatalf("%d journals, want 1: %v", len(found), found)
	}
	ts.Setenv(args[0], found[0])
}

// mostRuns is how often a run is made at most.
const mostRuns = 3

// untilDecided makes a run again that a machine busy with something else has left undecided, as it must. Run answers what was said, and whether that decides: whatever else
// went wrong is for the caller to look at, and is not tried again.
func untilDecided(log interface{ Logf(string, ...any) }, run func() (said string, decided bool)) {
	for range mostRuns {
		said, decided := run()
		if decided {
			return
		}
		log.Logf("it was not decided:\n%s", said)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
