package fault_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

const limit = "160MiB" // the test binary itself needs some of it

// limited is an environment whose b may use no more than limit, and is started again when that kills it.
func limited(t *testing.T) *world {
	t.Helper()
	w := up(t, func(b *spec.Service) {
		restarting(b)
		b.Memory = limit
	})
	p, err := w.Placement(soon(t), w.target(t, "b"))
	must(t, err)
	if p.MemoryLimit == 0 {
		t.Skipf("there is no limit to run into: the load would run %s", p.Where)
	}
	return w
}

func (w *world) status(t *testing.T) target.Status {
	t.Helper()
	st, err := w.Inspect(soon(t), w.target(t, "b"))
	must(t, err)
	return st
}

// The kernel kills the stressor: that is the effect at its strongest for the injection, but over with the load. A check that called it proven to its end would have let the gate open on a
// system that was under no pressure while it was measured. Where what the stressor had is not free at once the kernel goes on to the service, which is proven, counted and told.
func TestMemoryRunsOutForTheStressor(t *testing.T) {
	w := limited(t)
	pid := w.pid(t)
	r := request{fault: "memory.stress", service: "b", with: map[string]string{"size": "400MiB", "rate": "800MiB/s", "victim": "stressor"}}
	f, _ := r.prepared(t, w)
	e, err := f.Inject(soon(t))
	wantEffect(t, "inject", e, err, true, "b-1: memory ran out, limit "+limit+", and the kernel has killed for it")
	eventually(t, "the load has ended", func() bool { return len(w.helpers(t)) == 0 })
	e, err = f.Check(soon(t))
	must(t, err)
	if st := w.status(t); e.Proven {
		wantEffect(t, "check", e, err, true, "the kernel has killed", "it was killed for memory meanwhile")
		w.awaitRestart(t)
	} else {
		wantEffect(t, "check", e, err, false, "b-1: memory ran out, limit "+limit+" after ", "the load has ended, and the service is the process that it was, so nothing was felt since: ask for less, or for `victim: service`")
		if w.pid(t) != pid || !st.OOMKilled || st.Restarts != 0 {
			t.Errorf("b was %d and is %d: %+v", pid, w.pid(t), st)
		}
	}
	wantReverted(t, f)
	// A second time is told from the first: the kernel counts.
	f, _ = r.prepared(t, w)
	e, err = f.Check(soon(t))
	wantEffect(t, "check before the injection", e, err, false, "0B of the 400MiB asked for are resident")
	e, err = f.Inject(soon(t))
	wantEffect(t, "inject", e, err, true, "the kernel has killed") // it counts before the load is seen to be gone
	wantReverted(t, f)
}

// The kernel is to kill the service, which is proven as well and told. There may be no room for another one while the load lasts: that is the kernel's to decide.
func TestMemoryRunsOutForTheService(t *testing.T) {
	w := limited(t)
	pid := w.pid(t)
	f, undos := request{fault: "memory.stress", service: "b", with: map[string]string{"size": "400MiB", "rate": "800MiB/s", "victim": "service"}}.prepared(t, w)
	if got := w.score(t, pid); got != "0" {
		t.Errorf("the score of b is %s before the injection: preparing changes nothing", got)
	}
	if text := string(undos[0].Data); !strings.Contains(text, `"score":0`) {
		t.Errorf("the undo %s does not say what the score was", text)
	}
	_, err := f.Inject(soon(t))
	must(t, err)
	eventually(t, "the kernel kills", func() bool { return w.status(t).OOMKills > 0 })
	e, err := f.Check(soon(t))
	wantEffect(t, "check", e, err, true, "the kernel has killed")
	wantReverted(t, f)
	eventually(t, "b is ready", func() bool { return w.status(t).Ready })
	if got := w.score(t, w.pid(t)); got != "0" {
		t.Errorf("the score of the new b is %s", got)
	}
}

// A service that is the first to be killed and was not gets its score back, also from its undo alone.
func TestTheServiceGetsItsScoreBack(t *testing.T) {
	w := limited(t)
	pid := w.pid(t)
	r := request{fault: "memory.stress", service: "b", with: map[string]string{"size": "32MiB", "victim": "service"}}
	f, _ := r.injected(t, w)
	if got := w.score(t, pid); got != "1000" {
		t.Errorf("the score of b is %s under the fault, want 1000", got)
	}
	wantReverted(t, f)
	if got := w.score(t, pid); got != "0" {
		t.Errorf("the score of b is %s after the revert, want 0", got)
	}
	f, undos := r.prepared(t, w)
	_, err := f.Inject(soon(t))
	must(t, err)
	kind, _ := fault.Find("memory.stress")
	must(t, kind.Revert(soon(t), w, undos[0].Data, undos[0].Target))
	if got := w.score(t, pid); got != "0" {
		t.Errorf("the score of b is %s after its undo, want 0", got)
	}
}

func (w *world) score(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
	must(t, err)
	return strings.TrimSpace(string(text))
}

// What the helper needs for itself is more than a small size, and does not prove it.
func TestLittleMemory(t *testing.T) {
	w := up(t, nil)
	f, _ := request{fault: "memory.stress", service: "b", with: map[string]string{"size": "2MiB", "rate": "20MiB/s"}}.prepared(t, w)
	before := helperRSS(t, w)
	if before < 2<<20 {
		t.Errorf("the helper has only %d bytes itself: this test tests nothing", before)
	}
	e, err := f.Check(soon(t))
	wantEffect(t, "check before the injection", e, err, false, "0B of the 2MiB asked for are resident")
	e, err = f.Inject(soon(t))
	wantEffect(t, "inject", e, err, true, "MiB of the 2MiB asked for are resident")
	if grown := helperRSS(t, w) - before; grown < 1<<20 { // its own memory may have shrunk a little
		t.Errorf("the helper grew by %d bytes", grown)
	}
	wantReverted(t, f)
}

// A size within the limit is no outage of anybody.
func TestMemoryWithinTheLimit(t *testing.T) {
	w := limited(t)
	pid := w.pid(t)
	f, _ := request{fault: "memory.stress", service: "b", with: map[string]string{"size": "32MiB"}}.injected(t, w)
	e, err := f.Check(soon(t))
	wantEffect(t, "check", e, err, true, "MiB of the 32MiB asked for are resident (in the service's own cgroup, limit "+limit+")")
	wantReverted(t, f)
	if st := w.status(t); st.OOMKilled || w.pid(t) != pid {
		t.Errorf("got %+v", st)
	}
}
