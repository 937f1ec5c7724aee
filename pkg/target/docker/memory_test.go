//go:build !race

package docker

import (
	"testing"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/fault"
	"chaosgate/pkg/target"
)

// The race detector's own memory would count against the container's limit.

// Memory beyond the container's limit makes the kernel kill, and the victim is who was to be it.
func TestMemoryRunsOutInTheContainer(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, hardened(p), limited(128<<20, 0), variable("HOLDS=32"), restarts(container.RestartPolicyOnFailure))
	w := p.world("web")
	of := w.one("web")
	was, err := w.OOMScore(soon(t), of)
	must(t, err)
	must(t, w.SetOOMScore(soon(t), of, 1000))
	if got, err := w.OOMScore(soon(t), of); err != nil || got != 1000 {
		t.Errorf("the score is %d, %v", got, err)
	}
	from := Attach(of.Ref, helpers()).(target.OOMScorer)
	must(t, from.SetOOMScore(soon(t), of, was))
	if got, err := from.OOMScore(soon(t), of); err != nil || got != was {
		t.Errorf("the score is %d again, %v, want %d", got, err, was)
	}
	must(t, w.SetOOMScore(soon(t), of, 1000))
	h, err := w.Host(soon(t), of, agent.MemoryJob, agent.MemoryConfig{Size: 256 << 20, Limit: 128 << 20, Victim: agent.VictimService})
	must(t, err)
	_, _ = h.Call(soon(t), agent.Inject) // it may end before it answers
	eventually(t, "the engine tells that memory ran out", func() bool { return w.status(of).OOMKills > 0 })
	eventually(t, "its policy starts it", func() bool { st := w.status(of); return st.Ready && st.Restarts == 1 && st.OOMKilled })
	w.awaitEvents("web-1", target.Started, target.Ready, target.Exited, target.Started, target.Ready)
	if e := w.of("web-1")[2]; !e.OOM || !e.Expected || e.Detail != "killed by signal 9 (out of memory)" {
		t.Errorf("got %+v", e)
	}
	must(t, h.Close(soon(t)))
}

// The load may not protect itself in a container. A service that holds next to nothing is killed before it all the same: what the load takes does not count as its own.
func TestAServiceThatHoldsNothingIsKilledFirst(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, hardened(p), limited(256<<20, 0), restarts(container.RestartPolicyOnFailure))
	w := p.world("web")
	f := w.fault("memory.stress", map[string]string{"size": "320MiB", "rate": "800MiB/s", "victim": "service"})
	_, err := f.Prepare(soon(t))
	must(t, err)
	proven(t, "proven", f.Inject, "the kernel has killed")
	eventually(t, "its policy starts it", func() bool { return w.status(w.one("web")).Restarts > 0 })
	proven(t, "proven", f.Check, "it was killed for memory meanwhile")
	proven(t, "proven", f.Revert)
}

// With a load that was killed the fault is over: what is measured after that is measured under no pressure, and the fault is not proven to its end.
func TestALoadThatWasKilledProvesNothing(t *testing.T) {
	t.Parallel()
	for _, try := range []string{"-1", "-2", "-3"} {
		if loadIsKilled(t, projectOf(t, try)) {
			return
		}
	}
	t.Error("each time the kernel has killed the service as well")
}

// loadIsKilled sees what comes of a load that is killed. It answers false where the kernel has killed once more, before who was killed had let go of its memory.
func loadIsKilled(t *testing.T, p *project) bool {
	t.Helper()
	p.add("web", 1, published, hardened(p), limited(128<<20, 0), variable("HOLDS=32"), restarts(container.RestartPolicyOnFailure))
	w := p.world("web")
	of := w.one("web")
	before := w.status(of)
	f := w.fault("memory.stress", map[string]string{"size": "256MiB", "victim": "stressor"})
	_, err := f.Prepare(soon(t))
	must(t, err)
	proven(t, "proven", f.Inject, "the kernel has killed")
	if w.status(of).PID != before.PID {
		proven(t, "proven", f.Revert)
		return false
	}
	proven(t, "not proven", f.Check, "web-1: memory ran out, limit 128MiB after ", "the service is the process that it was, so nothing was felt since: ask for less, or for `victim: service`")
	if st := w.status(of); st.PID != before.PID || !st.Ready {
		t.Errorf("the service was %+v and is %+v", before, st)
	}
	proven(t, "proven", f.Revert)
	return true
}

// A service that does not need what it is refused does not feel the limit. One that needs it is killed for it, which is the fault's doing; it keeps the limit when its
// policy starts it again, and has its own again afterwards.
func TestALimitOnMemoryIsFelt(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published, limited(512<<20, 0), variable("HOLDS=64"), restarts(container.RestartPolicyOnFailure))
	w := p.world("web")
	of := w.one("web")
	was := p.resourcesOf(id)
	must(t, w.SetOOMScore(soon(t), of, 1000))
	f := w.limit("memory.limit", "size", "192MiB")
	undos, err := f.Prepare(soon(t))
	must(t, err)
	proven(t, "not proven", f.Check, "web-1 may use 512MiB, as ever")
	proven(t, "proven", f.Inject, "web-1 may use 192MiB instead of 512MiB")
	e := proven(t, "not proven", f.Check, "MiB only: nobody could have felt the fault")
	if used := e.Readings["used_bytes"]; e.Readings["limit_bytes"] != 192<<20 || e.Readings["limit_before_bytes"] != 512<<20 || used < 1<<20 || used > 150<<20 {
		t.Errorf("readings: %v", e.Readings)
	}
	// Not by Host, whose loads are known to take memory.
	h, err := w.hosts.enter(soon(t), id, agent.MemoryJob, agent.MemoryConfig{Size: 256 << 20, Limit: 192 << 20, Victim: agent.VictimService})
	must(t, err)
	_, _ = h.Call(soon(t), agent.Inject) // it may end before it answers
	eventually(t, "the engine tells that memory ran out", func() bool { return w.status(of).OOMKills > 0 })
	eventually(t, "its policy starts it", func() bool { st := w.status(of); return st.Ready && st.Restarts == 1 })
	w.awaitEvents("web-1", target.Started, target.Ready, target.Exited, target.Started, target.Ready)
	if e := w.of("web-1")[2]; !e.OOM || !e.Expected {
		t.Errorf("got %+v", e)
	}
	proven(t, "proven", f.Check, "web-1 may use 192MiB instead of 512MiB, and the kernel has killed for it; it was killed for memory meanwhile and runs again")
	_ = h.Close(soon(t))
	proven(t, "proven", f.Revert, "web-1 may use 512MiB again")
	if now := p.resourcesOf(id); now != was {
		t.Errorf("it was %+v and is %+v", was, now)
	}
	k, _ := fault.Find("memory.limit")
	must(t, k.Revert(soon(t), Attach(of.Ref, helpers()), undos[0].Data, undos[0].Target))
}

// Less memory than a service cannot do without is refused by the kernel (with cgroup v1), or kills it: what happens is told, and the limit is given back.
func TestALimitBelowWhatIsUsed(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published, limited(512<<20, 0), variable("HOLDS=128"))
	w := p.world("web")
	of := w.one("web")
	was := p.resourcesOf(id)
	f := w.limit("memory.limit", "size", "64MiB")
	_, err := f.Prepare(soon(t))
	must(t, err)
	if _, err := f.Inject(soon(t)); err != nil {
		t.Log(err)
		wantError(t, err, "lower the memory limit of web-1: ")
		if st := w.status(of); !st.Running || st.OOMKills > 0 {
			t.Errorf("it was refused, but the service is %+v", st)
		}
	} else {
		eventually(t, "it is killed", func() bool { return w.status(of).OOMKills > 0 })
		proven(t, "proven", f.Check, "the kernel has killed for it")
	}
	proven(t, "proven", f.Revert)
	if now := p.resourcesOf(id); now != was {
		t.Errorf("it was %+v and is %+v", was, now)
	}
}

// A file system in memory that is larger than what the container has left is refused. If memory runs out all the same, whoever fills is killed for it and nobody else.
func TestAFullDiskTakesMemory(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, limited(96<<20, 0), tmpfs("/data", "size=128m,mode=1777"))
	w := p.world("web")
	of := w.one("web")
	before := w.status(of)
	_, err := w.fault("disk.fill", map[string]string{"path": "/data"}).Prepare(soon(t))
	wantError(t, err, "web-1: the file system at /data is memory, of which the instance has ", "and 128MiB of it are to be taken")
	f := w.fault("disk.fill", map[string]string{"path": "/data", "size": "48MiB"})
	_, err = f.Prepare(soon(t))
	must(t, err)
	proven(t, "proven", f.Inject, "with 48MiB taken")
	h, err := w.Host(soon(t), of, agent.DiskFillJob, agent.DiskFillConfig{Path: "/data", Size: 64 << 20})
	must(t, err)
	_, _ = h.Call(soon(t), agent.Inject) // it may end before it answers
	eventually(t, "the engine tells that memory ran out", func() bool { return w.status(of).OOMKills > 0 })
	eventually(t, "a helper is killed", func() bool {
		_, one := h.Call(soon(t), agent.Status)
		e, err := f.Check(soon(t))
		return one != nil || err == nil && !e.Proven
	})
	if st := w.status(of); st.PID != before.PID || !st.Ready {
		t.Errorf("the service was %+v and is %+v", before, st)
	}
	_ = h.Close(soon(t))
	proven(t, "proven", f.Revert)
	w.wantWrites("/data", "ok")
}
