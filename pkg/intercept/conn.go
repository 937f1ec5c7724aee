package intercept

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// linger is how long a caller may take to see that its connection has ended when the fault does: what is on its way to it must arrive before the way is gone.
const linger = 250 * time.Millisecond

// carried is a connection of a caller, as a server of HTTP sees it, with the one to the callee that belongs to it. Both end together.
type carried struct {
	net.Conn // the caller's
	p        *Proxy
	ours     bool
	near     *net.TCPConn    // the caller's as well
	from     *bufio.Reader   // what it has said first was looked at
	to       string          // the callee's address
	way      *http.Transport // over far
	answer   http.Header     // of the request that is under way
	ended    chan struct{}

	mu     sync.Mutex
	far    *net.TCPConn
	used   bool // far is, by way
	ending bool
	rests  bool // no request is under way
	lone   bool // the callee's connection has ended
}

type carriedKey struct{}

func of(ctx context.Context) *carried { return ctx.Value(carriedKey{}).(*carried) }

func newCarried(p *Proxy, near, far *net.TCPConn) *carried {
	c := &carried{Conn: near, p: p, ours: p.ours(near.RemoteAddr()), near: near, far: far, to: far.RemoteAddr().String(), ended: make(chan struct{}), rests: true}
	c.from = bufio.NewReader(near)
	c.way = &http.Transport{DialContext: c.dial, DisableCompression: true, ExpectContinueTimeout: expectLimit}
	return c
}

var errGone = errors.New("the callee has ended the connection")

// dial hands out the connection to the callee. A transport lets go of one that it could use if the machine is so busy that it does not know in time; then there is another.
func (c *carried) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending || c.lone {
		return nil, errGone
	}
	if c.used {
		var d net.Dialer
		far, err := d.DialContext(ctx, "tcp", c.to)
		if err != nil {
			return nil, err
		}
		c.far = far.(*net.TCPConn)
	}
	c.used = true
	return &callee{Conn: c.far, of: c}, nil
}

// callee is the other connection. If the callee ends it, that is the end of both, once no request is under way.
type callee struct {
	net.Conn
	of *carried
	ex atomic.Bool // the callee has ended it
}

func (f *callee) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if err != nil {
		f.ex.Store(true)
	}
	return n, err
}

func (f *callee) Close() error {
	ended := f.ex.Load()
	err := f.Conn.Close()
	if !ended {
		return err
	}
	f.of.mu.Lock()
	f.of.lone = true
	rests := f.of.rests
	f.of.mu.Unlock()
	if rests {
		_ = f.of.Close() // the caller has no other use for it
	}
	return err
}

// became is told what the server does with the connection.
func (c *carried) became(s http.ConnState) {
	c.mu.Lock()
	c.rests = s == http.StateNew || s == http.StateIdle
	ends := c.rests && c.lone
	c.mu.Unlock()
	if ends {
		_ = c.Close()
	}
}

func (c *carried) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	if !c.ours {
		c.p.in.Add(int64(n))
	}
	return n, err
}

func (c *carried) Write(b []byte) (int, error) {
	if !c.ours {
		c.p.out.Add(int64(len(b))) // before the caller can know of it
	}
	n, err := c.Conn.Write(b)
	if !c.ours {
		c.p.out.Add(int64(n - len(b)))
	}
	return n, err
}

// CloseWrite ends what goes to the caller; the server of HTTP looks for it.
func (c *carried) CloseWrite() error { return c.near.CloseWrite() }

// Close ends both connections in an orderly way. It does not wait.
func (c *carried) Close() error {
	c.finish(func() {
		if !c.p.over() {
			_ = c.near.Close() // it fails only if it is closed
			close(c.ended)
			return
		}
		go func() {
			defer close(c.ended)
			_ = c.near.CloseWrite()
			_ = c.near.SetReadDeadline(time.Now().Add(linger))
			_, _ = io.Copy(io.Discard, c.near)
			_ = c.near.Close()
		}()
	})
	return nil
}

// reset ends both connections at once; the caller sees a reset.
func (c *carried) reset() {
	c.finish(func() {
		_ = c.near.SetLinger(0) // it fails only if it is closed
		_ = c.near.Close()
		close(c.ended)
	})
}

// finish ends the connection to the callee, and then the caller's, once.
func (c *carried) finish(near func()) {
	c.mu.Lock()
	ending, far := c.ending, c.far
	c.ending = true
	c.mu.Unlock()
	if ending {
		return
	}
	_ = far.Close() // it fails only if it is closed; what is on top of it sees that
	near()
}

// pass carries bytes as they are, until both ends have said all they had to.
func (c *carried) pass() {
	var both sync.WaitGroup
	both.Go(func() { c.copy(c.far, c) })
	both.Go(func() { c.copy(c, c.far) })
	both.Wait()
	_ = c.Close()
}

// copy carries one direction.
func (c *carried) copy(to interface {
	io.Writer
	CloseWrite() error
}, from io.Reader) {
	_, err := io.Copy(to, from)
	if err == nil {
		err = to.CloseWrite()
	}
	if err != nil {
		c.reset()
	}
}

// longestMethod is more than any method has.
const longestMethod = 32

// speaksHTTP waits for the first bytes of a connection and says whether they are the beginning of a request of HTTP/1.x: a method and a space. HTTP/2 begins with one that is
// none. An error is that nothing has come.
func speaksHTTP(from *bufio.Reader) (bool, error) {
	for n := 1; n <= longestMethod; n++ {
		said, err := from.Peek(n)
		switch {
		case err != nil && len(said) == 0:
			return false, err
		case err != nil:
			return false, nil
		}
		switch last := said[n-1]; {
		case last == ' ':
			return n > 1 && string(said[:n-1]) != "PRI", nil
		case (last < 'A' || last > 'Z') && last != '-' && last != '_':
			return false, nil
		}
	}
	return false, nil
}

// handover is a listener of connections that are given to it.
type handover struct {
	given  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newHandover() *handover {
	return &handover{given: make(chan net.Conn), closed: make(chan struct{})}
}

// give answers false if nobody takes connections any more.
func (h *handover) give(c net.Conn) bool {
	select {
	case h.given <- c:
		return true
	case <-h.closed:
		return false
	}
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.given:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return &net.TCPAddr{} }
