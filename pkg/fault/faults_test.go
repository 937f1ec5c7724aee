package fault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/proc"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

func restarting(b *spec.Service) {
	b.Restart = spec.Restart{Policy: "always", Backoff: "10ms"}
}

// awaitRestart waits until b runs again and the environment knows.
func (w *world) awaitRestart(t *testing.T) {
	t.Helper()
	eventually(t, "b runs again", func() bool {
		st, err := w.Inspect(soon(t), w.target(t, "b"))
		return err == nil && st.Ready && st.Restarts > 0
	})
}

// A kill without a duration: nothing is undone, and what it says follows what becomes of the service.
func TestOneShotKill(t *testing.T) {
	for name, change := range map[string]func(*spec.Service){"restarted": restarting, "left down": nil} {
		t.Run(name, func(t *testing.T) {
			w := up(t, change)
			pid := w.pid(t)
			f, undos := request{fault: "service.kill", service: "b", oneShot: true}.prepared(t, w)
			if len(undos) != 0 || w.pid(t) != pid {
				t.Errorf("undos: %v", undos)
			}
			e, err := f.Check(soon(t))
			wantEffect(t, "check before the injection", e, err, false, "was not sent SIGKILL")
			e, err = f.Inject(soon(t))
			wantEffect(t, "inject", e, err, true, "b-1 (pid "+strconv.Itoa(pid)+") was killed by SIGKILL")
			if s, err := proc.ReadStat(pid); err == nil && !s.Dead() {
				t.Error("it lives")
			}
			want := "is down"
			if change != nil {
				want = "and runs again (pid "
				w.awaitRestart(t)
			}
			e, err = f.Check(soon(t))
			wantEffect(t, "check", e, err, true, want)
			e, err = f.Revert(soon(t))
			wantEffect(t, "revert", e, err, true, "its restart policy decides")
		})
	}
}

func TestRestart(t *testing.T) {
	w := up(t, nil)
	pid := w.pid(t)
	r := request{fault: "service.restart", service: "b", oneShot: true, with: map[string]string{"grace": "1s"}}
	f, undos := r.prepared(t, w)
	e, err := f.Inject(soon(t))
	now := w.pid(t)
	wantEffect(t, "inject", e, err, true, "(pid "+strconv.Itoa(pid)+") was restarted and runs again (pid "+strconv.Itoa(now)+")")
	wantReverted(t, f)
	if again := w.pid(t); now == pid || again != now {
		t.Errorf("b was %d, then %d, then %d", pid, now, again)
	}
	must(t, w.Kill(soon(t), w.target(t, "b"), "SIGKILL"))
	eventually(t, "the exit code is known", func() bool {
		e, err = f.Check(soon(t))
		return err != nil || strings.Contains(e.Summary, "has ended since, with exit code 137")
	})
	wantEffect(t, "check", e, err, true)
	for range 2 { // a runner that died between the stop and the start
		must(t, r.kind(t).Revert(soon(t), w, undos[0].Data, undos[0].Target))
	}
	w.pid(t)
}

// A restart that is broken off in the middle is finished by its revert.
func TestRestartThatIsInterrupted(t *testing.T) {
	w := up(t, func(b *spec.Service) { b.Env["STUBBORN"] = "yes" })
	f, _ := request{fault: "service.restart", service: "b", oneShot: true, with: map[string]string{"grace": "10s"}}.prepared(t, w)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := f.Inject(ctx)
	wantError(t, err, "b-1: ")
	wantReverted(t, f)
	w.pid(t)
}

// One that ignores SIGTERM is killed when its grace is over; a kill by a signal that it ignores is never proven, and as it may yet end of it, its revert has it end and start anew.
func TestStubbornService(t *testing.T) {
	w := up(t, func(b *spec.Service) { b.Env["STUBBORN"] = "yes" })
	f, _ := request{fault: "service.stop", service: "b", with: map[string]string{"grace": "50ms"}}.injected(t, w)
	wantReverted(t, f)
	pid := w.pid(t)
	f, _ = request{fault: "service.kill", service: "b", with: map[string]string{"signal": "SIGTERM"}}.prepared(t, w)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if e, err := f.Inject(ctx); err == nil || e.Proven {
		t.Errorf("got %+v, %v", e, err)
	}
	wantReverted(t, f)
	if now := w.pid(t); now == pid {
		t.Errorf("b is %d as before, and nobody knows for how long", pid)
	}
}

// A fault on what is down or paused already would prove nothing, be it found when it is prepared or only when it is injected.
func TestFaultsOnWhatIsDownOrPausedAreRefused(t *testing.T) {
	notUnderRace(t)
	var all []request
	for _, l := range lives {
		if !onLinks(l.fault) {
			all = append(all, l.request)
		}
	}
	all = append(all, request{fault: "service.kill", service: "b", oneShot: true}, request{fault: "service.restart", service: "b", oneShot: true})
	w := up(t, nil)
	b := w.target(t, "b")
	states := map[string]struct {
		in, out func(context.Context, target.Target) error
	}{
		"it is paused already": {w.Pause, w.Resume},
		"it is not running":    {func(ctx context.Context, b target.Target) error { return w.Stop(ctx, b, time.Second) }, w.Start},
	}
	for want, state := range states {
		for _, r := range all {
			armed, _ := r.prepared(t, w)
			must(t, state.in(soon(t), b))
			late := r.build(t, w)
			_, err := late.Prepare(soon(t))
			wantError(t, err, "b-1: "+want)
			_, err = armed.Inject(soon(t))
			wantError(t, err, "b-1: "+want)
			must(t, state.out(soon(t), b))
			wantReverted(t, armed)
			wantReverted(t, late)
		}
	}
	w.pid(t)
	if ids := w.helpers(t); len(ids) > 0 {
		t.Errorf("helpers are left: %v", ids)
	}
}

func onLinks(kind string) bool {
	return strings.HasPrefix(kind, "network.") || strings.HasPrefix(kind, "http.")
}

// Rule 11: a fault that saw no traffic has proved nothing, however well it is on the link.
func TestLinkFaultsWithoutTrafficAreNotProven(t *testing.T) {
	for name, l := range lives {
		if !onLinks(l.fault) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			w := up(t, nil)
			f, _ := l.injected(t, w)
			e, err := f.Check(soon(t))
			wantEffect(t, "check", e, err, false, "a -> b: no traffic met", "nobody could have felt the fault")
			wantReverted(t, f)
		})
	}
}

// So has a limit that is above what the link carries: nobody had to wait for it.
func TestALimitThatNobodyHasToWaitFor(t *testing.T) {
	w := up(t, nil)
	f, _ := request{fault: "network.bandwidth", service: "a", to: "b", with: map[string]string{"rate": "100MB/s"}}.injected(t, w)
	w.pid(t)
	e, err := f.Check(soon(t))
	wantEffect(t, "check", e, err, false, "a -> b: ", "none of it had to wait for the limit of 100MB/s", "nobody could have felt the fault")
	wantReverted(t, f)
}

// So has a fault on HTTP requests that has met other requests only, or connections that speak something else.
func TestHTTPFaultsThatMeetNoRequestOfTheirs(t *testing.T) {
	w := up(t, nil)
	for _, kind := range []string{"http.abort", "http.delay"} {
		with := map[string]string{"path": "/none"}
		if kind == "http.delay" {
			with["delay"] = "10ms"
		}
		f, _ := request{fault: kind, service: "a", to: "b", with: with}.injected(t, w)
		addr, err := w.Address(linkAB)
		must(t, err)
		conn, err := net.Dial("tcp", addr)
		must(t, err)
		_, err = conn.Write([]byte("PRI * HTTP/2.0\r\n\r\n"))
		must(t, err)
		_, err = conn.Read(make([]byte, 1)) // it has come to b, which does not speak that
		must(t, err)
		must(t, conn.Close())
		e, err := f.Check(soon(t))
		wantEffect(t, "check", e, err, false, "no request met", "to /none: 1 connection passed that did not speak HTTP/1.x", "nobody could have felt the fault")
		w.pid(t)
		e, err = f.Check(soon(t))
		wantEffect(t, "check", e, err, false, "a -> b: none of 1 request met", "nobody could have felt the fault")
		wantReverted(t, f)
	}
}

// A part of the requests is met by chance, so it is counted.
func TestHTTPFaultOnAPartOfTheRequests(t *testing.T) {
	w := up(t, nil)
	f, _ := request{fault: "http.abort", service: "a", to: "b", with: map[string]string{"probability": "50%", "method": "GET"}}.injected(t, w)
	hit := 0
	for range 40 {
		if answers("/health", 503)(t, w, 0) {
			hit++
		}
	}
	e, err := f.Check(soon(t))
	wantEffect(t, "check", e, err, true, fmt.Sprintf("a -> b: %d of 40 requests met the answer 503 to 50%% of GET requests", hit))
	if hit < 5 || hit > 35 || e.Readings["requests"] != 40 || e.Readings["requests_hit"] != float64(hit) {
		t.Errorf("%d of 40 were hit: %v", hit, e.Readings)
	}
	wantReverted(t, f)
}

// A fault on HTTP requests has its link to itself, whichever of two comes first.
func TestHTTPFaultBesideAnother(t *testing.T) {
	w := up(t, nil)
	slow := request{fault: "network.latency", service: "a", to: "b", with: map[string]string{"delay": "10ms"}}
	for _, two := range [][2]request{{slow, {fault: "http.abort", service: "a", to: "b"}}, {{fault: "http.abort", service: "a", to: "b"}, slow}} {
		first, _ := two[0].injected(t, w)
		k := two[1].kind(t)
		params, _ := k.CheckParams(two[1].with)
		second, err := k.New(fault.Request{ID: "another", Runtime: w.Environment, Targets: []target.Target{w.target(t, "a")}, To: "b", Params: params})
		must(t, err)
		_, err = second.Prepare(soon(t))
		must(t, err) // they may come one after the other
		_, err = second.Inject(soon(t))
		wantError(t, err, "the-step is on it already, and a fault on HTTP requests has a link to itself")
		wantReverted(t, second)
		wantReverted(t, first)
		_, err = second.Inject(soon(t))
		must(t, err)
		wantReverted(t, second)
	}
}

// All links of a service at once: traffic on one of them will do, and each reading says whose it is.
func TestAllLinksOfAService(t *testing.T) {
	w := up(t, nil)
	f, undos := request{fault: "network.latency", service: "b", with: map[string]string{"delay": "30ms"}}.injected(t, w)
	if len(undos) != 2 {
		t.Errorf("got %d undos, want one for each link", len(undos))
	}
	w.pid(t)
	e, err := f.Check(soon(t))
	wantEffect(t, "check", e, err, true, "a -> b: 1 connection attempt, ", "outside -> b: no traffic met the delay of 30ms on requests")
	if e.Readings["a -> b: connections"] != 1 || e.Readings["outside -> b: connections"] != 0 {
		t.Errorf("got %v", e.Readings)
	}
	wantReverted(t, f)
}

// Another fault on the same link is no trace of the one that is reverted.
func TestLinkFaultsThatOverlap(t *testing.T) {
	w := up(t, nil)
	slow, _ := request{fault: "network.latency", service: "a", to: "b", with: map[string]string{"delay": "50ms"}}.injected(t, w)
	must(t, w.Impair(soon(t), linkAB, "other", target.LinkFault{Latency: target.Duration(200 * time.Millisecond)}))
	e, err := slow.Revert(soon(t))
	wantEffect(t, "revert", e, err, true, "is off the link", "because it is under other as well")
	must(t, w.Restore(soon(t), linkAB, "other"))
}

// A callee that is down or paused cannot answer, which is no trace of the fault either; but then nothing can be prepared.
func TestLinkToACalleeThatCannotAnswer(t *testing.T) {
	w := up(t, nil)
	b := w.target(t, "b")
	r := request{fault: "network.latency", service: "a", to: "b", with: map[string]string{"delay": "20ms"}}
	f, _ := r.injected(t, w)
	must(t, w.Stop(soon(t), b, time.Second))
	e, err := f.Revert(soon(t))
	wantEffect(t, "revert", e, err, true, "is off the link", "because b-1 does not run")
	_, err = r.build(t, w).Prepare(soon(t))
	wantError(t, err, "a -> b: a round trip before the fault: ")
	must(t, w.Start(soon(t), b))
	f, _ = r.injected(t, w)
	must(t, w.Pause(soon(t), b))
	e, err = f.Revert(soon(t))
	wantEffect(t, "revert", e, err, true, "because b-1 is paused")
	must(t, w.Resume(soon(t), b))
}

func TestUnknownLink(t *testing.T) {
	w := up(t, nil)
	k, _ := fault.Find("network.reset")
	_, err := k.New(fault.Request{ID: "x", Runtime: w.Environment, Targets: []target.Target{w.target(t, "b")}, To: "a"})
	wantError(t, err, "there is no link from b to a")
}

// A fault on two services is proven if it is felt by both, and says whose fault it is that it is not.
func TestFaultOnSeveralInstances(t *testing.T) {
	w := up(t, nil)
	k, _ := fault.Find("service.pause")
	f, err := k.New(fault.Request{ID: "x", Runtime: w.Environment, Targets: []target.Target{w.target(t, "a"), w.target(t, "b")}})
	must(t, err)
	undos, err := f.Prepare(soon(t))
	if err != nil || len(undos) != 2 {
		t.Fatalf("got %v, %v", undos, err)
	}
	e, err := f.Inject(soon(t))
	wantEffect(t, "inject", e, err, true, "a-1 (pid ", "b-1 (pid ")
	must(t, w.Resume(soon(t), w.target(t, "b")))
	e, err = f.Check(soon(t))
	wantEffect(t, "check", e, err, false, "a-1 (pid ", "is paused; b-1 (pid ", "is not paused")
	wantReverted(t, f)
}

// A runtime that cannot do what a fault needs is named, not dereferenced.
func TestRuntimeThatCannot(t *testing.T) {
	for _, k := range fault.Catalogue() {
		_, err := k.New(fault.Request{ID: "x", Runtime: bare{}, Targets: []target.Target{{Ref: target.Ref{Service: "b"}}}})
		wantError(t, err, "target bare cannot ")
	}
}

type bare struct{ target.Runtime }

func (bare) Name() string { return "bare" }

// What is not an undo, or names no process, is not done.
func TestUndosThatAreNone(t *testing.T) {
	w := up(t, nil)
	for _, name := range []string{"service.stop", "service.kill", "service.restart", "cpu.stress", "memory.stress", "db.lock", "db.readonly", "db.corrupt", "network.latency", "cpu.limit", "memory.limit"} {
		k, _ := fault.Find(name)
		wantError(t, k.Revert(soon(t), w, json.RawMessage(`[`), target.Ref{}), "read the undo")
	}
	k, _ := fault.Find("cpu.stress")
	wantError(t, k.Revert(soon(t), w, json.RawMessage(`{}`), target.Ref{}), "names no process")
	k, _ = fault.Find("cpu.limit")
	wantError(t, k.Revert(soon(t), w, json.RawMessage(`{}`), target.Ref{}), "names no limit")
	wantError(t, k.Revert(soon(t), w, json.RawMessage(`{"resource":"CPU","exact":{}}`), target.Ref{}), "target process cannot limit a target's resources")
	k, _ = fault.Find("network.latency")
	wantError(t, k.Revert(soon(t), w, json.RawMessage(`{"link":{"from":"b","to":"a"}}`), target.Ref{}), "no link from b to a")
}

// The commands for people work when they are pasted into a shell, twice as well.
func TestManualUndo(t *testing.T) {
	for _, name := range []string{"service.pause", "cpu.stress", "memory.stress", "db.lock", "db.readonly"} {
		t.Run(name, func(t *testing.T) {
			l := lives[name]
			w := up(t, nil)
			pid := w.pid(t)
			f, undos := l.injected(t, w)
			sh(t, undos[0].Manual)
			eventually(t, "it is undone", func() bool { return !l.felt(t, w, pid) })
			if !strings.HasPrefix(undos[0].Manual, "kill -KILL") { // there is nobody to kill any more
				sh(t, undos[0].Manual)
			}
			wantReverted(t, f)
			if now := w.pid(t); now != pid {
				t.Errorf("b was %d and is %d", pid, now)
			}
		})
	}
}

func sh(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", command, err, out)
	}
}

// The command for a database that is gone makes no file.
func TestManualUndoOfADatabaseThatIsGone(t *testing.T) {
	w := up(t, nil)
	f, undos := request{fault: "db.readonly", service: "b"}.injected(t, w)
	must(t, os.Remove(w.file(t)))
	sh(t, undos[0].Manual)
	if _, err := os.Stat(w.file(t)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is there: %v", err)
	}
	e, err := f.Check(soon(t))
	wantEffect(t, "check", e, err, false, "there is no database file")
	e, err = f.Revert(soon(t))
	wantEffect(t, "revert", e, err, true, "its database is gone, so there is nothing left to revert")
}

func TestDatabaseFaultsThatCannotBe(t *testing.T) {
	w := up(t, func(b *spec.Service) { b.Env["JOURNAL"] = "WAL" })
	for _, c := range []struct {
		fault, mode, want string
	}{{"db.readonly", "", "WAL mode"}, {"db.lock", "exclusive", "use mode: write"}} {
		r := request{fault: c.fault, service: "b"}
		if c.mode != "" {
			r.with = map[string]string{"mode": c.mode}
		}
		_, err := r.build(t, w).Prepare(soon(t))
		wantError(t, err, "b-1: the database ", c.want)
	}
	_, err := request{fault: "db.corrupt", service: "b", with: map[string]string{"table": "orders"}}.build(t, w).Prepare(soon(t))
	wantError(t, err, "b-1: the database ", "cannot be damaged: it has no table orders; there are ")
	for name, meets := range map[string]func(error) bool{"db.lock": isBusy, "db.corrupt": isCorrupt} {
		f, _ := request{fault: name, service: "b"}.injected(t, w)
		if err := w.insert(t); !meets(err) {
			t.Errorf("in WAL mode an insert under %s met %v", name, err)
		}
		wantReverted(t, f)
		must(t, w.insert(t))
	}
	must(t, os.Remove(w.file(t)))
	for _, name := range []string{"db.lock", "db.readonly", "db.corrupt"} {
		_, err := request{fault: name, service: "b"}.build(t, w).Prepare(soon(t))
		wantError(t, err, "b-1: there is no database file ", "it's 100%.db")
	}
}

// The file is removed under the lock: a finding, no error, and there is nothing to revert.
func TestLockedDatabaseThatIsRemoved(t *testing.T) {
	w := up(t, nil)
	f, _ := request{fault: "db.lock", service: "b"}.injected(t, w)
	must(t, os.Remove(w.file(t)))
	e, err := f.Check(soon(t))
	wantEffect(t, "check", e, err, false, "its database has been removed")
	e, err = f.Revert(soon(t))
	wantEffect(t, "revert", e, err, true, "its database is gone")
}

// Both faults on one database: each is seen, and the revert of each is verified while the other lasts or lasted.
func TestReadonlyWithinALock(t *testing.T) {
	w := up(t, nil)
	lock, undos := request{fault: "db.lock", service: "b"}.prepared(t, w)
	readonly, _ := request{fault: "db.readonly", service: "b"}.injected(t, w)
	if _, err := lock.Inject(soon(t)); err == nil {
		t.Error("a read-only database was locked for writing")
	}
	wantReverted(t, lock)
	k, _ := fault.Find("db.lock")
	must(t, k.Revert(soon(t), w, undos[0].Data, undos[0].Target))
	wantReverted(t, readonly)
	must(t, w.insert(t))
}

// What becomes of the service under a fault is said.
func TestFateOfTheServiceUnderAFault(t *testing.T) {
	w := up(t, restarting)
	f, _ := request{fault: "db.lock", service: "b"}.injected(t, w)
	must(t, w.Kill(soon(t), w.target(t, "b"), "SIGKILL"))
	w.awaitRestart(t)
	e, err := f.Check(soon(t))
	wantEffect(t, "check", e, err, true, "it was started again meanwhile (0 restarts before, 1 now)")
	must(t, w.Stop(soon(t), w.target(t, "b"), time.Second))
	e, err = f.Check(soon(t))
	wantEffect(t, "check", e, err, true, "it has ended meanwhile, with exit code 143")
	wantReverted(t, f)
}

// A pause that hits a service that is started anew: the new one is not what was paused.
func TestPauseOfAServiceThatDies(t *testing.T) {
	w := up(t, restarting)
	pid := w.pid(t)
	f, _ := request{fault: "service.pause", service: "b"}.injected(t, w)
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	w.awaitRestart(t)
	e, err := f.Check(soon(t))
	wantEffect(t, "check", e, err, false, "was started again meanwhile", "is not what was paused")
	wantReverted(t, f)
}
