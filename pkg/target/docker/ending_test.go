package docker

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// drains is how long the service of these tests goes on serving after it was told to end.
const drains = 3 * time.Second

// ending is a fault that takes a service down which ends slowly, and says until then that it is well.
type ending struct {
	*world
	kind   fault.Kind
	fault  fault.Fault
	undo   target.Undo
	of     target.Target
	before target.Status
	asked  time.Time // when the fault was injected
}

// prepareEnd prepares a fault on a service of which nothing but that it runs can be seen from another process.
func prepareEnd(t *testing.T, name string, r fault.Request) *ending {
	t.Helper()
	p := newProject(t)
	p.add("web", 1, published, variable("DRAINS="+drains.String()), restarts(container.RestartPolicyAlways))
	s := spec.Service{Ports: map[string]string{"http": "8080"}}
	e := &ending{world: p.worldOf(options(p.name, map[string]spec.Service{"web": s}))}
	e.of = e.one("web")
	e.before = e.status(e.of)
	e.kind, _ = fault.Find(name)
	r.ID, r.Runtime, r.Targets = "the-step", e, []target.Target{e.of}
	var err error
	e.fault, err = e.kind.New(r)
	must(t, err)
	undos, err := e.fault.Prepare(soon(t))
	must(t, err)
	if !r.OneShot {
		e.undo = reread(t, undos[0])
	}
	return e
}

// reread is an undo as it comes out of a journal.
func reread(t *testing.T, u target.Undo) (again target.Undo) {
	t.Helper()
	text, err := json.Marshal(u)
	must(t, err)
	must(t, json.Unmarshal(text, &again))
	return again
}

// interrupt injects the fault and breaks that off when the service has been told to end, and has not ended.
func (e *ending) interrupt() {
	e.t.Helper()
	ctx, cancel := context.WithCancel(soon(e.t))
	injected := make(chan error, 1)
	e.asked = time.Now()
	go func() { _, err := e.fault.Inject(ctx); injected <- err }()
	eventually(e.t, "it was told to end", func() bool { said, err := e.get("web", "/draining"); return err == nil && said == "true" })
	cancel()
	if err := <-injected; err == nil {
		e.t.Fatal("the injection was not broken off")
	}
	if now := e.status(e.of); !now.Ready || now.PID != e.before.PID {
		e.t.Fatalf("it does not serve any more: %+v, before %+v", now, e.before)
	}
}

// undone takes the fault back as another process does.
func (e *ending) undone() error {
	return e.kind.Revert(soon(e.t), Attach(e.undo.Target, helpers()), e.undo.Data, e.undo.Target)
}

// reverted takes it back as the run does.
func (e *ending) reverted() error {
	effect, err := e.fault.Revert(soon(e.t))
	if err == nil && !effect.Proven {
		e.t.Errorf("the revert is not verified: %s", effect.Summary)
	}
	return err
}

// runsAnew sees that the service runs in another life, for longer than the one before could have lasted, and serves.
func (e *ending) runsAnew() target.Status {
	e.t.Helper()
	first := e.status(e.of)
	for over := e.asked.Add(drains + time.Second); ; time.Sleep(20 * time.Millisecond) {
		now := e.status(e.of)
		if !now.Running || !now.Started.After(e.before.Started) || now.PID != first.PID {
			e.t.Fatalf("it ran as %+v, was started as %+v, and is %+v", e.before, first, now)
		}
		if now.Ready && time.Now().After(over) {
			return now
		}
	}
}

// A service that is on its way down still runs and says that it is ready: that proves nothing to whoever takes an outage back in the middle of it, be it the run or another process.
func TestAnOutageThatIsInterrupted(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	for name, r := range map[string]fault.Request{
		"service.stop": {Params: fault.Params{"grace": "20s"}}, "service.restart": {Params: fault.Params{"grace": "20s"}}, "service.kill": {Params: fault.Params{"signal": "SIGTERM"}},
	} {
		for by, take := range map[string]func(*ending) error{"the run": (*ending).reverted, "another process": (*ending).undone} {
			t.Run(name+" by "+by, func(t *testing.T) {
				t.Parallel()
				e := prepareEnd(t, name, r)
				e.interrupt()
				must(t, take(e))
				first := e.runsAnew()
				must(t, take(e)) // it is idempotent
				if again := e.status(e.of); again.PID != first.PID {
					t.Errorf("it was started once more: %+v, then %+v", first, again)
				}
			})
		}
	}
}

// A kill that happens once is left to the restart policy, when it has come to its end: until then the service may end when nobody looks any more.
func TestAKillThatIsInterrupted(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	e := prepareEnd(t, "service.kill", fault.Request{Params: fault.Params{"signal": "SIGTERM"}, OneShot: true})
	e.interrupt()
	must(t, e.reverted())
	first := e.runsAnew()
	must(t, e.reverted())
	if again := e.status(e.of); again.PID != first.PID {
		t.Errorf("it was started once more: %+v, then %+v", first, again)
	}
}

// What does not end within the grace is ended for good, as the stop would have done.
func TestAnOutageOfOneThatDoesNotEnd(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	e := prepareEnd(t, "service.stop", fault.Request{Params: fault.Params{"grace": "1s"}})
	e.interrupt()
	must(t, e.undone())
	e.runsAnew()
}

// Another process does not know whether the service was told to end before the runner died. It may have been, so it is started anew, also if it was paused.
func TestAnOutageOfWhichNothingIsKnown(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	e := prepareEnd(t, "service.stop", fault.Request{})
	if want := "docker restart " + e.instances[0].id[:12]; e.undo.Manual != want {
		t.Errorf("by hand: %q, want %q", e.undo.Manual, want)
	}
	must(t, e.reverted())
	if now := e.status(e.of); now.PID != e.before.PID {
		t.Errorf("the run knows that nothing was done, and has started it anew: %+v", now)
	}
	must(t, e.Pause(soon(t), e.of))
	must(t, e.undone())
	e.runsAnew()
	must(t, e.Stop(soon(t), e.of, time.Millisecond))
	e.undo.Data = json.RawMessage("null") // of an earlier version
	must(t, e.undone())
	e.runsAnew()
	_, err := e.fault.Inject(soon(t))
	wantError(t, err, "web-1: it was started again since its undo was recorded", "nothing was done")
}

// An engine that still takes a container for running that has just ended starts nothing, and says that it was started already.
func TestAStartThatIsNone(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published)
	w := p.world("web")
	of := w.one("web")
	must(t, w.Stop(soon(t), of, time.Second))
	engine := proxyTo(t, w.opts.Endpoint)
	var starts atomic.Int32
	lying := onSocket(t, http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/start") && starts.Add(1) == 1 {
			to.WriteHeader(http.StatusNotModified)
			return
		}
		engine.ServeHTTP(to, r)
	}))
	ref := of.Ref
	ref.ID = reference{Endpoint: lying, Container: w.instances[0].id, Environment: w.id}.String()
	must(t, Attach(ref, helpers()).(target.Starter).Start(soon(t), of))
	if st := w.status(of); !st.Running || starts.Load() != 2 {
		t.Errorf("after %d starts: %+v", starts.Load(), st)
	}
}
