package process

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"chaosgate/pkg/intercept"
	"chaosgate/pkg/target"
)

// conn is one connection on a link: the caller's end is near, the callee's is far.
type conn struct {
	near, far *net.TCPConn // far is nil if web carries it
	in, out   atomic.Int64 // bytes from the caller, to the caller
	halves    sync.WaitGroup
	ours      bool             // a round trip of this program, which is no traffic
	web       *intercept.Proxy // what carries it instead of the chain, under a fault on HTTP requests
}

func newConn(near, far *net.TCPConn, web *intercept.Proxy) *conn {
	c := &conn{near: near, far: far, web: web, ours: isOurs(near.RemoteAddr())}
	c.halves.Add(2)
	return c
}

// isOurs says whether a caller is a round trip of this program.
func isOurs(caller net.Addr) bool {
	from, ok := caller.(*net.TCPAddr)
	return ok && from.IP.Equal(surveyor.IP)
}

// addTo adds what the connection has carried so far.
func (c *conn) addTo(s target.LinkStats) target.LinkStats {
	if !c.ours {
		s.BytesIn += c.in.Load()
		s.BytesOut += c.out.Load()
	}
	return s
}

// half ends one of the two directions.
func (c *conn) half() { c.halves.Done() }

// wait returns when both directions have ended.
func (c *conn) wait() { c.halves.Wait() }

// reset ends both ends at once; their peers see a reset and not an orderly end.
func (c *conn) reset() {
	reset(c.near)
	if c.far != nil {
		reset(c.far)
	}
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0) // fails only on a connection that is closed
	_ = c.Close()
}

// half is one end of a connection as Toxiproxy uses it in one direction: reading from it, or writing to it and closing it at the end.
//
// Toxiproxy stops taking data off its chain when a write fails, and whatever is in the chain then waits for ever. So writing here never fails: after the first
// error nothing more is read from the peer, the data's source, and what is still in the chain is dropped, as the receiver would have.
type half struct {
	net.Conn
	peer   *net.TCPConn
	count  *atomic.Int64 // of a read half
	queue  queue         // of a read half
	ended  func()        // of a write half
	broken bool
}

func (h *half) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.count.Add(int64(n))
	h.queue.pass(n, time.Now())
	return n, err
}

// limit is a fault's limit on the bandwidth of a link, and what it has held back. It is safe for concurrent use.
type limit struct {
	rate int64 // bytes per second
	held atomic.Int64
}

// queue counts what a limit holds back in one direction of a connection. It is used by one goroutine.
type queue struct {
	lowest *atomic.Pointer[limit] // of the link's limits, which is the one that is waited for; it points to nil while there is none. Nil on a round trip of this program
	free   time.Time              // when what has come before is through
}

// noticeable is how long something is held back at least, to count as that.
const noticeable = time.Millisecond

// pass counts a piece that is held back: it waits for those before it, and then takes its own time.
func (q *queue) pass(n int, now time.Time) {
	if q.lowest == nil || n == 0 {
		return
	}
	l := q.lowest.Load()
	if l == nil {
		return
	}
	if q.free.Before(now) {
		q.free = now
	}
	q.free = q.free.Add(time.Duration(float64(n) / float64(l.rate) * float64(time.Second)))
	if q.free.Sub(now) >= noticeable {
		l.held.Add(1)
	}
}

// The buffer of a direction: small as long as little comes at a time, as on the hundreds of connections that wait for their next request, and as large as io.Copy's
// once it was filled.
const (
	bufferFirst = 2 << 10
	bufferLast  = 32 << 10
)

// WriteTo implements io.WriterTo, which io.Copy prefers to a buffer of its own.
func (h *half) WriteTo(w io.Writer) (int64, error) { return pass(w.Write, h.Read) }

// ReadFrom implements io.ReaderFrom, likewise.
func (h *half) ReadFrom(r io.Reader) (int64, error) { return pass(h.Write, r.Read) }

// pass copies until the end of what is read.
func pass(write, read func([]byte) (int, error)) (total int64, err error) {
	buffer := make([]byte, bufferFirst)
	for {
		n, err := read(buffer)
		if n > 0 {
			wrote, failed := write(buffer[:n])
			total += int64(wrote)
			if failed != nil {
				return total, failed
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return total, nil
		case err != nil:
			return total, err
		case n == len(buffer) && n < bufferLast:
			buffer = make([]byte, 2*n)
		}
	}
}

func (h *half) Write(p []byte) (int, error) {
	if h.broken {
		return len(p), nil
	}
	if _, err := h.Conn.Write(p); err != nil {
		h.broken = true
		_ = h.peer.CloseRead() // fails only if it is closed
	}
	return len(p), nil
}

func (h *half) Close() error {
	err := h.Conn.Close()
	h.ended()
	return err
}
