package process_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/proc"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

func one(change func(*spec.Service)) map[string]spec.Service {
	return map[string]spec.Service{"a": service(change)}
}

func restarting(policy, backoff, times string) func(*spec.Service) {
	return func(s *spec.Service) { s.Restart = spec.Restart{Policy: policy, Backoff: backoff, Times: times} }
}

func TestKillIsRestartedOnTheSamePort(t *testing.T) {
	w := up(t, one(restarting("on-failure", "1ms", "")))
	before, port := w.inspect(t, "a"), w.Scrapes()[0].URL
	must(t, w.Kill(soon(t), w.target(t, "a"), "SIGKILL"))
	e := w.next(t, target.Exited)
	if !e.Expected || e.ExitCode != 137 || !strings.Contains(e.Detail, "signal 9 (killed) (fault)") || e.PID != before.PID {
		t.Errorf("got %+v", e)
	}
	if e = w.next(t, target.Ready); e.Restarts != 1 {
		t.Errorf("got %+v", e)
	}
	after := w.inspect(t, "a")
	if !after.Running || !after.Ready || after.PID == before.PID || after.Restarts != 1 || after.ExitCode != 137 || w.Scrapes()[0].URL != port {
		t.Errorf("got %+v", after)
	}
	if got := w.get(t, "a", "/health"); got != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestExitByItselfIsNotExpected(t *testing.T) {
	w := up(t, one(nil))
	w.get(t, "a", "/exit")
	e := w.next(t, target.Exited)
	if e.Expected || e.ExitCode != 7 || !strings.Contains(e.Detail, "exit code 7 (by itself)") {
		t.Errorf("got %+v", e)
	}
	if st := w.inspect(t, "a"); st.Running || st.Ready || st.ExitCode != 7 || st.Restarts != 0 {
		t.Errorf("got %+v", st)
	}
	wantError(t, w.Kill(soon(t), w.target(t, "a"), "SIGTERM"), "a-1 is not running, so it cannot get SIGTERM")
	wantError(t, w.Pause(soon(t), w.target(t, "a")), "not running")
	must(t, w.Resume(soon(t), w.target(t, "a")))
}

func TestRestartGivesUp(t *testing.T) {
	w := up(t, one(restarting("always", "1ms", "2")))
	for range 2 {
		w.get(t, "a", "/exit")
		w.next(t, target.Ready)
		eventually(t, "answers again", func() bool { return w.get(t, "a", "/health") == "hello" })
	}
	w.get(t, "a", "/exit")
	if e := w.next(t, target.GaveUp); e.Restarts != 2 || !strings.Contains(e.Detail, "started again 2 times") {
		t.Errorf("got %+v", e)
	}
	if st := w.inspect(t, "a"); st.Running || st.Restarts != 2 {
		t.Errorf("got %+v", st)
	}
	must(t, w.Start(soon(t), w.target(t, "a")))
	if st := w.inspect(t, "a"); !st.Ready {
		t.Errorf("got %+v", st)
	}
}

func TestHoldKeepsARestartBack(t *testing.T) {
	w := up(t, one(restarting("always", "1ms", "")))
	a := w.target(t, "a")
	must(t, w.Hold(soon(t), a))
	must(t, w.Hold(soon(t), a))
	must(t, w.Kill(soon(t), a, "SIGKILL"))
	w.next(t, target.Exited)
	time.Sleep(50 * time.Millisecond) // many times the backoff: nothing may happen in it
	if st := w.inspect(t, "a"); st.Running {
		t.Fatalf("it was started while held: %+v", st)
	}
	must(t, w.Release(soon(t), a))
	w.next(t, target.Ready)
	must(t, w.Release(soon(t), a))
	if st := w.inspect(t, "a"); !st.Ready || st.Restarts != 1 {
		t.Errorf("got %+v", st)
	}
}

func TestStopAndStart(t *testing.T) {
	for name, stubborn := range map[string]string{"orderly": "", "stubborn": "yes"} {
		t.Run(name, func(t *testing.T) {
			w := up(t, one(func(s *spec.Service) {
				s.Env["STUBBORN"] = stubborn
				s.Restart.Policy = "always"
				s.Restart.Backoff = "1ms"
			}))
			a := w.target(t, "a")
			must(t, w.Stop(soon(t), a, 100*time.Millisecond))
			e := w.next(t, target.Exited)
			if want := map[string]int{"": 143, "yes": 137}[stubborn]; !e.Expected || e.ExitCode != want {
				t.Errorf("got %+v, want exit code %d", e, want)
			}
			if st := w.inspect(t, "a"); st.Running {
				t.Errorf("got %+v", st)
			}
			must(t, w.Stop(soon(t), a, time.Second))
			must(t, w.Start(soon(t), a))
			must(t, w.Start(soon(t), a))
			if st := w.inspect(t, "a"); !st.Ready || st.Restarts != 0 {
				t.Errorf("got %+v", st)
			}
		})
	}
}

func TestPauseFreezesEveryProcessOfTheInstance(t *testing.T) {
	w := up(t, one(nil))
	a := w.target(t, "a")
	ids := []int{w.inspect(t, "a").PID}
	for _, path := range []string{"/fork", "/daemon"} {
		pid, err := strconv.Atoi(w.get(t, "a", path))
		must(t, err)
		ids = append(ids, pid)
	}
	for range 2 {
		must(t, w.Pause(soon(t), a))
		for _, pid := range ids {
			if s, err := proc.ReadStat(pid); err != nil || !s.Stopped() {
				t.Errorf("process %d: %c, %v", pid, s.State, err)
			}
		}
		if st := w.inspect(t, "a"); !st.Running || !st.Paused || st.Ready {
			t.Errorf("got %+v", st)
		}
	}
	for range 2 {
		must(t, w.Resume(soon(t), a))
		if st := w.inspect(t, "a"); st.Paused || !st.Ready {
			t.Errorf("got %+v", st)
		}
	}
	must(t, w.Pause(soon(t), a)) // and taken down while paused
}

func TestDaemonsDoNotOutliveTheirStart(t *testing.T) {
	w := up(t, one(restarting("always", "1ms", "")))
	pid, err := strconv.Atoi(w.get(t, "a", "/daemon"))
	must(t, err)
	daemon, err := proc.Identify(pid)
	must(t, err)
	must(t, w.Kill(soon(t), w.target(t, "a"), "SIGKILL"))
	w.next(t, target.Exited)
	if daemon.Alive() {
		t.Error("the daemon lives")
	}
}

func TestSignalsAreNamed(t *testing.T) {
	w := up(t, one(nil))
	wantError(t, w.Kill(soon(t), w.target(t, "a"), "SIGNONE"), `there is no signal "SIGNONE"`, "SIGKILL")
	wantError(t, w.Hold(soon(t), target.Target{Ref: target.Ref{Service: "z"}}), "there is no z/ here; there are a")
}

func TestOutOfMemoryIsSeen(t *testing.T) {
	w := up(t, one(func(s *spec.Service) { s.Memory = "48MiB" }))
	place, err := w.Placement(soon(t), w.target(t, "a"))
	must(t, err)
	if !place.Cgroup {
		t.Skip("no cgroup here: " + place.Where)
	}
	if place.MemoryLimit != 48<<20 {
		t.Errorf("got %+v", place)
	}
	use, err := w.Usage(soon(t), w.target(t, "a"))
	if err != nil || use.CPU <= 0 || use.Memory <= 0 {
		t.Errorf("got %+v, %v", use, err)
	}
	w.get(t, "a", "/eat")
	e := w.next(t, target.Exited)
	if !e.OOM || e.Expected || !strings.Contains(e.Detail, "(out of memory)") {
		t.Errorf("got %+v", e)
	}
	if st := w.inspect(t, "a"); !st.OOMKilled || st.Running {
		t.Errorf("got %+v", st)
	}
}

// Nobody reads while more happens than the channel holds.
func TestEventsNeverBlock(t *testing.T) {
	w := up(t, one(restarting("always", "1ms", "100")))
	for i := range 40 { // three events each: more than the channel holds
		must(t, w.Kill(soon(t), w.target(t, "a"), "SIGKILL"))
		eventually(t, "restarted", func() bool { st := w.inspect(t, "a"); return st.Restarts > i && st.Ready || st.Restarts > i+1 })
	}
	for n := range 40 {
		if e := w.next(t, target.Exited); !e.Expected || e.Restarts != n {
			t.Fatalf("event %d: %+v", n, e)
		}
	}
}
