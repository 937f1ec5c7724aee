package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"

	"chaosgate/pkg/intercept"
	"chaosgate/pkg/target"
)

// settleTime is how long a change may wait for data in flight. Toxiproxy can change a connection only between two pieces of data, and a peer that does not read
// holds it up without end; then the connections are reset, so that the change is made and no data is lost unnoticed.
const settleTime = 2 * time.Second

// link is the path of connections from one service to another: a listener whose connections pass through Toxiproxy's chain of toxics.
//
// Accepting is done here and not by toxiproxy.Proxy, because that one dials one connection after the other, cannot close or count connections, and
// leaves goroutines behind when the receiver closes first. Resets are done here as well: on the sockets.
type link struct {
	target.Link
	listener net.Listener
	upstream func() string // host:port of the callee; it may change before the callee is ready

	server *toxiproxy.ApiServer
	proxy  *toxiproxy.Proxy // holds the chain; it never listens

	ctx    context.Context // ends with the link
	cancel context.CancelFunc
	conns  sync.WaitGroup // one for the listener, one a connection

	changing sync.Mutex // one change at a time

	lowest atomic.Pointer[limit] // of limits

	mu     sync.Mutex
	faults map[string]target.LinkFault
	limits map[string]*limit // of those that have one
	web    *intercept.Proxy  // of a fault on HTTP requests; nil without one
	open   map[*conn]struct{}
	next   int
	stats  target.LinkStats
}

// quiet silences Toxiproxy's logger, which is the program's only use of zerolog.
var quiet = sync.OnceFunc(func() { zerolog.SetGlobalLevel(zerolog.Disabled) })

// newLink listens on a free port.
func newLink(l target.Link, upstream func() string) (*link, error) {
	quiet()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the link %s -> %s: %w", l.From, l.To, err)
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	ctx, cancel := context.WithCancel(context.Background())
	lk := &link{
		Link: l, listener: listener, upstream: upstream, server: server, ctx: ctx, cancel: cancel,
		proxy:  toxiproxy.NewProxy(server, l.From+"-"+l.To, "", ""),
		faults: map[string]target.LinkFault{}, limits: map[string]*limit{}, open: map[*conn]struct{}{},
	}
	lk.conns.Go(lk.accept)
	return lk, nil
}

// address is the link's near end.
func (l *link) address() string { return l.listener.Addr().String() }

func (l *link) accept() {
	for {
		near, err := l.listener.Accept()
		if l.ctx.Err() != nil {
			if err == nil {
				_ = near.Close()
			}
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond) // out of file descriptors: it passes
			continue
		}
		l.conns.Go(func() { l.serve(near.(*net.TCPConn)) })
	}
}

// serve carries one connection to its end. A callee that refuses shows to the caller as a reset: at once, or under a fault on HTTP requests when one is passed on.
func (l *link) serve(near *net.TCPConn) {
	to, web := l.upstream(), l.intercepted()
	var far *net.TCPConn
	if web == nil {
		var d net.Dialer
		dialled, err := d.DialContext(l.ctx, "tcp", to)
		if err != nil {
			reset(near)
			return
		}
		far = dialled.(*net.TCPConn)
	}
	c := newConn(near, far, web)
	name, refused := l.add(c)
	if refused {
		c.reset()
		return
	}
	if web != nil {
		web.Carry(near, to)
	} else {
		l.proxy.Toxics.StartLink(l.server, name+"request", &half{Conn: near, peer: far, count: &c.in, queue: l.queue(c)}, &half{Conn: far, peer: near, ended: c.half}, stream.Upstream)
		l.proxy.Toxics.StartLink(l.server, name+"response", &half{Conn: far, peer: near, count: &c.out, queue: l.queue(c)}, &half{Conn: near, peer: far, ended: c.half}, stream.Downstream)
		c.wait()
	}
	l.remove(c)
}

func (l *link) queue(c *conn) queue {
	if c.ours {
		return queue{}
	}
	return queue{lowest: &l.lowest}
}

// intercepted answers what carries connections for a fault on HTTP requests; nil without one.
func (l *link) intercepted() *intercept.Proxy {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.web
}

// add makes a connection known, unless it must be reset at once, as it must if a fault on HTTP requests has begun or ended meanwhile.
func (l *link) add(c *conn) (name string, refused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.ours {
		l.stats.Connections++
	}
	if l.resetting() || l.ctx.Err() != nil || c.web != l.web {
		return "", true
	}
	l.next++
	l.open[c] = struct{}{}
	return fmt.Sprintf("%d/", l.next), false
}

func (l *link) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
	l.stats = c.addTo(l.stats)
}

func (l *link) resetting() bool {
	for _, f := range l.faults {
		if f.Reset {
			return true
		}
	}
	return false
}

// resetAll resets every open connection and answers them.
func (l *link) resetAll() []*conn {
	l.mu.Lock()
	conns := slices.Collect(maps.Keys(l.open))
	l.mu.Unlock()
	for _, c := range conns {
		c.reset()
	}
	return conns
}

// drain waits until reset connections are gone from the chain, at most settleTime: another fault may limit how fast the chain gives up what it holds.
func (l *link) drain(conns []*conn) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for _, c := range conns {
			c.wait()
		}
	}()
	select {
	case <-gone:
	case <-time.After(settleTime):
	}
}

// close ends the link and all its connections, and waits until nothing of it runs.
func (l *link) close() error {
	l.cancel()
	err := l.listener.Close()
	l.resetAll()
	if web := l.intercepted(); web != nil {
		err = errors.Join(err, web.Stop())
	}
	// Without faults the chain gives up at once what it holds, for connections that are gone.
	chain := l.proxy.Toxics.GetToxicArray()
	for _, t := range slices.Backward(chain) {
		if gone := l.proxy.Toxics.RemoveToxic(context.Background(), t.(*toxics.ToxicWrapper).Name); !errors.Is(gone, toxiproxy.ErrToxicNotFound) {
			err = errors.Join(err, gone)
		}
	}
	l.conns.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil // closed before
	}
	return err
}
