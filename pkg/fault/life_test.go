package fault_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/proc"
	"chaosgate/pkg/target"
	"chaosgate/pkg/target/process"
)

// life is a lasting fault and how it shows from outside, by the test's own means.
type life struct {
	request
	proof string // in the summary of the injection
	// felt says whether the fault is felt now; pid is b's process before.
	felt func(t *testing.T, w *world, pid int) bool
	lose func(t *testing.T, w *world, pid int) // takes the effect away behind the fault's back
	lost string                                // what Check says then
	// survivor says that the undo works without the runtime.
	survivor bool
	// ends says that its undo alone has a service end that still runs as before: whether the fault came to be cannot be known.
	ends bool
}

var lives = map[string]life{
	"service.kill": {
		request: request{fault: "service.kill", service: "b"}, proof: "was killed by SIGKILL and is down",
		felt: isDown, lose: startB, lost: "but it runs again", ends: true,
	},
	"service.kill by SIGTERM": {
		request: request{fault: "service.kill", service: "b", with: map[string]string{"signal": "SIGTERM"}}, proof: "was killed by SIGTERM and is down",
		felt: isDown, lose: startB, lost: "but it runs again", ends: true,
	},
	"service.stop": {
		request: request{fault: "service.stop", service: "b", with: map[string]string{"grace": "5s"}}, proof: "was stopped and is down",
		felt: isDown, lose: startB, lost: "but it runs again", ends: true,
	},
	"service.pause": {
		request: request{fault: "service.pause", service: "b"}, proof: "is paused",
		felt: func(_ *testing.T, _ *world, pid int) bool {
			s, err := proc.ReadStat(pid)
			return err == nil && s.Stopped()
		},
		lose: func(t *testing.T, _ *world, pid int) { must(t, syscall.Kill(-pid, syscall.SIGCONT)) }, lost: "is not paused",
	},
	"network.latency": {
		request: request{fault: "network.latency", service: "a", to: "b", with: map[string]string{"delay": "150ms", "jitter": "10ms"}},
		proof:   "round trip a -> b rose from", felt: slowerThan("/health", 130*time.Millisecond), lose: restoreLink, lost: "is no longer on the link",
	},
	"network.latency both ways": {
		request: request{fault: "network.latency", service: "a", to: "b", with: map[string]string{"delay": "80ms", "direction": "both"}},
		proof:   "the delay of 80ms on requests and responses", felt: slowerThan("/health", 150*time.Millisecond), lose: restoreLink, lost: "is no longer on the link",
	},
	"network.bandwidth": {
		request: request{fault: "network.bandwidth", service: "a", to: "b", with: map[string]string{"rate": "50kB/s"}},
		proof:   "the limit of 50kB/s is on the link", felt: slowerThan("/big", 250*time.Millisecond), lose: restoreLink, lost: "is no longer on the link",
	},
	"network.partition": {
		request: request{fault: "network.partition", service: "a", to: "b"}, proof: "a -> b: no answer within 400ms",
		felt: fails(func(err error) bool { return os.IsTimeout(err) }), lose: restoreLink, lost: "the partition is no longer on the link",
	},
	"network.reset": {
		request: request{fault: "network.reset", service: "a", to: "b"}, proof: "a -> b: a new connection was reset",
		felt: fails(func(err error) bool {
			return errors.Is(err, syscall.ECONNRESET) || strings.Contains(err.Error(), "EOF")
		}), lose: restoreLink, lost: "the reset of connections is no longer",
	},
	"http.abort": {
		request: request{fault: "http.abort", service: "a", to: "b", with: map[string]string{"status": "502"}},
		proof:   "a -> b: GET /health is answered with 502, and was with 200 before", felt: answers("/health", 502), lose: restoreLink, lost: "the answer 502 to requests is no longer on the link",
	},
	"http.abort of what is not the readiness path": {
		request: request{fault: "http.abort", service: "a", to: "b", with: map[string]string{"path": "/bi*", "method": "GET"}},
		proof:   "a -> b: the answer 503 to GET requests to /bi* is on the link", felt: answers("/big", 503), lose: restoreLink, lost: "is no longer on the link",
	},
	"http.delay": {
		request: request{fault: "http.delay", service: "a", to: "b", with: map[string]string{"delay": "150ms", "jitter": "10ms"}},
		proof:   "round trip a -> b rose from", felt: slowerThan("/health", 130*time.Millisecond), lose: restoreLink, lost: "the delay of 150ms ± 10ms on requests is no longer on the link",
	},
	"http.delay of what is not the readiness path": {
		request: request{fault: "http.delay", service: "a", to: "b", with: map[string]string{"delay": "150ms", "path": "/big"}},
		proof:   "a -> b: the delay of 150ms on requests to /big is on the link", felt: slowerThan("/big", 150*time.Millisecond), lose: restoreLink, lost: "is no longer on the link",
	},
	"cpu.stress": {
		request: request{fault: "cpu.stress", service: "b", with: map[string]string{"workers": "1", "load": "60%"}}, proof: "1 worker at 60% used",
		felt: helperWorks, lose: killHelper, lost: "the load has ended before its time", survivor: true,
	},
	"memory.stress": {
		request: request{fault: "memory.stress", service: "b", with: map[string]string{"size": "64MiB"}}, proof: "MiB of the 64MiB asked for are resident",
		felt: func(t *testing.T, w *world, _ int) bool { return helperRSS(t, w) > 64<<20 }, lose: killHelper, lost: "the load has ended before its time, and not for memory", survivor: true,
	},
	"db.lock": {
		request: request{fault: "db.lock", service: "b"}, proof: "its database is locked (write): a write from another process meets SQLITE_BUSY",
		felt: insertMeets(isBusy), lose: killHelper, lost: "the process that held the lock has ended before its time", survivor: true,
	},
	"db.lock on a file that is replaced": {
		request: request{fault: "db.lock", service: "b", with: map[string]string{"mode": "exclusive"}}, proof: "a read from another process meets SQLITE_BUSY",
		felt: insertMeets(isBusy), lose: func(t *testing.T, w *world, _ int) { w.replaceDatabase(t) }, lost: "the lock on its database is not held: the file may have been replaced", survivor: true,
	},
	"db.lock by helpers only": {
		request: request{fault: "db.lock", service: "b", inside: true}, proof: "its database is locked (write): a write from another process meets SQLITE_BUSY",
		felt: insertMeets(isBusy), lose: killHelper, lost: "the process that held the lock has ended before its time",
	},
	"db.corrupt": {
		request: request{fault: "db.corrupt", service: "b"}, proof: "its database is corrupt: a read from another process meets SQLITE_CORRUPT",
		felt: insertMeets(isCorrupt), lose: func(t *testing.T, w *world, _ int) { w.replaceDatabase(t) }, lost: "can still be read from; the file may have been replaced", survivor: true,
	},
	"db.corrupt by helpers only": {
		request: request{fault: "db.corrupt", service: "b", inside: true}, proof: "a read from another process meets SQLITE_CORRUPT",
		felt: insertMeets(isCorrupt), lose: func(t *testing.T, w *world, _ int) { w.replaceDatabase(t) }, lost: "can still be read from; the file may have been replaced",
	},
	"db.readonly by helpers only": {
		request: request{fault: "db.readonly", service: "b", inside: true}, proof: "a write from another process meets SQLITE_READONLY",
		felt: insertMeets(isReadOnly), lose: func(t *testing.T, w *world, _ int) { w.replaceDatabase(t) }, lost: "can still be written to; the file may have been replaced",
	},
	"db.readonly": {
		request: request{fault: "db.readonly", service: "b"}, proof: "a write from another process meets SQLITE_READONLY",
		felt: insertMeets(isReadOnly), lose: func(t *testing.T, w *world, _ int) { w.replaceDatabase(t) }, lost: "can still be written to; the file may have been replaced", survivor: true,
	},
}

func isDown(_ *testing.T, w *world, pid int) bool {
	_, err := w.get("/health", 5*time.Second)
	s, gone := proc.ReadStat(pid)
	return err != nil && (gone != nil || s.Dead())
}

func startB(t *testing.T, w *world, _ int) {
	eventually(t, "b runs", func() bool {
		must(t, w.Start(soon(t), w.target(t, "b")))
		_, err := w.get("/health", 5*time.Second)
		return err == nil
	})
}

func restoreLink(t *testing.T, w *world, _ int) { must(t, w.Restore(soon(t), linkAB, "the-step")) }

func killHelper(t *testing.T, w *world, _ int) { w.killHelper(t) }

func slowerThan(path string, least time.Duration) func(*testing.T, *world, int) bool {
	return func(t *testing.T, w *world, _ int) bool {
		for range 3 { // a machine may be slow once; a fault is slow each time
			began := time.Now()
			_, err := w.get(path, 10*time.Second)
			must(t, err)
			if time.Since(began) < least {
				return false
			}
		}
		return true
	}
}

// answers says whether a path is answered with a status.
func answers(path string, status int) func(*testing.T, *world, int) bool {
	return func(t *testing.T, w *world, _ int) bool {
		addr, err := w.Address(linkAB)
		must(t, err)
		resp, err := http.Get("http://" + addr + path)
		must(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		must(t, err)
		must(t, resp.Body.Close())
		return resp.StatusCode == status
	}
}

func fails(how func(error) bool) func(*testing.T, *world, int) bool {
	return func(_ *testing.T, w *world, _ int) bool {
		_, err := w.get("/health", time.Second)
		return err != nil && how(err)
	}
}

func insertMeets(what func(error) bool) func(*testing.T, *world, int) bool {
	return func(t *testing.T, w *world, _ int) bool {
		err := w.insert(t)
		if err != nil && !what(err) {
			t.Errorf("an insert met %v", err)
		}
		return err != nil
	}
}

// helperWorks says whether the helper uses CPU time now.
func helperWorks(t *testing.T, w *world, _ int) bool {
	ids := w.helpers(t)
	if len(ids) == 0 {
		return false
	}
	used := func() time.Duration { s, _ := proc.ReadStat(ids[0].PID); return s.CPU }
	before := used()
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if used()-before >= 50*time.Millisecond {
			return true
		}
	}
	return false
}

func helperRSS(t *testing.T, w *world) int64 {
	ids := w.helpers(t)
	if len(ids) == 0 {
		return 0
	}
	s, err := proc.ReadStat(ids[0].PID)
	must(t, err)
	return s.RSS
}

// Every lasting fault: preparing changes nothing, the injection is felt and says so, the loss is seen, the revert is verified, be it done by the fault or by its
// undo alone, once or twice, after an injection or without one.
func TestLife(t *testing.T) {
	for name, l := range lives {
		t.Run(name, func(t *testing.T) {
			if l.inside && l.fault != "db.lock" {
				notUnderRace(t)
			}
			w := up(t, nil)
			t.Run("to its end", func(t *testing.T) { l.toItsEnd(t, w) })
			t.Run("never injected", func(t *testing.T) { l.neverInjected(t, w) })
			t.Run("lost", func(t *testing.T) { l.isLost(t, w) })
			t.Run("undone", func(t *testing.T) { l.undone(t, w) })
			t.Run("undone when all is gone", func(t *testing.T) { l.undoneLater(t, w) })
		})
	}
}

func (l life) wantFelt(t *testing.T, w *world, pid int, want bool) {
	t.Helper()
	if got := l.felt(t, w, pid); got != want {
		t.Fatalf("felt from outside: %v, want %v", got, want)
	}
}

func (l life) toItsEnd(t *testing.T, w *world) {
	pid := w.pid(t)
	f, undos := l.prepared(t, w)
	if len(undos) != 1 || undos[0].Kind != l.fault || undos[0].Manual == "" || undos[0].Target.Service != "b" {
		t.Errorf("undos: %+v", undos)
	}
	l.wantFelt(t, w, pid, false)
	e, err := f.Inject(soon(t))
	wantEffect(t, "inject", e, err, true, l.proof)
	l.wantFelt(t, w, pid, true) // this is traffic for a link as well
	for range 2 {
		e, err = f.Check(soon(t))
		wantEffect(t, "check", e, err, true)
	}
	wantReverted(t, f)
	l.wantFelt(t, w, pid, false)
	if ids := w.helpers(t); len(ids) > 0 {
		t.Errorf("helpers are left: %v", ids)
	}
}

func (l life) neverInjected(t *testing.T, w *world) {
	pid := w.pid(t)
	f := l.build(t, w)
	wantReverted(t, f) // not even prepared
	f, undos := l.prepared(t, w)
	e, err := f.Check(soon(t)) // as the negative control does
	wantEffect(t, "check", e, err, false)
	for _, blame := range []string{"somebody", "replaced", "meanwhile", "before its time", "no longer"} {
		if strings.Contains(e.Summary, blame) {
			t.Errorf("nothing was injected and nothing was lost, but the check says: %s", e.Summary)
		}
	}
	for range 2 {
		must(t, l.kind(t).Revert(soon(t), w, undos[0].Data, undos[0].Target))
	}
	wantReverted(t, f)
	l.wantFelt(t, w, pid, false)
	if now := w.pid(t); (now != pid) != l.ends {
		t.Errorf("b was process %d and is %d", pid, now)
	}
}

func (l life) isLost(t *testing.T, w *world) {
	pid := w.pid(t)
	f, _ := l.injected(t, w)
	l.wantFelt(t, w, pid, true)
	l.lose(t, w, pid)
	e, err := f.Check(soon(t))
	wantEffect(t, "check", e, err, false, l.lost)
	wantReverted(t, f)
	l.wantFelt(t, w, pid, false)
}

func (l life) undone(t *testing.T, w *world) {
	pid := w.pid(t)
	f, undos := l.injected(t, w)
	for range 2 {
		must(t, l.kind(t).Revert(soon(t), w, undos[0].Data, undos[0].Target))
	}
	l.wantFelt(t, w, pid, false)
	wantReverted(t, f)
}

// undoneLater is the undo from a process that knows nothing but the undo, while the target is still there (as after a kill of the runner) and when it is gone.
func (l life) undoneLater(t *testing.T, w *world) {
	pid := w.pid(t)
	f, undos := l.injected(t, w)
	u := undos[0]
	err := l.kind(t).Revert(soon(t), process.Attach(u.Target), u.Data, u.Target)
	if l.survivor {
		must(t, err)
		l.wantFelt(t, w, pid, false)
	} else if err != nil && !errors.Is(err, target.ErrGone) {
		t.Errorf("got %v, want none or that it is gone", err)
	}
	wantReverted(t, f)
	must(t, w.Down(soon(t)))
	if err := l.kind(t).Revert(soon(t), process.Attach(u.Target), u.Data, u.Target); err != nil && !errors.Is(err, target.ErrGone) {
		t.Errorf("when it is gone: %v", err)
	}
}
