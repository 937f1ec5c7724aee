package docker

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// forwarder gives a place that changes an address that does not: connections to it are passed on to where the place is when they come. Who cannot be
// passed on is reset, as by a machine on which nobody listens any more.
type forwarder struct {
	listener net.Listener
	dial     func() (net.Conn, error)
	all      sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]struct{}
}

const forwardDial = 5 * time.Second

func forward(dial func() (net.Conn, error)) (*forwarder, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &forwarder{listener: l, dial: dial, open: map[net.Conn]struct{}{}}
	f.all.Go(f.accept)
	return f, nil
}

func (f *forwarder) address() string { return f.listener.Addr().String() }

func (f *forwarder) accept() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return // it is closed
		}
		f.all.Go(func() { f.pass(conn) })
	}
}

// keep makes a connection known, so that close ends it; false if that has come.
func (f *forwarder) keep(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.open[c] = struct{}{}
	}
	return !f.closed
}

func (f *forwarder) drop(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, c)
	_ = c.Close()
}

func (f *forwarder) pass(from net.Conn) {
	defer f.drop(from)
	if !f.keep(from) {
		return
	}
	to, err := f.dial()
	if err != nil {
		reset(from)
		return
	}
	defer f.drop(to)
	if !f.keep(to) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { join(to, from) })
	both.Go(func() { join(from, to) })
	both.Wait()
}

// join copies one direction and passes its end on: an orderly one as such, a broken one as a reset.
func join(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if err != nil {
		reset(to)
		reset(from)
		return
	}
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// close ends it and everything that passes.
func (f *forwarder) close() error {
	err := f.listener.Close()
	f.mu.Lock()
	f.closed = true
	for c := range f.open {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.all.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
