package docker

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/spec"
)

// refusing is a way to this machine's engine on which requests are refused as by one that is too busy, as long as refuse says so.
func refusing(t *testing.T, refuse func(*http.Request) bool) Endpoint {
	t.Helper()
	proxy := proxyTo(t, endpoint(t))
	return onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse(r) {
			http.Error(w, `{"message":"the engine is busy"}`, http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
}

// A limit that the engine did not tell is not the same as none: the load would be made the victim instead of the service, which would be another fault than was asked for.
func TestALimitThatCannotBeReadIsNotNone(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published, limited(128<<20, 5e8))
	var busy atomic.Bool // for the next look at the container
	o := options(p.name, map[string]spec.Service{"web": service()})
	o.LogDir, o.Endpoint = t.TempDir(), refusing(t, func(r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/containers/"+id+"/json") && busy.CompareAndSwap(true, false)
	})
	w := p.worldOf(o)
	for kind, with := range map[string]map[string]string{"memory.stress": {"size": "256MiB", "victim": "service"}, "cpu.stress": {"workers": "1"}} {
		f := w.fault(kind, with)
		busy.Store(true)
		_, err := f.Prepare(soon(t))
		wantError(t, err, "web-1: inspect web-1: ", "the engine is busy")
		proven(t, "proven", f.Revert, "nothing was done")
	}
}

// Where the kernel kills nobody a load that met the limit would stand still with the service, and could not be taken back.
func TestMemoryIsNotFilledWhereNobodyIsKilled(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	yes := true
	id := p.add("web", 1, published, limited(128<<20, 0), func(_ *container.Config, h *container.HostConfig) { h.OomKillDisable = &yes })
	info, err := p.engine.ContainerInspect(soon(t), id)
	must(t, err)
	if kept := info.HostConfig.OomKillDisable; kept == nil || !*kept {
		t.Skip("this engine's kernel always kills")
	}
	w := p.world("web")
	f := w.fault("memory.stress", map[string]string{"size": "256MiB"})
	_, err = f.Prepare(soon(t))
	wantError(t, err, "web-1: the kernel kills nobody for memory there (oom_kill_disable)", "take oom_kill_disable out of the Compose file")
	if n := p.atWork(id); n != 0 {
		t.Errorf("%d helpers at work", n)
	}
	proven(t, "proven", f.Revert, "nothing was done")
}

// Whom the kernel kills is decided by whether there is a limit. One that somebody gives the container after that makes it another fault than was armed.
func TestALimitThatCameAfterArming(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published)
	w := p.world("web")
	f := w.fault("memory.stress", map[string]string{"size": "32MiB", "victim": "service"})
	_, err := f.Prepare(soon(t))
	must(t, err)
	_, err = p.engine.ContainerUpdate(soon(t), id, container.UpdateConfig{Resources: container.Resources{Memory: 256 << 20, MemorySwap: 256 << 20}})
	must(t, err)
	_, err = f.Inject(soon(t))
	wantError(t, err, "web-1: it had no memory limit when the fault was armed and has a memory limit of 256MiB now")
	proven(t, "proven", f.Revert, "nothing was done")
}

// A limit that a fault has lowered since is the one that the load meets, and that is told.
func TestALimitThatWasLoweredAfterArming(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, limited(512<<20, 0))
	w := p.world("web")
	lower, load := w.limit("memory.limit", "size", "256MiB"), w.fault("memory.stress", map[string]string{"size": "32MiB"})
	for _, f := range []fault.Fault{lower, load} {
		_, err := f.Prepare(soon(t))
		must(t, err)
	}
	proven(t, "proven", lower.Inject)
	proven(t, "proven", load.Inject, "MiB of the 32MiB asked for are resident (in the container's own cgroup, limit 256MiB)")
	proven(t, "proven", load.Revert)
	proven(t, "proven", lower.Revert)
}
