package intercept

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// linger is how long a caller may take to see that its connection has ended when the fault does: what is on its way to it must arrive before the way is gone.
const linger = 250 * time.Millisecond

// carried is a connection of a caller, as a server of HTTP sees it, with the one to the callee that belongs to it, which is made when there is something to pass on. Both end
// together.
type carried struct {
	net.Conn // the caller's
	p        *Proxy
	ours     bool
	near     *net.TCPConn    // the caller's as well
	from     *bufio.Reader   // what it has said first was looked at
	to       string          // the callee's address
	way      *http.Transport // over far
	answer   http.Header     // of the request that is under way
	ctx      context.Context // ends when the end begins
	cancel   context.CancelFunc
	ended    chan struct{}

	mu     sync.Mutex
	far    *net.TCPConn // nil until something is passed on
	ending bool
	rests  bool // no request is under way
	lone   bool // the callee has ended far
	apart  bool // the callee knows nothing of the last request
	sent   bool // of the request that is under way the callee may know
	whole  bool // all of it goes there
	over   bool // the caller has said all it had to
}

type carriedKey struct{}

func of(ctx context.Context) *carried { return ctx.Value(carriedKey{}).(*carried) }

func newCarried(p *Proxy, near *net.TCPConn, to string) *carried {
	c := &carried{Conn: near, p: p, ours: p.ours(near.RemoteAddr()), near: near, to: to, ended: make(chan struct{}), rests: true}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.from = bufio.NewReader(near)
	c.way = &http.Transport{DialContext: c.dial, DisableCompression: true, ExpectContinueTimeout: expectLimit}
	return c
}

// became is told what the server does with the connection.
func (c *carried) became(s http.ConnState) {
	c.mu.Lock()
	c.rests = s == http.StateNew || s == http.StateIdle
	ends := c.useless()
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
	switch {
	case err == nil || errors.Is(err, os.ErrDeadlineExceeded): // the server of HTTP has it look away
	case errors.Is(err, io.EOF):
		c.says(func() { c.over = true })
	default:
		c.reset()
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
	c.cancel()
	if far != nil {
		_ = far.Close() // it fails only if it is closed; what is on top of it sees that
	}
	near()
}

// pass carries bytes as they are, until both ends have said all they had to.
func (c *carried) pass() {
	far, err := c.connect()
	if err != nil {
		c.reset()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { c.copy(far, c) })
	both.Go(func() { c.copy(c, far) })
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
