package target

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// A connection that has met its deadline says so at times before the context does: it is silence all the same, and no error of the peer.
func TestADeadlineThatIsMetBeforeItsContext(t *testing.T) {
	early := &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	soon := 20 * time.Millisecond
	for name, c := range map[string]struct {
		whole, within time.Duration
		err, want     error
	}{
		"the limit's":          {time.Minute, soon, early, ErrUnanswered},
		"the whole's":          {soon, time.Minute, early, context.DeadlineExceeded},
		"an error of the peer": {time.Minute, time.Minute, refused, syscall.ECONNREFUSED},
	} {
		whole, cancel := context.WithTimeout(t.Context(), c.whole)
		defer cancel()
		limit, cancel := context.WithTimeout(whole, c.within)
		defer cancel()
		if err := unanswered(whole, limit, c.within, c.err); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// Of a port that does not speak HTTP a round trip is the handshake: it counts whatever the callee does then, but for a reset, and that nobody listens, or answers, is told apart.
func TestARoundTripOfTCP(t *testing.T) {
	for name, c := range map[string]struct {
		accepted func(*net.TCPConn)
		want     error
	}{
		"silent":   {func(*net.TCPConn) {}, nil},
		"greets":   {func(c *net.TCPConn) { _, _ = c.Write([]byte("hello")) }, nil},
		"hangs up": {func(c *net.TCPConn) { _ = c.Close() }, nil},
		"resets":   {func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() }, syscall.ECONNRESET},
	} {
		began := time.Now()
		a, err := RoundTrip(t.Context(), nil, "tcp://"+serving(t, c.accepted), time.Second)
		if !errors.Is(err, c.want) || a.Took <= 0 || a.Status != 0 {
			t.Errorf("%s: got %+v, %v, want %v", name, a, err, c.want)
		}
		if all := time.Since(began); name == "silent" && all < a.Took+resetWithin {
			t.Errorf("a handshake of %v was watched until %v", a.Took, all)
		}
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	if _, err := RoundTrip(t.Context(), nil, "tcp://"+closed.Addr().String(), time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: got %v", err)
	}
	if a, err := RoundTrip(t.Context(), nil, "tcp://"+unanswering(t), 50*time.Millisecond); !errors.Is(err, ErrUnanswered) || a.Took < 50*time.Millisecond {
		t.Errorf("nobody answers: got %+v, %v", a, err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errors.New("stopped"))
	defer cancel()
	if _, err := RoundTrip(ctx, nil, "tcp://"+serving(t, func(*net.TCPConn) {}), time.Minute); err == nil || err.Error() != "stopped" {
		t.Errorf("stopped meanwhile: got %v", err)
	}
}

// serving listens, does something with each connection, and keeps it until the end of the test.
func serving(t *testing.T, accepted func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			accepted(conn.(*net.TCPConn))
		}
	}()
	return l.Addr().String()
}

// unanswering is an address whose queue of connections is full, so that the kernel answers no more of them.
func unanswering(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	at := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := errors.Join(syscall.Bind(fd, at), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	to := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*syscall.SockaddrInet4).Port}).String()
	for {
		conn, err := net.DialTimeout("tcp", to, 50*time.Millisecond)
		if err != nil {
			return to
		}
		t.Cleanup(func() { conn.Close() })
	}
}
