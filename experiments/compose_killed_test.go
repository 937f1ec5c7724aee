package experiments

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	composeKills = flag.Int("compose.kills", 0, "how often TestKilledOnCompose kills something")
	composeSeed  = flag.Uint64("compose.seed", 0, "decides what is killed; 0 draws one")
)

// onContainers are faults on containers, of each family, with what they cannot be without.
var onContainers = []string{
	"service.pause, target: {service: service-b}", "service.kill, target: {service: service-b}", "service.stop, target: {service: service-a}",
	"cpu.stress, target: {service: service-b}", "memory.stress, target: {service: service-b}, with: {size: 64MiB}",
	"cpu.limit, target: {service: service-b}, with: {cpus: 0.2}", "memory.limit, target: {service: service-b}, with: {size: 200MiB}",
	"disk.fill, target: {service: service-b}, with: {path: /tmp}", "disk.readonly, target: {service: service-b}, with: {path: /data, open: any}",
	"db.lock, target: {service: service-b}", "db.readonly, target: {service: service-b}", "db.corrupt, target: {service: service-b}",
	"network.partition, target: {service: service-a, to: service-b}", "network.latency, target: {service: service-b}, with: {delay: 200ms}",
	"network.loss, target: {service: service-a, to: service-b}, with: {probability: 30%}",
	"network.duplicate, target: {service: service-a, to: service-b}, with: {probability: 50%}",
	"http.abort, target: {service: service-a, to: service-b}", "http.delay, target: {service: service-b}, with: {delay: 200ms}",
}

// Whatever is killed, and whenever, nothing is left: the runner, its guard, both, or a helper of theirs, at moments drawn over the whole life of a run. `make compose` does it a
// hundred times.
func TestKilledOnCompose(t *testing.T) {
	if *composeKills == 0 {
		t.Skip("asked for with -compose.kills")
	}
	c := compose(t)
	seed := *composeSeed
	if seed == 0 {
		seed = uint64(rand.Uint32())
	}
	t.Logf("-compose.seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	victims := []string{"runner", "guard", "both", "helper"}
	counts := map[string]int{}
	for n := range *composeKills {
		fault, victim := onContainers[n%len(onContainers)], victims[random.IntN(len(victims))]
		life := composeLife
		if victim == "helper" {
			life /= 2 // later there is none any more
		}
		after := time.Duration(random.Int64N(int64(life)))
		name := fmt.Sprintf("%s %v after the start, %s", victim, after.Round(time.Millisecond), strings.SplitN(fault, ",", 2)[0])
		if !t.Run(name, func(t *testing.T) {
			c := c.in(t)
			if c.kill(fault, victim, after, random) {
				counts[victim]++
			}
		}) {
			break // what it has left would be taken for what the next one leaves
		}
	}
	t.Logf("killed, and nothing left: %v; the others of %d came when there was nothing to kill", counts, *composeKills)
}

// composeLife is how long a run of the harness takes, about.
const composeLife = 6 * time.Second

// helpers are those at work; some time is given to the first one to come.
func (c composed) helpers() (ids []string) {
	for deadline := time.Now().Add(2 * time.Second); len(ids) == 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ids = c.listed([]string{"ps", "-q", "--filter", "label=chaosgate.environment"})
	}
	return ids
}

// kill runs an experiment, kills something of it, and sees that nothing is left. It answers whether there was something to kill.
func (c composed) kill(fault, victim string, after time.Duration, random *rand.Rand) (killed bool) {
	c.t.Helper()
	reports := c.t.TempDir()
	runner := c.start(c.experiment(fault, "2s"), reports)
	time.Sleep(after)
	journals, err := filepath.Glob(filepath.Join(reports, "*", "journal.jsonl"))
	if err != nil {
		c.t.Fatal(err)
	}
	switch {
	case victim == "helper":
		if ids := c.helpers(); len(ids) > 0 {
			code, _ := output(c.t, "docker", "kill", ids[random.IntN(len(ids))]) // it may be ending already
			killed = code == 0
		}
	case victim == "runner" || len(journals) == 0:
		killed = runner.ProcessState == nil && syscall.Kill(runner.Process.Pid, 0) == nil
		_ = runner.Process.Kill()
	case victim == "guard":
		killed = killGuardOf(journals[0]) > 0
	case victim == "both":
		killed = killBoth(runner.Process.Pid, journals[0]) > 0
	}
	err = runner.Wait()
	if code := runner.ProcessState.ExitCode(); code == 6 {
		c.t.Errorf("the run left something, by its own word: %v", err)
	}
	if victim == "both" && len(journals) > 0 {
		if code, said := output(c.t, c.program, "rollback", "--reports", reports); code != 0 {
			c.t.Errorf("rollback: exit code %d:\n%s", code, said)
		}
	}
	c.clean()
	if code, said := output(c.t, c.program, "rollback", "--reports", reports); code != 0 || !strings.Contains(said, "nothing is left to undo") {
		c.t.Errorf("nothing was to be left to roll back: exit code %d:\n%s", code, said)
	}
	return killed
}

// killGuard kills the guard of a journal and then the runner, so that nobody is left to undo anything.
func killGuard(t *testing.T, runner int, journal string) {
	t.Helper()
	if killBoth(runner, journal) == 0 {
		t.Errorf("no guard of %s was found", journal)
	}
}

// killBoth kills the guard of a journal and then its runner, and answers how many guards there were.
func killBoth(runner int, journal string) int {
	_ = syscall.Kill(runner, syscall.SIGSTOP) // or it would start another guard
	found := killGuardOf(journal)
	_ = syscall.Kill(runner, syscall.SIGKILL)
	return found
}

// killGuardOf kills the guard of a journal and answers how many there were.
func killGuardOf(journal string) (found int) {
	entries, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is right
	for _, file := range entries {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), "\x00guard\x00") || !strings.Contains(string(text), journal) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(file, "/proc/%d/", &pid); err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil {
			found++
		}
	}
	return found
}
