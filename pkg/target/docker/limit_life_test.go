package docker

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/fault"
	"chaosgate/pkg/target"
)

// limit is a fault on the only instance of a service.
func (w *world) limit(kind, parameter, value string) fault.Fault {
	w.t.Helper()
	return w.fault(kind, map[string]string{parameter: value})
}

func (w *world) fault(kind string, with map[string]string) fault.Fault {
	w.t.Helper()
	k, ok := fault.Find(kind)
	if !ok {
		w.t.Fatalf("there is no fault %s", kind)
	}
	params, problems := k.CheckParams(with)
	if len(problems) > 0 {
		w.t.Fatal(problems)
	}
	f, err := k.New(fault.Request{ID: "the-step", Runtime: w.Environment, Targets: []target.Target{w.one("web")}, Params: params})
	must(w.t, err)
	return f
}

// proven is the effect of a step in a fault's life; it fails the test if it is proven and should not be, or the other way round.
func proven(t *testing.T, want string, step func(context.Context) (fault.Effect, error), parts ...string) fault.Effect {
	t.Helper()
	e, err := step(soon(t))
	must(t, err)
	if got := map[bool]string{true: "proven", false: "not proven"}[e.Proven]; got != want {
		t.Fatalf("it is %s: %s", got, e.Summary)
	}
	for _, part := range parts {
		if !strings.Contains(e.Summary, part) {
			t.Errorf("got %q, want %q in it", e.Summary, part)
		}
	}
	t.Log(e.Summary, e.Readings)
	return e
}

// busy is a load in the container that would use all the CPU there is.
func (w *world) busy() {
	w.t.Helper()
	h, err := w.Host(soon(w.t), w.one("web"), agent.CPUJob, agent.CPUConfig{Workers: 1, Load: 1})
	must(w.t, err)
	_, err = h.Call(soon(w.t), agent.Inject)
	must(w.t, err)
}

// A service that does not need what it is refused does not feel the limit; one that does has to wait, and no longer once the limit is given back.
func TestALimitOnCPUIsFelt(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published, limited(0, 1e9))
	w := p.world("web")
	f := w.limit("cpu.limit", "cpus", "0.3")
	undos, err := f.Prepare(soon(t))
	must(t, err)
	if len(undos) != 1 || undos[0].Kind != "cpu.limit" || !strings.HasSuffix(undos[0].Manual, " update --cpus 1 "+id[:12]) {
		t.Errorf("undos: %+v", undos)
	}
	proven(t, "not proven", f.Check, "web-1 may use 1 CPU, as ever") // as the negative control does
	proven(t, "proven", f.Inject, "web-1 may use 0.3 CPUs instead of 1 CPU")
	proven(t, "not proven", f.Check, "never had to wait for them: nobody could have felt the fault")
	w.busy()
	eventually(t, "it has to wait", func() bool { e, err := f.Check(soon(t)); return err == nil && e.Proven })
	e := proven(t, "proven", f.Check, "and has waited for them in ")
	if e.Readings["throttled_periods"] < 1 || e.Readings["cpus"] != 0.3 || e.Readings["cpus_before"] != 1 {
		t.Errorf("readings: %v", e.Readings)
	}
	for range 2 {
		proven(t, "proven", f.Revert, "web-1 may use 1 CPU again")
	}
	if got := p.resourcesOf(id); got != (exactLimit{NanoCPUs: 1e9}) {
		t.Errorf("it is %+v", got)
	}
	k, _ := fault.Find("cpu.limit")
	must(t, k.Revert(soon(t), w, undos[0].Data, undos[0].Target))
}

// Without a limit of its own the service may use all processors again: a load that had to wait does so no longer.
func TestALimitOnCPUIsGone(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published)
	w := p.world("web")
	of := w.one("web")
	f := w.limit("cpu.limit", "cpus", "0.2")
	undos, err := f.Prepare(soon(t))
	must(t, err)
	proven(t, "proven", f.Inject)
	w.busy()
	eventually(t, "it has to wait", func() bool { e, err := f.Check(soon(t)); return err == nil && e.Proven })
	k, _ := fault.Find("cpu.limit")
	must(t, k.Revert(soon(t), Attach(of.Ref, helpers()), undos[0].Data, undos[0].Target)) // as the guard does
	proven(t, "not proven", f.Check, "it is no longer limited to 0.2 CPUs")
	before, err := w.Strain(soon(t), of)
	must(t, err)
	used, err := w.Usage(soon(t), of)
	must(t, err)
	eventually(t, "it works on", func() bool {
		now, err := w.Usage(soon(t), of)
		return err == nil && now.CPU-used.CPU > target.Duration(500*time.Millisecond)
	})
	after, err := w.Strain(soon(t), of)
	must(t, err)
	if n := after.Throttled - before.Throttled; n > 1 { // one period may have begun under the limit
		t.Errorf("it had to wait in %d periods after the limit was given back", n)
	}
	proven(t, "proven", f.Revert)
}

// What would be no fault, or cannot be done, or would give back what is another fault's, is refused before anything is changed.
func TestLimitsThatAreRefused(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published, resources(container.Resources{NanoCPUs: 1e9, Memory: 512 << 20, MemoryReservation: 256 << 20}))
	w := p.world("web")
	before := p.resourcesOf(id)
	for _, c := range []struct{ kind, parameter, value, want string }{
		{"cpu.limit", "cpus", "1", "it may use 1 CPU as it is, so a limit of 1 CPU would be no fault"},
		{"cpu.limit", "cpus", "64", "would be no fault"},
		{"memory.limit", "size", "1GiB", "it may use 512MiB as it is, so a limit of 1GiB would be no fault"},
		{"memory.limit", "size", "128MiB", "its limit cannot be lower than 256MiB, and 128MiB is asked for"}, // it could not be started again
	} {
		_, err := w.limit(c.kind, c.parameter, c.value).Prepare(soon(t))
		wantError(t, err, c.want)
	}
	first, second := w.limit("cpu.limit", "cpus", "0.5"), w.limit("cpu.limit", "cpus", "0.4")
	for _, f := range []fault.Fault{first, second} {
		_, err := f.Prepare(soon(t))
		must(t, err)
	}
	proven(t, "proven", first.Inject)
	_, err := second.Inject(soon(t))
	wantError(t, err, "its CPU limit was 1 CPU and is 0.5 CPUs now")
	proven(t, "proven", second.Revert, "nothing was done")
	_, err = w.limit("cpu.limit", "cpus", "0.3").Prepare(soon(t))
	wantError(t, err, "another fault has lowered its CPU limit already, to 0.5 CPUs")
	proven(t, "proven", first.Revert)
	if got := p.resourcesOf(id); got != before {
		t.Errorf("it was %+v and is %+v", before, got)
	}
}
