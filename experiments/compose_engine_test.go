package experiments

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/journal"
)

var engineKills = flag.Int("compose.engine-kills", 0, "how often TestTheEngineEndsAtAnyMoment ends the engine")

// insideEngineTest is set in the test's own namespaces.
const insideEngineTest = "CHAOS_ENGINE_TEST"

// inNamespaces runs the test again in namespaces of its own, of network, processes and mounts, where a second engine disturbs nobody and ends with the test. It answers whether
// this is there.
func inNamespaces(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideEngineTest) != "" {
		return true
	}
	if testing.Short() {
		t.Skip("starts an engine and containers, about a minute")
	}
	if missing := noEngine(); missing != "" {
		if _, err := exec.LookPath("dockerd"); err == nil && os.Getenv("CI") == "true" && os.Geteuid() == 0 {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	args := []string{
		"--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sh", "-c", `ip link set lo up && "$0" "$@"`,
		os.Args[0], "-test.run", "^" + t.Name() + "$", "-test.v", "-test.timeout", "2h",
	}
	flag.Visit(func(f *flag.Flag) {
		if strings.HasPrefix(f.Name, "compose.") {
			args = append(args, "-"+f.Name, f.Value.String())
		}
	})
	cmd := exec.Command("unshare", args...)
	cmd.Env = append(os.Environ(), insideEngineTest+"="+engineFolder(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = testLog{t}, testLog{t}
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
	return false
}

// noEngine says why an engine of the test's own cannot be had; empty if it can.
func noEngine() string {
	if os.Geteuid() != 0 {
		return "an engine of its own takes root"
	}
	for _, program := range []string{"dockerd", "docker", "unshare", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			return "an engine of its own takes " + program
		}
	}
	return ""
}

// engineFolder is where the engine keeps its things; its cgroup has the same name. Both are removed with the test.
func engineFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "chaos-engine-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
		for deadline := time.Now().Add(10 * time.Second); !removedGroups(filepath.Base(dir)); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("cgroups %s are left", filepath.Base(dir))
				return
			}
		}
	})
	return dir
}

// removedGroups removes the cgroups of a name with those below them, and answers whether there are none any more: their processes end with the namespace, a moment later.
func removedGroups(name string) bool {
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + name) // the pattern is right
	groups = append(groups, "/sys/fs/cgroup/"+name)
	gone := true
	for _, group := range groups {
		var all []string
		_ = filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append(all, path)
			}
			return nil // one that has gone meanwhile
		})
		for _, dir := range slices.Backward(all) {
			_ = syscall.Rmdir(dir)
		}
		_, err := os.Stat(group)
		gone = gone && errors.Is(err, fs.ErrNotExist)
	}
	return gone
}

// engine is a Docker engine of the test's own.
type engine struct {
	t    *testing.T
	dir  string
	more []string // arguments
	cmd  *exec.Cmd
}

// newEngine starts one, which DOCKER_HOST names from then on.
func newEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{t: t, dir: os.Getenv(insideEngineTest)}
	if err := os.WriteFile(e.dir+"/config.json", []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, driver := output(t, "docker", "info", "-f", "{{.Driver}}"); !strings.ContainsAny(strings.TrimSpace(driver), " \n") {
		e.more = append(e.more, "--storage-driver", strings.TrimSpace(driver)) // what this machine can do
	}
	t.Setenv("DOCKER_HOST", "unix://"+e.dir+"/sock")
	e.start()
	t.Cleanup(func() { e.end(syscall.SIGTERM) })
	return e
}

// start starts the engine and waits until it answers.
func (e *engine) start() {
	e.t.Helper()
	_ = os.Remove(e.dir + "/pid") // of one that was killed: another process may have its number
	log, err := os.OpenFile(e.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	e.cmd = exec.Command("dockerd", append([]string{
		"--config-file", e.dir + "/config.json", "--data-root", e.dir + "/data", "--exec-root", e.dir + "/exec", "--pidfile", e.dir + "/pid", "--host", os.Getenv("DOCKER_HOST"),
		"--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", "/" + filepath.Base(e.dir), "--log-level", "error",
	}, e.more...)...)
	e.cmd.Stdout, e.cmd.Stderr = log, log
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	e.until("the engine answers", func() bool { return exec.Command("docker", "version").Run() == nil })
}

// end ends the engine and waits until it is gone.
func (e *engine) end(signal syscall.Signal) {
	e.t.Helper()
	_ = e.cmd.Process.Signal(signal)
	_ = e.cmd.Wait() // by the signal, or in an orderly way
}

func (e *engine) until(what string, ok func() bool) {
	e.t.Helper()
	for deadline := time.Now().Add(composePatience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(e.dir + "/log")
			e.t.Fatalf("not within %v: %s; the engine says:\n%s", composePatience, what, log)
		}
	}
}

// underway is a run of chaos.
type underway struct {
	cmd     *exec.Cmd
	reports string
	said    *bytes.Buffer
	ended   chan struct{}
}

// begin starts a run, which does not outlive the test.
func (c composed) begin(file string, more ...string) underway {
	c.t.Helper()
	return c.beginTo("run", file, more...)
}

func (c composed) beginTo(command, file string, more ...string) underway {
	c.t.Helper()
	u := underway{reports: c.t.TempDir(), said: &bytes.Buffer{}, ended: make(chan struct{})}
	u.cmd = exec.Command(c.program, append([]string{command, file, "--env", c.environment, "--reports", u.reports}, more...)...)
	u.cmd.Dir, u.cmd.Stdout, u.cmd.Stderr = "..", u.said, u.said
	if err := u.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() { _ = u.cmd.Wait(); close(u.ended) }()
	c.t.Cleanup(func() { _ = u.cmd.Process.Kill(); <-u.ended })
	return u
}

// events are what the run's journal has.
func (u underway) events() []journal.Event {
	found, _ := filepath.Glob(filepath.Join(u.reports, "*", "journal.jsonl")) // the pattern is right
	if len(found) != 1 {
		return nil
	}
	f, err := os.Open(found[0])
	if err != nil {
		return nil
	}
	defer f.Close()
	events, err := journal.Read(f)
	if err != nil {
		return nil
	}
	return events
}

// at is when the first event of a type was written; zero if there is none.
func (u underway) at(t journal.Type) time.Time {
	for _, e := range u.events() {
		if e.Type == t {
			return e.Time
		}
	}
	return time.Time{}
}

// endsWithin is how long a run may take to end without its engine: it waits a quarter of a minute for that, and bounds everything else.
const endsWithin = 90 * time.Second

// closes waits for the end of a run whose engine has ended in its middle, and sees that it says so.
func (u underway) closes(c composed, back bool) {
	c.t.Helper()
	select {
	case <-u.ended:
	case <-time.After(endsWithin):
		c.t.Fatalf("the run does not end; it says:\n%s", u.said)
	}
	code, said := u.cmd.ProcessState.ExitCode(), u.said.String()
	if code != 5 && code != 6 || code == 5 && !back || strings.Contains(said, "GATE OPEN") || !strings.Contains(said, "[environment-lost]") {
		c.t.Errorf("exit code %d, the engine came back: %v:\n%s", code, back, said)
	}
	u.tells(c)
}

// tells sees that a run which has ended says what it has left, and what to do about it.
func (u underway) tells(c composed) {
	c.t.Helper()
	left, err := journal.Pending(u.events())
	code, said := u.cmd.ProcessState.ExitCode(), u.said.String()
	if err != nil || len(left) > 0 && (code != 6 || !strings.Contains(said, "try again with `chaos rollback ")) {
		c.t.Errorf("exit code %d, and what is not clean, and what to do, is not said: %+v, %v\n%s", code, left, err, said)
	}
}

// settled sees that nothing is left once the engine is back and what was left was rolled back.
func (e *engine) settled(c composed, u underway) {
	c.t.Helper()
	if code, said := output(c.t, c.program, "rollback", "--reports", u.reports); code != 0 {
		c.t.Errorf("rollback: exit code %d:\n%s", code, said)
	}
	c.clean()
	if code, said := output(c.t, c.program, "rollback", "--reports", u.reports); code != 0 || !strings.Contains(said, "nothing is left to undo") {
		c.t.Errorf("nothing was to be left to roll back: exit code %d:\n%s", code, said)
	}
	if left := agents(); len(left) > 0 {
		c.t.Errorf("helpers are left: %q", left)
	}
}

// agents are the helpers that run: all processes here are the test's.
func agents() (found []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is right
	for _, f := range files {
		text, err := os.ReadFile(f)
		if args := strings.Split(string(text), "\x00"); err == nil && len(args) > 1 && args[1] == "agent" {
			found = append(found, strings.Join(args, " "))
		}
	}
	return found
}

// The engine is started again or killed in the middle of a fault, and comes back or does not: the gate is closed, the report says so, and nothing is left after a rollback with
// the engine back. With live restore the containers go on without it.
func TestTheEngineEnds(t *testing.T) {
	if !inNamespaces(t) {
		return
	}
	e := newEngine(t)
	c := compose(t)
	latency := "network.latency, target: {service: service-a, to: service-b}, with: {delay: 200ms}"
	cases := []struct {
		name, fault string
		signal      syscall.Signal
		back        bool
		rare        bool // of `make compose` only
	}{
		{"started again", "service.pause, target: {service: service-b}", syscall.SIGTERM, true, true},
		{"killed, stop", "service.stop, target: {service: service-b}", syscall.SIGKILL, true, false},
		{"killed, limit", "cpu.limit, target: {service: service-b}, with: {cpus: 0.2}", syscall.SIGKILL, true, true},
		{"killed, load", "cpu.stress, target: {service: service-b}", syscall.SIGKILL, true, true},
		{"away", latency, syscall.SIGKILL, false, false},
	}
	for _, k := range cases {
		t.Run(k.name, func(t *testing.T) {
			if k.rare && *composeRuns != "all" {
				t.Skip("asked for with -compose.runs all")
			}
			c := c.in(t)
			u := c.begin(c.experiment(k.fault, "20s"))
			e.until("the fault is felt", func() bool { return !u.at(journal.FaultActive).IsZero() })
			e.end(k.signal)
			if k.back {
				e.start()
				u.closes(c, true)
			} else {
				u.closes(c, false)
				e.until("the helpers have ended, without an engine", func() bool { return len(agents()) == 0 })
				e.start()
			}
			e.settled(c, u)
		})
	}
}

// Whenever the engine ends, and however: nothing is left, and no gate opens but of a run that was over. `make compose` does it forty times, half of them with live restore.
func TestTheEngineEndsAtAnyMoment(t *testing.T) {
	if *engineKills == 0 {
		t.Skip("asked for with -compose.engine-kills")
	}
	if !inNamespaces(t) {
		return
	}
	seed := *composeSeed
	if seed == 0 {
		seed = uint64(rand.Uint32())
	}
	t.Logf("-compose.seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	e := newEngine(t)
	c := compose(t)
	counts := map[string]int{}
	for n := range *engineKills {
		if n == *engineKills/2 {
			e.end(syscall.SIGTERM)
			e.more = append(e.more, "--live-restore")
			e.start()
			c.env("up")
		}
		k := engineEnd{fault: onContainers[n%len(onContainers)], after: time.Duration(random.Int64N(int64(composeLife))), signal: syscall.SIGKILL}
		if random.IntN(3) == 0 {
			k.signal = syscall.SIGTERM
		}
		k.away = time.Duration(random.Int64N(int64(3 * time.Second)))
		if random.IntN(4) == 0 {
			k.away = endsWithin // until the run has ended
		}
		if !t.Run(k.String(), func(t *testing.T) {
			c := c.in(t)
			counts[e.endAt(c, k)]++
		}) {
			break // what it has left would be taken for what the next one leaves
		}
	}
	t.Logf("nothing left of %d: %v", *engineKills, counts)
}

// engineEnd is one end of an engine.
type engineEnd struct {
	fault       string
	after, away time.Duration
	signal      syscall.Signal
}

func (k engineEnd) String() string {
	return fmt.Sprintf("%v %v after the start for %v, %s", k.signal, k.after.Round(time.Millisecond), k.away.Round(time.Millisecond), strings.SplitN(k.fault, ",", 2)[0])
}

// endAt ends the engine in a run, and answers how that ended.
func (e *engine) endAt(c composed, k engineEnd) string {
	c.t.Helper()
	u := c.begin(c.experiment(k.fault, "2s"))
	time.Sleep(k.after)
	e.end(k.signal)
	gone := time.Now()
	select {
	case <-u.ended:
	case <-time.After(k.away):
	}
	e.start()
	select {
	case <-u.ended:
	case <-time.After(endsWithin):
		c.t.Fatalf("the run does not end; it says:\n%s", u.said)
	}
	over := u.at(journal.EnvironmentDown)
	whole := !over.IsZero() && over.Before(gone) // all of it was verified while the engine was there
	code, said := u.cmd.ProcessState.ExitCode(), u.said.String()
	if !whole && (code == 0 || strings.Contains(said, "GATE OPEN")) {
		c.t.Errorf("the run was not over, and the gate is open: exit code %d:\n%s", code, said)
	}
	u.tells(c)
	if whole || u.at(journal.EnvironmentUp).IsZero() { // what the engine has done to the containers is nobody's to undo
		c.env("up")
	}
	if e.broken(c, u) {
		return "a container that the engine does not start any more"
	}
	e.settled(c, u)
	if whole {
		return "after its end"
	}
	return fmt.Sprintf("exit code %d", code)
}

// broken says whether the engine has broken a container, which one that is killed while it starts it may do (20.10: "task already exists"). Nobody but who removes the container
// can help then; that it is left down must be said. It is made anew.
func (e *engine) broken(c composed, u underway) bool {
	c.t.Helper()
	code, said := output(c.t, c.program, "rollback", "--reports", u.reports)
	if code != 6 || !strings.Contains(said, ": already exists") {
		return false
	}
	c.t.Logf("rollback:\n%s", said)
	for _, service := range []string{"service-a", "service-b"} {
		if s := c.inspect(service); !s.State.Running {
			c.docker("rm", "-f", s.ID)
		}
	}
	c.env("up")
	e.settled(c, u)
	return true
}

// env starts what does not run of the project, or ends it, as a person would: by "up" or "down".
func (c composed) env(command string) {
	c.t.Helper()
	if code, said := output(c.t, c.program, "env", command, "--config", c.config, "--env", c.environment); code != 0 {
		c.t.Fatalf("env %s: exit code %d:\n%s", command, code, said)
	}
}
