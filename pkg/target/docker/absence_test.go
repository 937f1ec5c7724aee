package docker

import (
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/spec"
)

// between is a socket in front of this machine's engine.
type between struct {
	t      *testing.T
	path   string
	engine Endpoint

	mu    sync.Mutex
	in    net.Listener
	conns []net.Conn
}

func (b *between) listen() {
	b.t.Helper()
	in, err := net.Listen("unix", b.path)
	must(b.t, err)
	b.mu.Lock()
	b.in = in
	b.mu.Unlock()
	go func() {
		for {
			c, err := in.Accept()
			if err != nil {
				return
			}
			go b.forward(c)
		}
	}()
}

func (b *between) forward(c net.Conn) {
	scheme, address, _ := strings.Cut(b.engine.Host, "://")
	to, err := net.Dial(scheme, address)
	if err != nil {
		_ = c.Close()
		return
	}
	b.mu.Lock()
	b.conns = append(b.conns, c, to)
	b.mu.Unlock()
	go func() { _, _ = io.Copy(to, c); _ = to.Close() }()
	_, _ = io.Copy(c, to)
	_ = c.Close()
}

// cut ends all connections.
func (b *between) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		_ = c.Close()
	}
	b.conns = nil
}

// deaf lets no more in.
func (b *between) deaf() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.in.Close()
}

func (w *world) losses() (details []string) {
	for _, e := range w.of("") {
		details = append(details, e.Detail)
	}
	return details
}

// Connections that end are made anew, and nothing is lost by that. An engine that nobody reaches is: that is told, once, and what is asked of it waits until it is back.
func TestAnEngineThatGoesAway(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, restarts(container.RestartPolicyOnFailure))
	b := &between{t: t, path: t.TempDir() + "/engine.sock", engine: endpoint(t)}
	b.listen()
	t.Cleanup(b.deaf)
	o := options(p.name, map[string]spec.Service{"web": service()})
	o.LogDir, o.Endpoint = t.TempDir(), Endpoint{Host: "unix://" + b.path}
	w := p.worldOf(o)
	of := w.one("web")
	must(t, w.Pause(soon(t), of)) // something that the engine tells
	must(t, w.Resume(soon(t), of))
	for range 2 {
		b.cut()
		_, _ = w.get("web", "/exit?code=7")
		eventually(t, "its end was heard, and its start", func() bool { st := w.status(of); return st.Ready && len(w.said("web-1"))%3 == 2 })
	}
	if got := w.losses(); len(got) > 0 {
		t.Errorf("taken for lost: %q", got)
	}
	b.deaf()
	b.cut()
	eventually(t, "it is told", func() bool { return len(w.losses()) > 0 })
	asked := make(chan error, 1)
	go func() {
		_, err := w.Inspect(soon(t), of)
		asked <- err
	}()
	b.listen()
	must(t, <-asked)
	if got := w.losses(); len(got) != 1 || !strings.Contains(got[0], "the Docker engine at unix://"+b.path+" went away: ") {
		t.Errorf("told: %q", got)
	}
}

// An engine that does not know what it has told was started anew; one that knows it was not.
func TestAnEngineThatHasForgotten(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published)
	w := p.world("web")
	x := watcher{env: w.Environment, ctx: t.Context(), since: w.since}
	must(t, w.Pause(soon(t), w.one("web")))
	must(t, w.Resume(soon(t), w.one("web")))
	for range 2 {
		if !x.catchUp(soon(t)) || !x.witness || len(w.losses()) > 0 {
			t.Fatalf("it was heard: %v, told: %q", x.witness, w.losses())
		}
	}
	x.since = x.since.Add(-time.Nanosecond)
	if !x.catchUp(soon(t)) {
		t.Fatal("it is not heard")
	}
	eventually(t, "it is told", func() bool {
		return slices.Contains(w.losses(), "the Docker engine at "+w.opts.Endpoint.Host+" went away: it was started anew")
	})
}
