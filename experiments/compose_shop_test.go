package experiments

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"

	"chaosgate/pkg/imagetest"
)

const (
	// composePatience is how long something may take that takes seconds at most where the engine is quick and the machine is not busy.
	composePatience = 90 * time.Second
	// longFault is how long a fault lasts that somebody is to end: longer than it is waited for, so that its own end is not taken for his work.
	longFault = "2m"
)

// composed is the shop in containers, as a Compose project of its own.
type composed struct {
	t           *testing.T
	program     string
	project     string
	config      string   // chaos.yaml
	environment string   // of it
	status      string   // what `chaos env status` has said; empty where it is to be asked
	found       []string // what was on the engine before the test: a test that was killed with its guards has left it
}

// compose starts the project with `chaos env up`, and ends it with the test.
func compose(t *testing.T) composed {
	t.Helper()
	needsCompose(t)
	return composeOf(t, "compose", 2)
}

func needsCompose(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts containers, about a minute")
	}
	imagetest.NeedsDocker(t, exec.Command("docker", "version").Run())
}

// in is the same in a part of the test.
func (c composed) in(t *testing.T) composed {
	c.t = t
	return c
}

// composeOf starts the project of an environment with so many services, on ports that the engine chooses.
func composeOf(t *testing.T, environment string, services int) composed {
	t.Helper()
	t.Setenv("SERVICE_A_PORT", "0")
	t.Setenv("SERVICE_B_PORT", "0")
	return composeIn(t, "..", environment, services)
}

// composeIn does so in a folder that has the project's configuration.
func composeIn(t *testing.T, dir, environment string, services int) composed {
	t.Helper()
	config, err := filepath.Abs(filepath.Join(dir, "chaos.yaml"))
	must(t, err)
	c := composed{t: t, program: chaos(t), project: fmt.Sprintf("chaosgate-faults-%d", os.Getpid()), config: config, environment: environment}
	c.found = append(c.helpersAndImages(), c.copies()...)
	t.Setenv("COMPOSE_PROJECT_NAME", c.project)
	if said, err := builtImages(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	t.Cleanup(func() {
		if code, said := output(t, c.program, "env", "down", "--config", config, "--env", environment, "--volumes"); code != 0 {
			t.Errorf("exit code %d:\n%s", code, said)
		}
		for _, kind := range []string{"container", "network", "volume"} {
			if left := c.docker(kind, "ls", "-q", "--filter", "label=com.docker.compose.project="+c.project); left != "" {
				t.Errorf("left of the project: %s %s", kind, left)
			}
		}
		c.noCopies(composePatience)
		c.eventually("no helper and no image of one is left", func() bool { return len(c.helpersAndImages()) == 0 })
	})
	if code, said := output(t, c.program, "env", "up", "--config", config, "--env", environment); code != 0 || strings.Count(said, "ready\n") != services {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	return c
}

func (c composed) docker(args ...string) string {
	c.t.Helper()
	code, said := output(c.t, "docker", args...)
	if code != 0 {
		c.t.Fatalf("docker %s: %s", strings.Join(args, " "), said)
	}
	return strings.TrimSpace(said)
}

// state is what the engine knows of a service's container.
type state struct {
	ID           string
	RestartCount int
	State        struct {
		Running, Paused bool
		Pid             int
		ExitCode        int
	}
	HostConfig struct{ NanoCpus, Memory int64 }
}

// given are the limits of service-b in the Compose file.
var given = struct{ NanoCpus, Memory int64 }{1e9, 256 << 20}

func (c composed) inspect(service string) state {
	c.t.Helper()
	id := c.docker("ps", "-aq", "--filter", "label=com.docker.compose.project="+c.project, "--filter", "label=com.docker.compose.service="+service)
	var all []state
	if err := json.Unmarshal([]byte(c.docker("inspect", id)), &all); err != nil || len(all) != 1 {
		c.t.Fatalf("%d containers of %s, %v", len(all), service, err)
	}
	return all[0]
}

// helpersAndImages are those that runs of this test have on the engine.
func (c composed) helpersAndImages() []string {
	c.t.Helper()
	return c.listed([]string{"ps", "-aq", "--filter", "label=chaosgate.environment"}, []string{"images", "-q", "--filter", "label=chaosgate.environment"})
}

// listed are the ids that some commands list, without what was there before the test.
func (c composed) listed(commands ...[]string) (ids []string) {
	c.t.Helper()
	for _, command := range commands {
		ids = append(ids, strings.Fields(c.docker(command...))...)
	}
	return slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(c.found, id) })
}

// clean sees that both services run and serve as if nothing had been, and that no helper, no image of one and no rule on a link is left; service-a tries service-b again after a while.
func (c composed) clean() {
	c.t.Helper()
	for deadline := time.Now().Add(composePatience); ; time.Sleep(20 * time.Millisecond) {
		all := c.inspect("service-b")
		a, b := c.inspect("service-a").State, all.State
		left := append(c.helpersAndImages(), c.rules()...)
		if a.Running && b.Running && !a.Paused && !b.Paused && all.HostConfig == given && len(left) == 0 && !loaded(c) && !apart(c) && !readonly(c) {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("after %v: service-a %+v, service-b %+v, limits %+v, helpers, images and rules %q", composePatience, a, b, all.HostConfig, left)
		}
	}
}

// rules are what faults on links have in the network namespaces of the services: tables of theirs, and queues into which packets go.
func (c composed) rules() (found []string) {
	c.t.Helper()
	for _, service := range []string{"service-a", "service-b"} {
		pid := c.inspect(service).State.Pid
		space, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
		if err != nil {
			continue // it does not run
		}
		conn, err := nftables.New(nftables.WithNetNSFd(int(space.Fd())))
		must(c.t, err)
		tables, err := conn.ListTables()
		must(c.t, errors.Join(err, space.Close()))
		for _, t := range tables {
			if strings.HasPrefix(t.Name, "chaos") {
				found = append(found, service+": "+t.Name)
			}
		}
		if queues, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/netfilter/nfnetlink_queue", pid)); err == nil && len(queues) > 0 {
			found = append(found, service+": queue "+string(queues))
		}
	}
	return found
}

// eventually waits for a state of the project.
func (c composed) eventually(what string, holds func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(composePatience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("not within %v: %s", composePatience, what)
		}
	}
}

// file writes an experiment with one fault that lasts until somebody ends it and answers its path.
func (c composed) file(fault, on string) string {
	c.t.Helper()
	return c.experiment(fault+", target: "+on+with[fault], longFault)
}

// experiment writes one whose fault is as given, with its target, and answers its path.
func (c composed) experiment(fault, duration string) string {
	c.t.Helper()
	path := filepath.Join(c.t.TempDir(), "e.yaml")
	text := `apiVersion: chaos/v1
name: e
traffic:
  - {service: service-a, path: /work, rate: 20/s}
steadyState:
  - {id: up, http: {service: service-a, path: /health}, expect: {status: 200}}
steps:
  - {id: hit, fault: ` + fault + `, duration: ` + duration + `}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// copies are the containers, networks and volumes of projects that experiments have for themselves.
func (c composed) copies() []string {
	c.t.Helper()
	return c.listed([]string{"ps", "-aq", "--filter", "name=^/?chaos-2"}, []string{"network", "ls", "-q", "--filter", "name=^chaos-2"}, []string{"volume", "ls", "-q", "--filter", "name=^chaos-2"})
}

// noCopies sees that within a time none is left.
func (c composed) noCopies(within time.Duration) {
	c.t.Helper()
	for deadline := time.Now().Add(within); len(c.copies()) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("left of projects that experiments had for themselves: %q", c.copies())
		}
	}
}

// readonly says whether service-b cannot write to its database.
func readonly(c composed) bool { return c.rises("service-b", "readonly") }

// apart says whether service-a does without service-b.
func apart(c composed) bool { return c.rises("service-a", "fallback") }

// cut says whether service-a does without service-b, because of rules on their link.
func cut(c composed) bool { return apart(c) && len(c.rules()) > 0 }

// rises says whether a service counts errors of a kind while service-a is asked a few times.
func (c composed) rises(service, kind string) bool {
	c.t.Helper()
	c.status = c.asked() // once for all that follows, and not for longer: a container that is started again has another port
	before := c.errors(service, kind)
	for range 3 {
		c.fetch("service-a", "/work")
	}
	return c.errors(service, kind) > before
}

// errors is how many errors of a kind a service has counted.
func (c composed) errors(service, kind string) (n int) {
	c.t.Helper()
	for line := range strings.Lines(c.fetch(service, "/metrics")) {
		if rest, ok := strings.CutPrefix(line, `service_errors_total{kind="`+kind+`"} `); ok {
			_, _ = fmt.Sscan(rest, &n)
		}
	}
	return n
}

// fetch gets a page of a service; it is empty without an answer.
func (c composed) fetch(service, path string) string {
	c.t.Helper()
	resp, err := http.Get(c.url(service) + path)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return string(b)
}

// url is where a service is reached.
func (c composed) url(service string) string {
	c.t.Helper()
	said := c.status
	if said == "" {
		said = c.asked()
	}
	for line := range strings.Lines(said) {
		if f := strings.Fields(line); len(f) > 2 && strings.HasPrefix(f[0], service) {
			return f[2]
		}
	}
	c.t.Fatalf("%s has no address in\n%s", service, said)
	return ""
}

// asked is what `chaos env status` says now, of services that are not ready as well.
func (c composed) asked() string {
	c.t.Helper()
	_, said := output(c.t, c.program, "env", "status", "--config", c.config, "--env", c.environment)
	return said
}

// with is what some faults cannot be without.
var with = map[string]string{"memory.stress": ", with: {size: 64MiB}"}

// hit starts an experiment, waits until its fault is felt, and answers the runner and its reports.
func (c composed) hit(fault string, felt func(composed) bool) (runner *exec.Cmd, reports string) {
	c.t.Helper()
	reports = c.t.TempDir()
	on := "{service: service-b}"
	if strings.HasPrefix(fault, "network.") {
		on = "{service: service-a, to: service-b}"
	}
	runner = c.start(c.file(fault, on), reports)
	c.eventually(fault+" is felt", func() bool { return felt(c) })
	return runner, reports
}

// start starts a runner, which does not outlive the test.
func (c composed) start(file, reports string, more ...string) *exec.Cmd {
	c.t.Helper()
	runner := exec.Command(c.program, append([]string{"run", file, "--env", c.environment, "--reports", reports}, more...)...)
	runner.Dir = ".."
	runner.Stderr = testLog{c.t}
	if err := runner.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = runner.Process.Kill(); _ = runner.Wait() })
	return runner
}

// testLog shows what a runner says, should the test fail.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func paused(c composed) bool { return c.inspect("service-b").State.Paused }
func down(c composed) bool   { return !c.inspect("service-b").State.Running }

// loaded says whether something of ours is at work in service-b.
func loaded(c composed) bool {
	return strings.Contains(c.docker("top", c.inspect("service-b").ID, "-eo", "pid,args"), " agent")
}
