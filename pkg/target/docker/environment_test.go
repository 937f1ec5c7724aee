package docker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// What Compose has started is found by its labels alone, and left as it was.
func TestWhatRunsIsFoundAndLeft(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	web := p.add("web", 1, published)
	other := p.add("other", 1) // nothing is published
	p.add("unknown", 1)
	p.add("web", 2, published, label(labelOneOff, "True")) // of `docker-compose run`
	w := p.world("web", "other")
	if len(w.undos) != 1 || w.undos[0].Kind != UndoKind || !strings.Contains(w.undos[0].Manual, "docker ps -aq --filter") {
		t.Errorf("the undos are %+v", w.undos)
	}
	for name, id := range map[string]string{"web": web, "other": other} {
		if got, err := w.get(name, "/health"); err != nil || got != id[:12] {
			t.Errorf("%s answers %q, %v, want its host name %.12s", name, got, err, id)
		}
		if st := w.status(w.one(name)); !st.Running || !st.Ready || st.Paused || st.PID == 0 || st.Restarts != 0 || st.ExitCode != -1 || st.Started.IsZero() {
			t.Errorf("%s: %+v", name, st)
		}
		w.awaitEvents(name+"-1", target.Started, target.Ready)
	}
	if s := w.Scrapes(); len(s) != 2 || s[0].Labels["instance"] != "other-1" || s[1].Labels["service"] != "web" || !strings.HasSuffix(s[1].URL, "/metrics") {
		t.Errorf("scrapes: %+v", s)
	}
	_, err := w.URL("unknown")
	wantError(t, err, "cannot be reached")
	_, err = w.Resolve(soon(t), target.Selection{Services: []string{"unknown"}})
	wantError(t, err, "no instance")
	must(t, w.Down(soon(t)))
	for _, id := range []string{web, other} {
		info, err := p.engine.ContainerInspect(soon(t), id)
		if err != nil || !info.State.Running {
			t.Errorf("after Down: %+v, %v", info.State, err)
		}
	}
	log, err := os.ReadFile(filepath.Join(w.opts.LogDir, "web.log"))
	if err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(string(log), "=== web-1, container "+web[:12]+"\n") || strings.Contains(string(log), "serving") {
		t.Errorf("the log should have nothing that was written before the run: %q", log)
	}
}

// Each way in which a project is not what an experiment needs is an error that says what to do.
func TestWhatCannotBeAttachedTo(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published)
	up := func(services ...string) error {
		t.Helper()
		all := map[string]spec.Service{}
		for _, s := range services {
			all[s] = service()
		}
		w := begin(t, options(p.name, all))
		err := w.Up(soon(t), w.record)
		if err == nil {
			t.Fatal("it is up")
		}
		<-w.read
		must(t, w.Close())
		return err
	}
	wantError(t, up("web", "db"), `has no container of service db, only of web`)
	must(t, p.engine.ContainerPause(soon(t), id))
	wantError(t, up("web"), "web-1 is paused", "docker unpause")
	must(t, p.engine.ContainerUnpause(soon(t), id))
	must(t, p.engine.ContainerKill(soon(t), id, "SIGKILL"))
	eventually(t, "it is down", func() bool {
		return strings.Contains(up("web").Error(), "web-1 does not run, it is exited: `docker start")
	})
	must(t, p.engine.ContainerRemove(soon(t), id, container.RemoveOptions{Force: true}))
	wantError(t, up("web"), "has no container of service web")
	o := options("no-such-project", map[string]spec.Service{"web": service()})
	w := begin(t, o)
	wantError(t, w.Up(soon(t), w.record), `the Compose project "no-such-project" has no container of service web`)
	o.Endpoint.Host = "unix:///nowhere/docker.sock"
	w = begin(t, o)
	wantError(t, w.Up(soon(t), w.record), "the Docker engine at unix:///nowhere/docker.sock")
	if len(w.undos) > 0 {
		t.Errorf("undos were recorded: %+v", w.undos)
	}
}

// A service that is not ready in time is an error with what it wrote.
func TestNotReadyInTime(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, variable("WARMUP=1m"))
	s := service()
	s.Ready.Within = "300ms"
	w := begin(t, options(p.name, map[string]spec.Service{"web": s}))
	wantError(t, w.Up(soon(t), w.record), "web-1 was not ready within 300ms", "it wrote nothing")
}

// Two runs on one project would take each other's faults for their own. Whoever has it has it alone, until it is let go of, and no other project.
func TestOneRunAtATime(t *testing.T) {
	t.Parallel()
	dial(t)
	endpoint, err := FindEndpoint(os.Getenv)
	must(t, err)
	project := fmt.Sprintf("chaos-test-%d-held", os.Getpid())
	for range 2 {
		free, err := endpoint.Hold(soon(t), project)
		must(t, err)
		if _, err := endpoint.Hold(soon(t), project); !errors.Is(err, ErrInUse) {
			t.Errorf("held twice: %v", err)
		}
		other, err := endpoint.Hold(soon(t), project+"-2")
		must(t, err)
		other()
		free()
	}
	_, err = Endpoint{Host: "unix:///nowhere/docker.sock"}.Hold(soon(t), project)
	wantError(t, err, "the Docker engine at unix:///nowhere/docker.sock")
}

// A port that the engine chooses changes with each start; callers keep their address.
func TestAnAddressOutlivesAStart(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published)
	p.add("inner", 1)
	w := p.world("web", "inner")
	for _, name := range []string{"web", "inner"} {
		of := w.one(name)
		must(t, w.Stop(soon(t), of, time.Second))
		if got, err := w.get(name, "/health"); err == nil {
			t.Errorf("%s is stopped and answers %q", name, got)
		}
		must(t, w.Start(soon(t), of))
		if _, err := w.get(name, "/health"); err != nil {
			t.Errorf("%s after its start: %v", name, err)
		}
	}
}

// Instances of a scaled service are picked by the seed; each is reached and measured by itself.
func TestInstancesOfAScaledService(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	ids := map[string]bool{}
	for n := range 3 {
		ids[p.add("web", n+1)[:12]] = true
	}
	w := p.world("web")
	for _, c := range []struct {
		instances string
		want      int
	}{{"one", 1}, {"all", 3}, {"", 3}, {"50%", 2}, {"2", 2}} {
		a, err := w.Resolve(soon(t), target.Selection{Services: []string{"web"}, Instances: c.instances, Seed: 7})
		must(t, err)
		b, err := w.Resolve(soon(t), target.Selection{Services: []string{"web"}, Instances: c.instances, Seed: 7})
		if err != nil || len(a) != c.want || !slices.Equal(a, b) {
			t.Errorf("%q: %v and %v, %v", c.instances, a, b, err)
		}
	}
	_, err := w.Resolve(soon(t), target.Selection{Services: []string{"web"}, Instances: "4"})
	wantError(t, err, "instances is 4, but it has 3")
	for _, s := range w.Scrapes() {
		got, err := fetch(t, strings.TrimSuffix(s.URL, "/metrics")+"/health")
		if err != nil || !ids[got] {
			t.Errorf("%v answers %q, %v", s, got, err)
		}
		delete(ids, got)
	}
	if len(ids) > 0 {
		t.Errorf("nobody measures %v", ids)
	}
}

func TestTheProtectedAreNotHit(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, label(labelProtected, "true"))
	w := p.world("web")
	of := target.Target{Ref: target.Ref{Service: "web", Instance: "web-1"}}
	if seen, err := w.Resolve(soon(t), target.Selection{Services: []string{"web"}}); err != nil || len(seen) != 1 {
		t.Errorf("it cannot be looked at: %v, %v", seen, err)
	}
	for what, err := range map[string]error{
		"ask": w.Protected(of), "kill": w.Kill(soon(t), of, "SIGKILL"), "arm": w.Arm(soon(t), of, "SIGKILL"), "hold": w.Hold(soon(t), of), "stop": w.Stop(soon(t), of, 0),
		"pause":         w.Pause(soon(t), of),
		"lower a limit": w.LowerLimit(soon(t), of, target.Limit{}, 0.5),
	} {
		if err == nil || !strings.Contains(err.Error(), "web-1 is protected by its label chaos.protected") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if st := w.status(of); !st.Running || st.Paused {
		t.Errorf("it was hit: %+v", st)
	}
}

// hardened is a container that leaves nothing to hold on to: no shell, no user, nothing to write to, no capabilities, two networks.
func hardened(p *project) change {
	return func(c *container.Config, h *container.HostConfig) {
		c.User = "65534:65534"
		h.ReadonlyRootfs, h.CapDrop, h.SecurityOpt = true, []string{"ALL"}, []string{"no-new-privileges"}
	}
}

func TestAHardenedContainerIsHitAsWell(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	second, err := p.engine.NetworkCreate(soon(t), p.name+"-2", network.CreateOptions{})
	must(t, err)
	t.Cleanup(func() { must(t, p.engine.NetworkRemove(context.Background(), second.ID)) })
	id := p.add("web", 1, hardened(p), restarts(container.RestartPolicyAlways))
	must(t, p.engine.NetworkConnect(soon(t), second.ID, id, nil))
	t.Cleanup(func() { must(t, p.engine.NetworkDisconnect(context.Background(), second.ID, id, true)) })
	w := p.world("web")
	of := w.one("web")
	before := w.status(of)
	must(t, w.Kill(soon(t), of, "SIGKILL"))
	eventually(t, "it runs again", func() bool { st := w.status(of); return st.Ready && st.PID != before.PID })
	must(t, w.Pause(soon(t), of))
	base, err := w.URL("web")
	must(t, err)
	if _, err := fetchWithin(t, base+"/health", time.Second); err == nil {
		t.Error("it is paused and answers")
	}
	must(t, w.Resume(soon(t), of))
	if _, err := w.get("web", "/health"); err != nil {
		t.Error(err)
	}
}

// A runner that is killed leaves no helper: the engine ends it with its standard input. Its image is what the guard, or chaos rollback, removes.
func TestAKilledRunnerLeavesNoHelper(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published)
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	run := "killed-" + filepath.Base(t.TempDir())
	cmd.Env = append(os.Environ(), "ROLE=runner", "PROJECT="+p.name, "RUN="+run)
	out, err := cmd.StdoutPipe()
	must(t, err)
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	var undo target.Undo
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "armed") {
		must(t, json.Unmarshal(lines.Bytes(), &undo))
	}
	if lines.Text() != "armed <nil>" {
		t.Fatalf("the runner says %q", lines.Text())
	}
	id := run + "/" + p.name
	if now, err := ours(soon(t), p.engine, id); err != nil || len(now) != 1 {
		t.Fatalf("%d helpers, %v, want 1", len(now), err)
	}
	must(t, cmd.Process.Kill())
	eventually(t, "the helper is gone", func() bool {
		now, err := ours(soon(t), p.engine, id)
		return err == nil && len(now) == 0
	})
	for range 2 {
		must(t, RevertEnvironment(soon(t), undo.Data))
	}
	if none, err := removeImages(soon(t), p.engine, id); err != nil || !none {
		t.Errorf("an image was left, %v", err)
	}
}

// A helper that is still there is removed by the undo.
func TestTheUndoEndsHelpers(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published)
	w := p.world("web")
	must(t, w.Arm(soon(t), w.one("web"), "SIGKILL"))
	must(t, RevertEnvironment(soon(t), w.undos[0].Data))
	if left, err := ours(soon(t), p.engine, w.id); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
	for _, bad := range []string{`{"id":""}`, `{"id":"run"}`, `{"id":"/x"}`, `[]`} {
		wantError(t, RevertEnvironment(soon(t), json.RawMessage(bad)), "undo of an environment")
	}
	if err := w.Kill(soon(t), w.one("web"), "SIGKILL"); err == nil {
		t.Error("a helper that is gone has sent a signal")
	}
}

var errUndone = errors.New("the journal is full")

// Nothing is begun whose undo is not on disk.
func TestNoUndoNoEnvironment(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published)
	w := begin(t, options(p.name, map[string]spec.Service{"web": service()}))
	wantError(t, w.Up(soon(t), func(target.Undo) error { return errUndone }), "nothing was begun", errUndone.Error())
	<-w.read
}

// A service that runs and listens nowhere is not ready, however its port is reached: what publishes a port takes every connection.
func TestReadyIsAsked(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("inner", 1, variable("WARMUP=1m"))
	p.add("published", 1, published, variable("WARMUP=1m"))
	p.add("fixed", 1, fixed(t), variable("WARMUP=1m"))
	for _, name := range []string{"inner", "published", "fixed"} {
		s := service()
		s.Ready = spec.Readiness{Within: "500ms"}
		w := begin(t, options(p.name, map[string]spec.Service{name: s}))
		wantError(t, w.Up(soon(t), w.record), name+"-1 was not ready within 500ms")
		must(t, w.Close())
	}
	p.add("web", 1, published)
	s := service()
	s.Ready = spec.Readiness{Within: "10s"}
	p.worldOf(options(p.name, map[string]spec.Service{"web": s}))
}

// fixed publishes the port under a number that was free a moment ago.
func fixed(t *testing.T) change {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	must(t, l.Close())
	return func(_ *container.Config, h *container.HostConfig) {
		h.PortBindings = nat.PortMap{"8080/tcp": {{HostIP: "127.0.0.1", HostPort: port}}}
	}
}

// Of a project that does not run as a whole, and is refused, the undo starts only what had run.
func TestOnlyWhatRanIsStarted(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published)
	down := p.add("back", 1, published)
	now := 0
	must(t, p.engine.ContainerStop(soon(t), down, container.StopOptions{Timeout: &now}))
	w := begin(t, options(p.name, map[string]spec.Service{"web": service(), "back": service()}))
	wantError(t, w.Up(soon(t), w.record), "back-1 does not run, it is exited")
	must(t, RevertEnvironment(soon(t), w.undos[0].Data))
	info, err := p.engine.ContainerInspect(soon(t), down)
	must(t, err)
	if info.State.Running {
		t.Error("it runs")
	}
	must(t, w.Close())
}

// What a run had asked an engine for when it was killed, and the engine makes only then, is removed as well.
func TestWhatTheEngineStillMakesIsRemoved(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published)
	w := p.world("web")
	ended := make(chan error, 1)
	go func() { ended <- endOurs(soon(t), p.engine, w.id, quiet) }()
	img, err := testImage()
	must(t, err)
	_, err = p.engine.ContainerCreate(soon(t), &container.Config{Image: img, Cmd: []string{testProgram}, Labels: map[string]string{labelOurs: mark(w.id)}}, nil, nil, nil, "")
	must(t, err)
	must(t, <-ended)
	if left, err := ours(soon(t), p.engine, w.id); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// What the engine does not tell, because it was away or has forgotten, is found when it is heard again.
func TestAnEngineThatIsNotHeard(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, restarts(container.RestartPolicyOnFailure))
	w := p.world("web")
	of := w.one("web")
	w.awaitEvents("web-1", target.Started, target.Ready)
	w.unwatch()
	_, _ = w.get("web", "/exit?code=7")
	eventually(t, "it was started again", func() bool { st := w.status(of); return st.Ready && st.Restarts == 1 })
	w.heard = time.Now() // so the engine is asked for nothing of it
	w.unwatch = w.watch()
	w.awaitEvents("web-1", target.Started, target.Ready, target.Exited, target.Started, target.Ready)
	if e := w.of("web-1")[2]; e.Expected {
		t.Errorf("got %+v", e)
	}
}

// What was found so is not told once more when a busy engine tells of it long after it.
func TestAnEngineThatTellsLate(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published)
	w := p.world("web")
	w.unwatch()
	w.unwatch = func() {}
	x := watcher{env: w.Environment, ctx: t.Context(), since: w.heard}
	i := w.instances[0]
	late := func(action events.Action, of time.Time) {
		m := events.Message{Action: action, TimeNano: of.Add(2 * soonest).UnixNano()}
		m.Actor.Attributes = map[string]string{"exitCode": "137"}
		x.tell(soon(t), i, m)
	}
	state := func() *container.State {
		info, err := i.inspect(soon(t))
		must(t, err)
		return info.State
	}
	must(t, p.engine.ContainerKill(soon(t), i.id, "SIGKILL"))
	eventually(t, "it ended", func() bool { return !state().Running })
	x.compare(soon(t))
	late(events.ActionDie, engineTime(state().FinishedAt))
	must(t, p.engine.ContainerStart(soon(t), i.id, container.StartOptions{}))
	x.compare(soon(t))
	late(events.ActionStart, engineTime(state().StartedAt))
	w.awaitEvents("web-1", target.Started, target.Ready, target.Exited, target.Started, target.Ready)
	must(t, p.engine.ContainerKill(soon(t), i.id, "SIGKILL"))
	eventually(t, "it ended again", func() bool { return !state().Running })
	end := engineTime(state().FinishedAt)
	late(events.ActionDie, end)
	w.awaitEvents("web-1", target.Started, target.Ready, target.Exited, target.Started, target.Ready, target.Exited)
	if said := w.of("web-1"); !said[len(said)-1].Time.Equal(end) { // a fault that began meanwhile has not caused it
		t.Errorf("it ended at %v, and is said to have ended at %v", end, said[len(said)-1].Time)
	}
}

// Another checkout's project may have the same name.
func TestAProjectOfAnotherFolder(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, label(labelFolder, "/somewhere/else"))
	o := options(p.name, map[string]spec.Service{"web": service()})
	o.Folder = t.TempDir()
	w := begin(t, o)
	wantError(t, w.Up(soon(t), w.record), "was started from /somewhere/else, and not from "+o.Folder, "`project`")
	o.Folder = ""
	p.worldOf(o)
}

func TestProtects(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{"": false, "false": false, "False": false, "true": true, "True": true, "1": true, "yes": true} {
		if protects(value) != want {
			t.Errorf("%q: %v", value, !want)
		}
	}
}
