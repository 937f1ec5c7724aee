package experiments

import (
	"flag"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// onCompose are the experiments that are run on Compose. Some of them stand for all, one for each way in which a container is reached, unless all are
// asked for with `make compose`.
var onCompose = map[string][]string{
	"some": {"database-readonly", "memory-spike", "network-latency", "service-kill"},
	"all": {
		"connection-reset", "cpu-spike", "database-failure", "database-readonly", "memory-spike", "network-bandwidth", "network-latency", "network-partition",
		"service-kill", "service-pause", "service-restart", "service-stop",
	},
}

var composeRuns = flag.String("compose.runs", "some", "how much the tests on Compose run: some or all")

// The same files as on local processes.
func TestTheSameFilesOnCompose(t *testing.T) {
	c := compose(t)
	before := c.inspect("service-b")
	t.Run("the gate opens", func(t *testing.T) {
		c := c.in(t)
		args := []string{"--env", "compose", "--seed", "2"}
		names := onCompose[*composeRuns]
		for _, name := range names {
			args = append(args, filepath.Join("experiments", name+".yaml"))
		}
		code, r, said := decided(t, c.program, args...)
		if code != 0 || r.Gate != "OPEN" || len(names) == 0 || len(r.Scenarios) != len(names) {
			t.Errorf("exit code %d, gate %s, %d scenarios:\n%s", code, r.Gate, len(r.Scenarios), said)
		}
		c.clean()
		if after := c.inspect("service-b"); after.ID != before.ID || after.State.Pid == before.State.Pid {
			t.Errorf("service-b was %+v and is %+v", before, after)
		}
	})
	t.Run("faults on requests", func(t *testing.T) {
		c := c.in(t)
		code, r, said := decided(t, c.program, "--env", "compose", requestsFile(t))
		if code != 0 || r.Gate != "OPEN" {
			t.Errorf("exit code %d, gate %s:\n%s", code, r.Gate, said)
		}
		c.clean()
	})
	t.Run("the gate closes", func(t *testing.T) {
		code, r, said := run(t, c.program, "--env", "compose", "--dry-run", "experiments/service-pause.yaml")
		if code != 4 || r.Gate != "CLOSED" {
			t.Errorf("a dry run: exit code %d, gate %s:\n%s", code, r.Gate, said)
		}
	})
	t.Run("what it cannot do yet is refused", func(t *testing.T) {
		c := c.in(t)
		for args, want := range map[string]string{
			c.file("network.partition", "{service: service-b, to: service-a}"): "there is no link from service-b to service-a",
			"--jobs 2 --up experiments/service-kill.yaml":                      "each has a project of its own",
			"--weakened no-fallbak experiments/service-kill.yaml":              `did you mean "no-fallback"?`,
			"experiments/service-kill.yaml experiments/db-lock.yaml":           "there is no such file",
		} {
			code, said := output(t, c.program, append([]string{"run", "--env", "compose"}, strings.Fields(args)...)...)
			if code != 2 && code != 3 || !strings.Contains(said, want) {
				t.Errorf("%s: exit code %d, want %q:\n%s", args, code, want, said)
			}
		}
		c.clean()
	})
	t.Run("a killed runner", func(t *testing.T) {
		c := c.in(t)
		faults := map[string]func(composed) bool{"service.pause": paused, "db.readonly": readonly, "network.partition": cut}
		if *composeRuns == "all" { // pkg/target/docker kills runners as well
			faults["service.kill"], faults["cpu.stress"] = down, loaded
		}
		for fault, felt := range faults {
			runner, _ := c.hit(fault, felt)
			_ = runner.Process.Kill()
			c.clean()
		}
	})
	t.Run("a killed runner and guard, then rollback", func(t *testing.T) {
		c := c.in(t)
		faults := map[string]func(composed) bool{"service.stop": down, "db.lock": loaded}
		if *composeRuns == "all" {
			faults["service.pause"], faults["memory.stress"], faults["network.partition"] = paused, loaded, cut
		}
		for fault, felt := range faults {
			runner, reports := c.hit(fault, felt)
			guards, err := filepath.Glob(filepath.Join(reports, "*", "journal.jsonl"))
			if err != nil || len(guards) != 1 {
				t.Fatalf("journals: %v, %v", guards, err)
			}
			killGuard(t, runner.Process.Pid, guards[0])
			_ = runner.Wait()
			stays := strings.HasPrefix(fault, "service.") // a helper ends with its runner, whoever else is dead
			if stays && !felt(c) {
				t.Fatalf("%s: nothing is left to roll back", fault)
			}
			if code, said := output(t, c.program, "rollback", "--reports", reports); code != 0 || stays && !strings.Contains(said, fault+" on service-b-1") {
				t.Errorf("%s: exit code %d:\n%s", fault, code, said)
			}
			c.clean()
		}
	})
	t.Run("a run that starts the project, and ends it", func(t *testing.T) {
		c := c.in(t)
		file := c.experiment("service.pause, target: {service: service-b}", "1s")
		containers := func() string { return c.docker("ps", "-q", "--filter", "label=com.docker.compose.project="+c.project) }
		for _, step := range []struct {
			args string
			runs bool
		}{{"--up", true}, {"", true}, {"--up", false}, {"--up --keep", true}} {
			if step.args == "" { // what ran before was not ended; now nothing runs
				c.env("down")
				continue
			}
			code, r, said := decided(t, c.program, append([]string{"--env", "compose", file}, strings.Fields(step.args)...)...)
			if code != 0 || r.Gate != "OPEN" || (containers() != "") != step.runs {
				t.Fatalf("%s: exit code %d, gate %s, containers %q, want some: %v\n%s", step.args, code, r.Gate, containers(), step.runs, said)
			}
		}
	})
	t.Run("a project for each experiment", func(t *testing.T) {
		c := c.in(t)
		shared := c.inspect("service-b")
		code, r, said := decided(t, c.program, "--env", "compose", "--weakened", "no-fallback", "--seed", "2", "experiments/service-kill.yaml")
		if code != 1 || r.Gate != "CLOSED" {
			t.Errorf("without protections: exit code %d, gate %s:\n%s", code, r.Gate, said)
		}
		c.noCopies(0)
		if now := c.inspect("service-b"); now.ID != shared.ID || now.State.Pid != shared.State.Pid {
			t.Errorf("the project that ran already was %+v and is %+v", shared, now)
		}
		runner := c.start(c.file("service.pause", "{service: service-b}"), t.TempDir(), "--jobs", "2")
		c.eventually("a project is started", func() bool { return len(c.copies()) > 0 })
		_ = runner.Process.Kill()
		c.noCopies(composePatience)
		c.clean()
	})
	t.Run("a container that is removed", func(t *testing.T) {
		c := c.in(t)
		runner, reports := c.hit("service.pause", paused)
		c.docker("rm", "-f", c.inspect("service-b").ID)
		_ = runner.Process.Signal(syscall.SIGINT)
		_ = runner.Wait()
		code, said := output(t, c.program, "rollback", "--reports", reports)
		t.Logf("the runner: %v; rollback: %d %s", runner.ProcessState, code, said)
		if code != 0 || runner.ProcessState.ExitCode() != 6 {
			t.Errorf("exit code %d, of the run %d, want 0 and 6:\n%s", code, runner.ProcessState.ExitCode(), said)
		}
		c.env("up")
		c.clean()
	})
}
