package intercept

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"time"
)

// written is how long a request may still be in the buffer of a transport that says it is written.
const written = 250 * time.Millisecond

var errGone = errors.New("the connection has ended, or its request was sent before")

// dial makes the connection to the callee for a request that is passed on: the first one, and the next one after the callee has ended the one that there was. A transport also
// lets go of one that it could use if the machine is so busy that it does not know in time. A request that the callee may know of is not sent again.
func (c *carried) dial(context.Context, string, string) (net.Conn, error) {
	c.mu.Lock()
	sent := c.sent
	c.mu.Unlock()
	if sent {
		return nil, errGone
	}
	far, err := c.connect()
	if err != nil {
		return nil, err
	}
	return &callee{Conn: far, of: c}, nil
}

// connect makes the connection to the callee, unless the caller's ends meanwhile. It sets no limit, as the kernel and the caller do.
func (c *carried) connect() (*net.TCPConn, error) {
	var d net.Dialer
	dialled, err := d.DialContext(c.ctx, "tcp", c.to)
	if err != nil {
		return nil, err
	}
	far := dialled.(*net.TCPConn)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return nil, errors.Join(errGone, far.Close())
	}
	c.far, c.lone = far, false
	return far, nil
}

// passing is told that a request will be passed on.
func (c *carried) passing() {
	c.mu.Lock()
	lone := c.lone
	c.apart, c.sent, c.whole = false, false, false
	c.mu.Unlock()
	if lone {
		c.way.CloseIdleConnections() // it may not know yet
	}
}

// answers is told that a request is answered without the callee.
func (c *carried) answers() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apart = true
}

// sends is told that a request goes to the callee.
func (c *carried) sends() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = true
}

// wrote is told that a request has gone to the callee, or why not.
func (c *carried) wrote(i httptrace.WroteRequestInfo) {
	if i.Err == nil {
		c.says(func() { c.whole = true })
	}
}

// says notes what was said, and passes on that this is all.
func (c *carried) says(what func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what()
	if c.over && c.whole {
		time.AfterFunc(written, c.saysNoMore)
	}
}

// saysNoMore ends what goes to the callee, which decides whether it answers nevertheless.
func (c *carried) saysNoMore() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over && c.whole { // no other request was under way behind it
		_ = c.far.CloseWrite() // it fails only if it is closed
	}
}

// callee is the other connection. If the callee ends it, that is the end of both, once no request is under way; but not if it knows nothing of the last one, as it has waited
// for less long without the fault.
type callee struct {
	net.Conn
	of *carried
}

func (f *callee) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		f.of.left(f.Conn)
	}
	return n, err
}

// left is told that the callee has ended a connection.
func (c *carried) left(far net.Conn) {
	c.mu.Lock()
	c.lone = c.lone || far == c.far
	ends := c.useless()
	c.mu.Unlock()
	if ends {
		_ = c.Close()
	}
}

// useless says whether the caller's connection has to end because the callee's has.
func (c *carried) useless() bool { return c.rests && c.lone && !c.apart }
