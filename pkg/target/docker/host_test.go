package docker

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

func limited(memory, nanoCPUs int64) change {
	return func(_ *container.Config, h *container.HostConfig) { h.Memory, h.NanoCPUs = memory, nanoCPUs }
}

// atWork are the processes of the helpers in a container, by the engine's own list.
func (p *project) atWork(id string) int {
	p.t.Helper()
	top, err := p.engine.ContainerTop(soon(p.t), id, []string{"-eo", "pid,args"})
	must(p.t, err)
	n := 0
	for _, process := range top.Processes {
		if strings.HasSuffix(strings.Join(process, " "), " "+guestArg) {
			n++
		}
	}
	return n
}

// A load runs in the container's own cgroup, as its own user, also where there is nothing to write to and no shell; its use is the container's.
func TestALoadIsTheContainersOwn(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published, hardened(p), limited(128<<20, 5e8))
	w := p.world("web")
	of := w.one("web")
	if place, err := w.Placement(soon(t), of); err != nil || !place.Cgroup || place.MemoryLimit != 128<<20 || place.CPULimit != 0.5 {
		t.Errorf("placement: %+v, %v", place, err)
	}
	h, err := w.Host(soon(t), of, agent.CPUJob, agent.CPUConfig{Workers: 2, Load: 1})
	must(t, err)
	if n := p.atWork(id); n != 1 || h.ID() == "" || h.PID() != 0 {
		t.Errorf("%d helpers at work, id %q, pid %d", n, h.ID(), h.PID())
	}
	before, err := w.Usage(soon(t), of)
	must(t, err)
	began := time.Now()
	_, err = h.Call(soon(t), agent.Inject)
	must(t, err)
	eventually(t, "the container uses what the load uses", func() bool {
		now, err := w.Usage(soon(t), of)
		must(t, err)
		return now.CPU-before.CPU > target.Duration(500*time.Millisecond)
	})
	// Half a processor is all it gets, so half a second of it takes a second.
	if took := time.Since(began); took < 800*time.Millisecond {
		t.Errorf("half a second of processor time was used within %v: the limit does not hold", took)
	}
	must(t, h.Close(soon(t)))
	if n := p.atWork(id); n != 0 {
		t.Errorf("%d helpers are left", n)
	}
	ender := Attach(of.Ref, helpers()).(target.HelperEnder)
	for range 2 {
		must(t, ender.EndHelper(soon(t), of, h.ID()))
	}
}

// runner starts one that attaches to the project and does something; it answers the undo of its environment, and what it says of what it has done.
func (p *project) runner(does string) (cmd *exec.Cmd, undo target.Undo, what, ref string) {
	t := p.t
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd = exec.Command(self)
	cmd.Env = append(os.Environ(), "ROLE=runner", "PROJECT="+p.name, "RUN=killed", does)
	out, err := cmd.StdoutPipe()
	must(t, err)
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "armed") {
		if rest, ok := strings.CutPrefix(lines.Text(), "load "); ok {
			what, ref, _ = strings.Cut(rest, " ")
			continue
		}
		must(t, json.Unmarshal(lines.Bytes(), &undo))
	}
	if lines.Text() != "armed <nil>" || what == "" {
		t.Fatalf("the runner says %q", lines.Text())
	}
	return cmd, undo, what, ref
}

// A runner that is killed leaves no load: it ends with its standard input, and the undo sees that it has.
func TestAKilledRunnerLeavesNoLoad(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published)
	cmd, undo, helper, ref := p.runner("LOAD=1")
	if n := p.atWork(id); n != 1 {
		t.Fatalf("%d helpers at work, want 1", n)
	}
	must(t, cmd.Process.Kill())
	must(t, Attach(target.Ref{ID: ref}, helpers()).(target.HelperEnder).EndHelper(soon(t), target.Target{}, helper))
	if n := p.atWork(id); n != 0 {
		t.Errorf("%d helpers are left", n)
	}
	must(t, RevertEnvironment(soon(t), undo.Data))
}

// An engine that was started again knows nothing of the helpers in containers that ran on without it: one that is still at work is found by its process.
func TestAHelperThatTheEngineHasForgotten(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published)
	var forgets atomic.Bool
	engine := proxyTo(t, endpoint(t))
	o := options(p.name, map[string]spec.Service{"web": service()})
	o.LogDir, o.Endpoint = t.TempDir(), onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if forgets.Load() && strings.Contains(r.URL.Path, "/exec/") {
			http.Error(w, `{"message":"No such exec instance"}`, http.StatusNotFound)
			return
		}
		engine.ServeHTTP(w, r)
	}))
	w := p.worldOf(o)
	of := w.one("web")
	var all [2]target.Helper
	for n := range all {
		var err error
		all[n], err = w.Host(soon(t), of, agent.CPUJob, agent.CPUConfig{Workers: 1, Load: 0.01})
		must(t, err)
	}
	forgets.Store(true)
	ender := Attach(of.Ref, helpers()).(target.HelperEnder)
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	wantError(t, ender.EndHelper(short, of, all[0].ID()), "the helper in the container is still at work (process ")
	for n, h := range all {
		must(t, h.Close(soon(t)))
		if left := p.atWork(id); left != len(all)-n-1 {
			t.Errorf("after the end of helper %d there are %d at work", n, left)
		}
		must(t, ender.EndHelper(soon(t), of, h.ID()))
	}
	must(t, p.engine.ContainerKill(soon(t), id, "SIGKILL"))
	eventually(t, "the container is down", func() bool { return !w.status(of).Running })
	must(t, ender.EndHelper(soon(t), of, all[0].ID()))
}

func TestCPULimit(t *testing.T) {
	t.Parallel()
	for want, r := range map[float64]container.Resources{
		0: {}, 0.5: {NanoCPUs: 5e8}, 2: {CPUQuota: 100_000, CPUPeriod: 50_000}, 1.5: {CPUQuota: 150_000},
	} {
		if got := cpuLimit(r); got != want {
			t.Errorf("%+v: got %v, want %v", r, got, want)
		}
	}
}

// The user of a container may be a name that means something in it only.
func TestALoadInAContainerWithANamedUser(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, func(c *container.Config, _ *container.HostConfig) { c.User = "1234" })
	w := p.world("web")
	h, err := w.Host(soon(t), w.one("web"), agent.CPUJob, agent.CPUConfig{Workers: 1, Load: 0.1})
	must(t, err)
	must(t, h.Close(soon(t)))
}

// A database in a container is reached at its path there.
func TestADatabaseInAContainer(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, func(_ *container.Config, h *container.HostConfig) { h.Tmpfs = map[string]string{"/data": "mode=1777"} })
	s := service()
	s.Databases = map[string]string{"orders": "/data/orders.db"}
	w := p.worldOf(options(p.name, map[string]spec.Service{"web": s}))
	of := w.one("web")
	d, err := w.Database(of, "")
	if err != nil || d != (target.Database{Path: "/data/orders.db", Inside: true}) {
		t.Fatalf("got %+v, %v", d, err)
	}
	_, err = w.Database(of, "other")
	wantError(t, err, `no database "other"; it has orders`)
	h, err := w.Host(soon(t), of, agent.SQLiteJob, agent.SQLiteConfig{Path: d.Path})
	must(t, err)
	text, err := h.Call(soon(t), agent.Status)
	if err != nil || !strings.Contains(string(text), `"met":"gone"`) {
		t.Errorf("of a database that is not there: %s, %v", text, err)
	}
	must(t, h.Close(soon(t)))
	v, err := Attach(of.Ref, helpers()).(target.Hoster).Host(soon(t), of, agent.SQLiteJob, agent.SQLiteConfig{Path: d.Path})
	must(t, err)
	if _, err := v.Call(soon(t), agent.Status); err != nil {
		t.Error(err)
	}
	must(t, v.Close(soon(t)))
}
