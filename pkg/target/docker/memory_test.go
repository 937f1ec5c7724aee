//go:build !race

package docker

import (
	"testing"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/target"
)

// The race detector's own memory would count against the container's limit.

// Memory beyond the container's limit makes the kernel kill, and the victim is who was to be it. (The load may not protect itself there; beside it a service that holds
// next to nothing would live on.)
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
