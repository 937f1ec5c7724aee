package docker

import (
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/target"
)

// resources makes a container with these limits.
func resources(r container.Resources) change {
	return func(_ *container.Config, h *container.HostConfig) { h.Resources = r }
}

// resourcesOf is what the engine says of a container's limits.
func (p *project) resourcesOf(id string) exactLimit {
	p.t.Helper()
	info, err := p.engine.ContainerInspect(soon(p.t), id)
	must(p.t, err)
	return exactOf(info.HostConfig.Resources)
}

// Each way in which a container can have a limit: it is lowered in that way, keeps that over a restart, and has exactly what it had again afterwards, be it given back by
// the runner or by a fresh process, once or twice.
func TestALimitIsGivenBack(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	const mib = 1 << 20
	for name, c := range map[string]struct {
		has     container.Resources
		what    target.Resource
		amount  float64
		lowered exactLimit
		again   exactLimit // what the engine shows afterwards
		manual  string
	}{
		// A quota of -1 is to an engine and to the kernel what none is; 0 would be left alone.
		"no limit on CPU": {container.Resources{}, target.CPU, 0.5, exactLimit{CPUQuota: 50_000}, exactLimit{CPUQuota: -1}, " update --cpu-quota -1 "},
		"cpus": {
			container.Resources{NanoCPUs: 15e8}, target.CPU, 0.25, exactLimit{NanoCPUs: 25e7}, exactLimit{NanoCPUs: 15e8}, " update --cpus 1.5 ",
		},
		"a quota": {
			container.Resources{CPUQuota: 150_000}, target.CPU, 0.5, exactLimit{CPUQuota: 50_000}, exactLimit{CPUQuota: 150_000}, " update --cpu-quota 150000 ",
		},
		"a quota with a period of its own": {
			container.Resources{CPUQuota: 75_000, CPUPeriod: 50_000}, target.CPU, 0.5, exactLimit{CPUQuota: 25_000, CPUPeriod: 50_000},
			exactLimit{CPUQuota: 75_000, CPUPeriod: 50_000}, " update --cpu-period 50000 --cpu-quota 75000 ",
		},
		"memory, and as much swap": {
			container.Resources{Memory: 512 * mib}, target.Memory, 256 * mib, exactLimit{Memory: 256 * mib, MemorySwap: 256 * mib},
			exactLimit{Memory: 512 * mib, MemorySwap: 1024 * mib}, " update --memory 536870912 --memory-swap 1073741824 ",
		},
		"memory, and no swap": {
			container.Resources{Memory: 512 * mib, MemorySwap: 512 * mib}, target.Memory, 256 * mib, exactLimit{Memory: 256 * mib, MemorySwap: 256 * mib},
			exactLimit{Memory: 512 * mib, MemorySwap: 512 * mib}, " update --memory 536870912 --memory-swap 536870912 ",
		},
		"memory, and any swap": {
			container.Resources{Memory: 512 * mib, MemorySwap: -1}, target.Memory, 256 * mib, exactLimit{Memory: 256 * mib, MemorySwap: -1},
			exactLimit{Memory: 512 * mib, MemorySwap: -1}, " update --memory 536870912 --memory-swap -1 ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			id := p.add("web", 1, published, resources(c.has))
			w := p.world("web")
			of := w.one("web")
			was, err := w.Limit(soon(t), of, c.what)
			must(t, err)
			if was.Amount <= c.amount || was.Least > c.amount || was.Lowered || !strings.Contains(was.Manual, c.manual+id[:12]) {
				t.Errorf("its limit is %+v", was)
			}
			before := p.resourcesOf(id)
			fresh := Attach(of.Ref, helpers()).(target.LimitRestorer)
			for _, restorer := range []target.LimitRestorer{w, fresh} {
				must(t, restorer.RestoreLimit(soon(t), of, was)) // it was never lowered
				if got := p.resourcesOf(id); got != c.again {
					t.Errorf("untouched it was %+v and is %+v, want %+v", before, got, c.again)
				}
				must(t, w.LowerLimit(soon(t), of, was, c.amount))
				p.restart(w, of)
				if got := p.resourcesOf(id); got != c.lowered {
					t.Errorf("lowered it is %+v, want %+v", got, c.lowered)
				}
				if now, err := w.Limit(soon(t), of, c.what); err != nil || now.Amount != c.amount || !now.Lowered {
					t.Errorf("lowered its limit is %+v, %v", now, err)
				}
				for range 2 {
					must(t, restorer.RestoreLimit(soon(t), of, was))
					if got := p.resourcesOf(id); got != c.again {
						t.Errorf("it was %+v and is %+v, want %+v", before, got, c.again)
					}
				}
			}
		})
	}
}

// restart ends the container as its restart policy would, and starts it.
func (p *project) restart(w *world, of target.Target) {
	p.t.Helper()
	must(p.t, w.Stop(soon(p.t), of, time.Second))
	must(p.t, w.Start(soon(p.t), of))
}

// What an engine could not return to is not lowered.
func TestLimitsThatCannotBeGivenBack(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published)
	w := p.world("web")
	of := w.one("web")
	_, err := w.Limit(soon(t), of, target.Memory)
	wantError(t, err, "it has no memory limit, and an engine cannot return to none", "`mem_limit: 512m`")
	_, err = p.engine.ContainerUpdate(soon(t), id, container.UpdateConfig{Resources: container.Resources{NanoCPUs: 1e9}})
	must(t, err)
	_, err = p.engine.ContainerUpdate(soon(t), id, container.UpdateConfig{Resources: container.Resources{CPUQuota: -1}})
	must(t, err)
	_, err = w.Limit(soon(t), of, target.CPU)
	wantError(t, err, "it has its CPU limit in two ways at once")
}
