package experiments

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// onDisks are faults on disks of a container, what tells that they are felt, and what the run says of them.
var onDisks = []struct {
	fault string
	felt  func(composed) bool
	says  []string
}{
	{"disk.fill, target: {service: service-b}, with: {path: /tmp}", full, []string{"service-b-1: /tmp has 0B free of 16MiB instead of 16MiB, with 16MiB taken, and a write meets ENOSPC", "service-b-1: /tmp has 16MiB free again"}},
	{"disk.readonly, target: {service: service-b}, with: {path: /data, open: any}", fixed, []string{"service-b-1: /data is read-only: a write of its own user meets EROFS", "service-b-1: /data can be written to again"}},
}

// inside is where a folder of service-b is seen from this machine.
func (c composed) inside(folder string) string {
	return fmt.Sprintf("/proc/%d/root%s", c.inspect("service-b").State.Pid, folder)
}

// full says whether service-b has no room at /tmp.
func full(c composed) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(c.inside("/tmp"), &st); err != nil {
		c.t.Fatal(err)
	}
	return st.Bavail == 0
}

// fixed says whether nothing can be written to /data of service-b.
func fixed(c composed) bool {
	fd, err := unix.Open(c.inside("/data"), unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err == nil {
		err = unix.Close(fd)
	}
	return errors.Is(err, unix.EROFS)
}

// Faults on disks open the gate where a service bears them, and leave nothing, whoever is killed.
func TestDiskFaultsOnCompose(t *testing.T) {
	c := compose(t)
	t.Run("db.full", c.fullDatabase)
	for _, d := range onDisks {
		name, _, _ := strings.Cut(d.fault, ",")
		t.Run(name, func(t *testing.T) {
			c := c.in(t)
			code, r, said := decided(t, c.program, "--env", "compose", c.experiment(d.fault, "1s"))
			if code != 0 || r.Gate != "OPEN" {
				t.Errorf("exit code %d, gate %s:\n%s", code, r.Gate, said)
			}
			for _, want := range d.says {
				if !strings.Contains(said, want) {
					t.Errorf("want %q:\n%s", want, said)
				}
			}
			c.clean()
			if *composeRuns != "all" {
				return // pkg/target/docker kills runners as well
			}
			c.outlives(d.fault, d.felt, "the guard", func(runner int, _ string) { _ = unix.Kill(runner, unix.SIGKILL) })
			c.outlives(d.fault, d.felt, "a rollback", func(runner int, reports string) {
				journals, err := filepath.Glob(filepath.Join(reports, "*", "journal.jsonl"))
				if err != nil || len(journals) != 1 {
					t.Fatalf("journals: %v, %v", journals, err)
				}
				killGuard(t, runner, journals[0])
				if code, said := output(t, c.program, "rollback", "--reports", reports); code != 0 {
					t.Errorf("exit code %d:\n%s", code, said)
				}
			})
		})
	}
}

// outlives has a runner killed while its fault is felt, and sees that it is felt no longer and that nothing is left.
func (c composed) outlives(fault string, felt func(composed) bool, who string, kill func(runner int, reports string)) {
	c.t.Helper()
	reports := c.t.TempDir()
	runner := c.start(c.experiment(fault, longFault), reports)
	c.eventually(fault+" is felt", func() bool { return felt(c) })
	kill(runner.Process.Pid, reports)
	_ = runner.Wait()
	c.eventually("it is undone by "+who, func() bool { return !felt(c) })
	c.clean()
}
