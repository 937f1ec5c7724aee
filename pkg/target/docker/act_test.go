package docker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// A signal ends a container as a crash would: its restart policy starts it again, which the engine does not do for one that it has killed itself.
func TestACrashIsLeftToTheRestartPolicy(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	for name, c := range map[string]struct {
		signal string
		policy container.RestartPolicyMode
		again  bool
		code   int
	}{
		"SIGKILL, on-failure":     {"SIGKILL", container.RestartPolicyOnFailure, true, 137},
		"SIGKILL, no policy":      {"SIGKILL", container.RestartPolicyDisabled, false, 137},
		"handled, on-failure":     {"SIGTERM", container.RestartPolicyOnFailure, false, 0},
		"handled, always":         {"SIGTERM", container.RestartPolicyAlways, true, 0},
		"handled, unless-stopped": {"SIGTERM", container.RestartPolicyUnlessStopped, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			p.add("web", 1, published, restarts(c.policy))
			w := p.world("web")
			of := w.one("web")
			before := w.status(of)
			must(t, w.Arm(soon(t), of, c.signal))
			must(t, w.Kill(soon(t), of, c.signal))
			eventually(t, "it has ended", func() bool { st := w.status(of); return st.PID != before.PID })
			if !c.again {
				w.awaitEvents("web-1", target.Started, target.Ready, target.Exited)
				if st := w.status(of); st.Running || st.ExitCode != c.code {
					t.Errorf("got %+v", st)
				}
				return
			}
			eventually(t, "it is ready again", func() bool { return w.status(of).Ready })
			w.awaitEvents("web-1", target.Started, target.Ready, target.Exited, target.Started, target.Ready)
			exit := w.of("web-1")[2]
			if st := w.status(of); st.Restarts != 1 || st.ExitCode != c.code || !exit.Expected || exit.ExitCode != c.code || exit.OOM {
				t.Errorf("got %+v after %+v", st, exit)
			}
			if _, err := w.get("web", "/health"); err != nil {
				t.Error(err)
			}
		})
	}
}

// staysDown watches an instance for longer than a restart policy takes.
func (w *world) staysDown(of target.Target) {
	w.t.Helper()
	for over := time.Now().Add(time.Second); time.Now().Before(over); time.Sleep(20 * time.Millisecond) {
		if w.status(of).Running {
			w.t.Fatal("it was started again")
		}
	}
}

// One that is held stays down, whatever its policy says, until it is started.
func TestTheHeldStayDown(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, restarts(container.RestartPolicyAlways))
	w := p.world("web")
	of := w.one("web")
	must(t, w.Hold(soon(t), of))
	must(t, w.Kill(soon(t), of, "SIGKILL"))
	w.awaitEvents("web-1", target.Started, target.Ready, target.Exited)
	w.staysDown(of)
	must(t, w.Release(soon(t), of))
	must(t, w.Start(soon(t), of))
	if st := w.status(of); !st.Ready || st.Restarts != 0 || st.ExitCode != 137 {
		t.Errorf("got %+v", st)
	}
	must(t, w.Start(soon(t), of)) // it runs
	// Its policy holds again, and what it did before the start that was asked for is not forgotten.
	must(t, w.Kill(soon(t), of, "SIGKILL"))
	eventually(t, "its policy starts it", func() bool { st := w.status(of); return st.Ready && st.Restarts == 1 })
}

func TestStop(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, restarts(container.RestartPolicyAlways))
	p.add("stubborn", 1, published, variable("STUBBORN=1"))
	w := p.world("web", "stubborn")
	for name, c := range map[string]struct {
		grace time.Duration
		code  int
	}{"web": {time.Minute, 0}, "stubborn": {400 * time.Millisecond, 137}} {
		of := w.one(name)
		began := time.Now()
		must(t, w.Stop(soon(t), of, c.grace))
		if st := w.status(of); st.Running || st.ExitCode != c.code {
			t.Errorf("%s: %+v", name, st)
		}
		if took := time.Since(began); name == "stubborn" && took < c.grace {
			t.Errorf("%s: it was killed after %v", name, took)
		}
		must(t, w.Stop(soon(t), of, time.Second)) // it is down
		must(t, w.Start(soon(t), of))
		if st := w.status(of); !st.Ready {
			t.Errorf("%s after its start: %+v", name, st)
		}
	}
}

func TestPauseIsReadBack(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published)
	w := p.world("web")
	of := w.one("web")
	for range 2 {
		must(t, w.Pause(soon(t), of))
	}
	if st := w.status(of); !st.Paused || st.Ready || !st.Running {
		t.Errorf("paused: %+v", st)
	}
	if by := w.ByHand(soon(t), of, target.CanPause); by != "docker unpause "+w.instances[0].id[:12] {
		t.Errorf("by hand: %q", by)
	}
	for range 2 {
		must(t, w.Resume(soon(t), of))
	}
	eventually(t, "it is resumed", func() bool { st := w.status(of); return !st.Paused && st.Ready })
	for range 40 { // the engine is behind with what it says of the one when the next comes
		must(t, w.Pause(soon(t), of))
		must(t, w.Resume(soon(t), of))
	}
	must(t, w.Stop(soon(t), of, time.Second))
	wantError(t, w.Pause(soon(t), of), "pause web-1")
	must(t, w.Resume(soon(t), of))
}

// What ends by itself is told as such, and one whose policy gives up is, too.
func TestWhatEndsByItself(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, func(_ *container.Config, h *container.HostConfig) {
		h.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: 1}
	})
	w := p.world("web")
	_, _ = w.get("web", "/exit?code=7")
	w.awaitEvents("web-1", target.Started, target.Ready, target.Exited, target.Started, target.Ready)
	if e := w.of("web-1")[2]; e.Expected || e.ExitCode != 7 || e.Detail != "exit code 7 (by itself, or by somebody else)" {
		t.Errorf("got %+v", e)
	}
	_, _ = w.get("web", "/exit?code=7")
	w.awaitEvents("web-1", target.Started, target.Ready, target.Exited, target.Started, target.Ready, target.Exited, target.GaveUp)
}

// A container that is removed is told of, and every act on it says so.
func TestARemovedContainer(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published)
	w := begin(t, options(p.name, map[string]spec.Service{"web": service()}))
	must(t, w.Up(soon(t), w.record))
	t.Cleanup(func() {
		wantError(t, w.Down(context.Background()), "web-1 ran before: web-1: its container", "was removed")
		must(t, w.Close())
		must(t, RevertEnvironment(context.Background(), w.undos[0].Data)) // nothing can bring it back
	})
	of := w.one("web")
	was, err := w.Limit(soon(t), of, target.CPU)
	must(t, err)
	must(t, p.engine.ContainerRemove(soon(t), id, container.RemoveOptions{Force: true}))
	w.awaitEvents("web-1", target.Started, target.Ready, target.Exited, target.GaveUp)
	if _, err := w.Inspect(soon(t), of); err == nil {
		t.Error("it can be inspected")
	}
	for what, err := range map[string]error{
		"kill": w.Kill(soon(t), of, "SIGKILL"), "pause": w.Pause(soon(t), of), "stop": w.Stop(soon(t), of, time.Second), "start": w.Start(soon(t), of),
		"lower a limit": w.LowerLimit(soon(t), of, was, 0.5), "give a limit back": w.RestoreLimit(soon(t), of, was),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	rt := Attach(of.Ref, helpers())
	for what, err := range map[string]error{
		"resume": rt.(target.Pauser).Resume(soon(t), of), "start": rt.(target.Starter).Start(soon(t), of), "stop": rt.(target.Starter).Stop(soon(t), of, time.Second),
		"give a limit back": rt.(target.LimitRestorer).RestoreLimit(soon(t), of, was),
	} {
		if !errors.Is(err, target.ErrGone) {
			t.Errorf("%s from a fresh process: %v, want that it is gone", what, err)
		}
	}
}

// Another process takes back what a dead runner has left, by nothing but the undo's data.
func TestAttach(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published)
	w := p.world("web")
	of := w.one("web")
	rt := Attach(target.Ref{Runtime: RuntimeName, Service: "web", Instance: "web-1", ID: of.ID}, helpers())
	must(t, w.Pause(soon(t), of))
	if st, err := rt.(target.Inspector).Inspect(soon(t), of); err != nil || !st.Paused {
		t.Errorf("paused: %+v, %v", st, err)
	}
	for range 2 {
		must(t, rt.(target.Pauser).Resume(soon(t), of))
	}
	must(t, w.Stop(soon(t), of, time.Second))
	for range 2 {
		must(t, rt.(target.Starter).Start(soon(t), of))
	}
	if st, err := rt.(target.Inspector).Inspect(soon(t), of); err != nil || !st.Ready {
		t.Errorf("started: %+v, %v", st, err)
	}
	if err := rt.(target.Killer).Kill(context.Background(), of, "SIGKILL"); err == nil {
		t.Error("an undo can kill")
	}
	if err := Attach(target.Ref{ID: "?"}, helpers()).(target.Pauser).Resume(soon(t), of); err == nil {
		t.Error("an id that is none was believed")
	}
}

// An image's own stop signal is what the engine takes for a wish to end it; after any other its restart policy would go on.
func TestTheHeldStayDownWhateverTheirStopSignal(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, restarts(container.RestartPolicyAlways), func(c *container.Config, _ *container.HostConfig) { c.StopSignal = "SIGQUIT" })
	w := p.world("web")
	of := w.one("web")
	must(t, w.Hold(soon(t), of))
	wantError(t, w.Kill(soon(t), of, "SIGTERM"), "web-1 cannot be kept down after SIGTERM: its stop signal is SIGQUIT")
	must(t, w.Kill(soon(t), of, "SIGKILL"))
	w.staysDown(of)
	must(t, w.Start(soon(t), of))
}

// What is started and ends again at once does not run again, also if the engine says for a moment that it does.
func TestWhatEndsAtOnceDoesNotRunAgain(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	page := p.volume("page", nil)
	t.Cleanup(func() {
		p.remove()
		must(t, p.engine.VolumeRemove(soonAfter(t), page, true))
	})
	id := p.add("web", 1, published, binds(page+":/page"), variable("UNLESS=/page/held"))
	w := begin(t, options(p.name, map[string]spec.Service{"web": service()}))
	must(t, w.Up(soon(t), w.record))
	t.Cleanup(func() {
		wantError(t, w.Down(soonAfter(t)), "web-1 ran before: it was started and has ended again, with exit code 3")
		must(t, w.Close())
	})
	if said, err := w.get("web", "/hold?in=/page"); err != nil || said != "ok <nil>" {
		t.Fatalf("%q, %v", said, err)
	}
	must(t, p.engine.ContainerKill(soon(t), id, "SIGKILL"))
	eventually(t, "it is down", func() bool { return !w.status(w.one("web")).Running })
	wantError(t, RevertEnvironment(soon(t), w.undos[0].Data), "ran before: it was started and has ended again, with exit code 3")
}

// A crash soon after a fault's is not the fault's, and a policy that gives up is told of.
func TestACrashAfterAFault(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, restarts(container.RestartPolicyOnFailure))
	w := p.world("web")
	of := w.one("web")
	must(t, w.Kill(soon(t), of, "SIGKILL"))
	w.awaitEvents("web-1", target.Started, target.Ready, target.Exited, target.Started, target.Ready)
	_, _ = w.get("web", "/exit?code=7")
	w.awaitEvents("web-1", target.Started, target.Ready, target.Exited, target.Started, target.Ready, target.Exited, target.Started, target.Ready)
	all := w.of("web-1")
	if !all[2].Expected || all[5].Expected {
		t.Errorf("the fault's: %+v, the service's own: %+v", all[2], all[5])
	}
}

// What ran before a run runs after it, whoever has left it down: its end, or the undo of one that was killed.
func TestWhatRanRunsAgain(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published)
	runs := func() bool {
		info, err := p.engine.ContainerInspect(soon(t), id)
		must(t, err)
		return info.State.Running && !info.State.Paused
	}
	w := p.world("web")
	must(t, w.Kill(soon(t), w.one("web"), "SIGKILL"))
	eventually(t, "it is down", func() bool { return !runs() })
	must(t, w.Down(soon(t)))
	if !runs() {
		t.Error("it was left down")
	}
	for range 2 {
		must(t, p.engine.ContainerKill(soon(t), id, "SIGKILL"))
		eventually(t, "it is down", func() bool { return !runs() })
		must(t, RevertEnvironment(soon(t), w.undos[0].Data))
		if !runs() {
			t.Error("the undo has left it down")
		}
	}
	must(t, p.engine.ContainerPause(soon(t), id))
	must(t, RevertEnvironment(soon(t), w.undos[0].Data))
	eventually(t, "it is resumed", runs)
}

// What ran before is started at once, and not one after the other: a service may become ready only when another runs that would come after it. One that ends without the other
// is started again.
func TestWhatRanRunsAgainTogether(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	second := p.add("second", 1, published, variable("WARMUP=2s"))
	needs := "http://" + second[:12] + ":8080/health"
	first := p.add("first", 1, published, variable("NEEDS="+needs))
	p.world("second")                                                      // is ready
	third := p.add("third", 1, published, variable("ENDS_WITHOUT="+needs)) // which takes longer than one that is started is looked at
	w := p.world("first", "second", "third")
	all := []string{first, second, third}
	for _, id := range all {
		must(t, p.engine.ContainerKill(soon(t), id, "SIGKILL"))
		eventually(t, "it is down", func() bool {
			info, err := p.engine.ContainerInspect(soon(t), id)
			must(t, err)
			return !info.State.Running
		})
	}
	must(t, w.Down(soon(t)))
	for _, id := range all {
		if info, err := p.engine.ContainerInspect(soon(t), id); err != nil || !info.State.Running {
			t.Errorf("%.12s was left down: %v", id, err)
		}
	}
}

// An undo in another process waits as long as is said of the service, and not shorter.
func TestAnUndoWaitsAsLongAsIsSaid(t *testing.T) {
	for said, want := range map[string]time.Duration{"": target.DefaultReady, "2s": 2 * time.Second, "2m": 2 * time.Minute} {
		if got := (reference{Within: said}).within(); got != want {
			t.Errorf("of %q it waits %v, want %v", said, got, want)
		}
	}
}
