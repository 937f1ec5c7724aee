package experiments

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/journal"
)

// A project is one run's from before its first experiment until after its last, also between two of them: another run is refused before it has begun, and nobody starts or
// ends the project under it. One that is killed keeps nobody away.
func TestOneRunAtATimeOnCompose(t *testing.T) {
	c := compose(t)
	file := c.experiment("service.pause, target: {service: service-b}", "1s")
	u := c.begin(file, c.renamed(file))
	c.eventually("the fault is active", func() bool { return !u.at(journal.FaultActive).IsZero() })
	c.refused("in an experiment", file)
	u.pausedAfter(t, journal.EnvironmentDown)
	c.refused("between two experiments", file)
	must(t, u.cmd.Process.Signal(syscall.SIGCONT))
	<-u.ended
	if code := u.cmd.ProcessState.ExitCode(); code != 0 && code != 4 { // a busy machine may leave it undecided
		t.Errorf("exit code %d:\n%s", code, u.said)
	}
	c.neverFree(c.beginTo("prove", file, "--quiet"))
	u = c.begin(c.file("service.pause", "{service: service-b}"))
	c.eventually("the fault is active", func() bool { return !u.at(journal.FaultActive).IsZero() })
	must(t, u.cmd.Process.Kill())
	<-u.ended
	c.env("up") // which nobody who was killed keeps anybody from
}

// neverFree asks for the project all the time, from the middle of one control of a proof until the next has begun.
func (c composed) neverFree(u underway) {
	c.t.Helper()
	c.eventually("a control is under way", func() bool { return !u.at(journal.ExperimentStarted).IsZero() })
	h := fnv.New64a()
	h.Write([]byte(c.docker("info", "--format", "{{.ID}}") + "\x00" + c.project))
	lock, err := os.Open(fmt.Sprintf("/tmp/chaosgate-%016x.lock", h.Sum64()))
	must(c.t, err)
	defer lock.Close()
	c.eventually("the next control is under way", func() bool {
		for range 1000 {
			if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
				c.t.Fatal("nobody had the project between two controls")
			}
		}
		found, err := filepath.Glob(filepath.Join(u.reports, "*", "journal.jsonl"))
		return err == nil && len(found) == 2
	})
	must(c.t, u.cmd.Process.Signal(syscall.SIGINT))
	<-u.ended
}

// renamed writes an experiment again under another name, for the same run.
func (c composed) renamed(file string) string {
	c.t.Helper()
	text, err := os.ReadFile(file)
	must(c.t, err)
	path := filepath.Join(c.t.TempDir(), "again.yaml")
	must(c.t, os.WriteFile(path, []byte(strings.Replace(string(text), "name: e\n", "name: again\n", 1)), 0o600))
	return path
}

// refused sees that whoever needs the project for himself is refused, and has begun nothing.
func (c composed) refused(when, file string) {
	c.t.Helper()
	reports := c.t.TempDir()
	for _, command := range [][]string{
		{"run", file, "--reports", reports}, {"run", file, "--reports", reports, "--up"}, {"env", "down"}, {"env", "up"},
	} {
		code, said := output(c.t, c.program, append(command, "--config", c.config, "--env", c.environment)...)
		if want := `a run of this machine is at work on the Compose project "` + c.project + `"`; code != 5 || !strings.Contains(said, want) {
			c.t.Errorf("%s, %q: exit code %d, want 5 and %q:\n%s", when, command, code, want, said)
		}
	}
	if path := journalIn(reports); path != "" {
		c.t.Errorf("%s: a run was begun: %s", when, path)
	}
}

// pausedAfter stops a run as soon as its journal has an event, until it is told to go on.
func (u underway) pausedAfter(t *testing.T, event journal.Type) {
	t.Helper()
	for deadline := time.Now().Add(composePatience); u.at(event).IsZero(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", composePatience, event)
		}
	}
	must(t, u.cmd.Process.Signal(syscall.SIGSTOP))
}
