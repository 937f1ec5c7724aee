package docker

import (
	"context"
	"net/netip"
	"syscall"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/target"
)

// freed is how long it may take until a link is free on which a helper stands still: that is noticed after six seconds and a question's time, and a busy engine takes its time to remove it.
const freed = 30 * time.Second

// A helper on a link that is stopped, by whomever, holds up all that it is to decide on. It is removed, so that the link is as before; the fault is not proven, and says why.
func TestAHelperThatStandsStillIsRemoved(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	stopped := func(p pair, id string) error {
		info, err := p.project.engine.ContainerInspect(soon(p.project.t), id)
		must(p.project.t, err)
		return syscall.Kill(info.State.Pid, syscall.SIGSTOP)
	}
	paused := func(p pair, id string) error { return p.project.engine.ContainerPause(soon(p.project.t), id) }
	for _, c := range []struct {
		kind, how string
		stop      func(p pair, id string) error
	}{
		{"network.latency", "stopped", stopped},
		{"network.latency", "paused", paused},
		{"http.delay", "stopped", stopped},
	} {
		t.Run(c.kind+" "+c.how, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			back := p.addresses(p.back)[0]
			f := p.slow(c.kind)
			_, err := f.Prepare(soon(t))
			must(t, err)
			proven(t, "proven", f.Inject)
			helpers, err := helpersOn(soon(t), p.project.engine, p.id, webToBack)
			if err != nil || len(helpers) != 1 {
				t.Fatalf("%d helpers, %v", len(helpers), err)
			}
			must(t, c.stop(p, helpers[0].ID))
			if _, failed := p.asks("web", back); failed == "" {
				t.Error("a call was answered though nobody decides on it")
			}
			p.frees(back, helpers[0].ID)
			_, err = f.Check(soon(t))
			wantError(t, err, "the helper at the callee", "the helper has ended: it had given no answer for 6s, like one that is stopped, and was removed")
			proven(t, "proven", f.Revert)
		})
	}
}

// slow is a fault that makes the calls of the web take longer.
func (p pair) slow(kind string) fault.Fault {
	p.project.t.Helper()
	k, _ := fault.Find(kind)
	params, problems := k.CheckParams(map[string]string{"delay": "200ms"})
	if len(problems) > 0 {
		p.project.t.Fatal(problems)
	}
	f, err := k.New(fault.Request{ID: "slow", Runtime: p.Environment, Targets: []target.Target{p.one("web")}, To: "back", Params: params})
	must(p.project.t, err)
	return f
}

// frees sees that calls are answered as before a helper was on the link, and that it is gone.
func (p pair) frees(back netip.Addr, helper string) {
	t := p.project.t
	t.Helper()
	soon, cancel := context.WithTimeout(t.Context(), freed)
	defer cancel()
	must(t, poll(soon, func() (bool, error) {
		took, failed := p.asks("web", back)
		return failed == "" && took < 200*time.Millisecond, nil
	}))
	must(t, poll(soon, func() (bool, error) {
		_, err := p.project.engine.ContainerInspect(soon, helper)
		return cerrdefs.IsNotFound(err), nil
	}))
}
