package experiments

import (
	"strings"
	"syscall"
	"testing"

	"chaosgate/pkg/journal"
)

// What --up leaves, or cannot end, is said when the run itself has said all.
func TestWhatUpLeavesIsSaid(t *testing.T) {
	c := compose(t)
	c.env("down")
	file := c.experiment("service.pause, target: {service: service-b}", longFault)
	t.Run("it cannot be ended", func(t *testing.T) {
		c := c.in(t)
		u := c.begin(file, "--up")
		c.eventually("the fault is active", func() bool { return !u.at(journal.FaultActive).IsZero() })
		guest := c.docker("run", "-d", "--network", c.project+"_default", "chaosgate/service-b:dev") // Compose ends no network with somebody else in it
		t.Cleanup(func() { c.docker("rm", "-fv", guest); c.env("down") })
		said := u.interrupted(t, 6)
		for _, want := range []string{"active endpoints", "environment compose could not be ended", "chaos env down --env compose"} {
			if !strings.Contains(said, want) {
				t.Errorf("missing %q in:\n%s", want, said)
			}
		}
	})
	t.Run("something is left to undo", func(t *testing.T) {
		c := c.in(t)
		u := c.begin(file, "--up")
		c.eventually("the fault is active", func() bool { return !u.at(journal.FaultActive).IsZero() })
		c.docker("rm", "-f", c.inspect("service-b").ID)
		said := u.interrupted(t, 6)
		if want := "environment compose is left running"; !strings.Contains(said, want) {
			t.Errorf("missing %q in:\n%s", want, said)
		}
		c.env("down")
	})
}

// interrupted ends a run by ^C and answers what it said; it must end with an exit code.
func (u underway) interrupted(t *testing.T, code int) string {
	t.Helper()
	must(t, u.cmd.Process.Signal(syscall.SIGINT))
	<-u.ended
	if got := u.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d:\n%s", got, code, u.said)
	}
	return u.said.String()
}
