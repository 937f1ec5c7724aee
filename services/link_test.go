package services_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// fault is what a link does to each chunk that passes, in both directions; the zero fault passes it on.
type fault struct {
	delay, jitter  time.Duration
	blackhole      bool
	bytesPerSecond int
	reset          bool
}

// link is a TCP proxy in front of a service. Its fault applies to connections that exist already as well.
type link struct {
	listener net.Listener
	upstream string
	fault    atomic.Pointer[fault]
	done     chan struct{}
	conns    sync.WaitGroup
}

func newLink(upstream string) (*link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &link{listener: listener, upstream: upstream, done: make(chan struct{})}
	l.fault.Store(&fault{})
	l.conns.Go(l.accept)
	return l, nil
}

func (l *link) addr() string { return l.listener.Addr().String() }

func (l *link) close() error {
	close(l.done)
	err := l.listener.Close()
	l.conns.Wait()
	return err
}

func (l *link) accept() {
	for {
		down, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.conns.Go(func() { l.join(down.(*net.TCPConn)) })
	}
}

func (l *link) join(down *net.TCPConn) {
	defer down.Close()
	conn, err := net.Dial("tcp", l.upstream)
	if err != nil {
		down.SetLinger(0)
		return
	}
	up := conn.(*net.TCPConn)
	defer up.Close()
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]*net.TCPConn{{up, down}, {down, up}} {
		l.conns.Go(func() { l.pass(pair[0], pair[1]); ended <- struct{}{} })
	}
	select {
	case <-ended: // either side's end is the connection's end: nothing here half-closes
	case <-l.done:
	}
}

var errReset = errors.New("reset by the fault")

func (l *link) pass(to, from *net.TCPConn) {
	chunk := make([]byte, 4096)
	for {
		n, err := from.Read(chunk)
		if n > 0 {
			err = errors.Join(err, l.suffer(n))
		}
		if errors.Is(err, errReset) {
			to.SetLinger(0)
			from.SetLinger(0)
		}
		if err == nil {
			_, err = to.Write(chunk[:n])
		}
		if err != nil {
			return
		}
	}
}

// suffer applies the fault of the moment to a chunk of n bytes.
func (l *link) suffer(n int) error {
	f := l.fault.Load()
	if f.reset {
		return errReset
	}
	wait := f.delay
	if f.jitter > 0 {
		wait += rand.N(2*f.jitter) - f.jitter
	}
	if f.bytesPerSecond > 0 {
		wait += time.Duration(n) * time.Second / time.Duration(f.bytesPerSecond)
	}
	for f.blackhole && l.fault.Load() == f {
		wait = 0
		if err := l.sleep(5 * time.Millisecond); err != nil {
			return err
		}
	}
	return l.sleep(wait)
}

func (l *link) sleep(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-l.done:
		return io.ErrClosedPipe
	}
}
