package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"syscall"
	"time"
)

// ErrUnanswered means that something was sent and nothing came back in time.
var ErrUnanswered = errors.New("no answer")

// Answer is what came of a round trip.
type Answer struct {
	Took   time.Duration
	Path   string // that was asked for; empty of a handshake
	Status int    // 0 without an answer, and of a handshake
}

// RoundTrip measures one on a fresh connection, from an address of this machine. To be connected, and then to be answered, may each take within; what does not come by then is
// ErrUnanswered.
//
// Of a URL of http it is a GET: from when it is connected until the whole answer is there, or how long it took to fail. Any status is an answer. Of tcp://host:port it is the
// handshake alone, after which a reset that comes at once is an error as well.
func RoundTrip(ctx context.Context, from net.Addr, to string, within time.Duration) (Answer, error) {
	u, err := url.Parse(to)
	if err != nil {
		return Answer{}, err
	}
	conn, took, err := shakeHands(ctx, from, u.Host, within)
	if err != nil {
		return Answer{Took: took, Path: u.Path}, err
	}
	defer conn.Close()
	if u.Scheme == "tcp" {
		return Answer{Took: took}, lasts(ctx, conn, min(took+resetWithin, within))
	}
	began := time.Now()
	answering, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	resp, err := fetch(answering, func(context.Context, string, string) (net.Conn, error) { return conn, nil }, to)
	a := Answer{Took: time.Since(began), Path: u.Path}
	if err == nil {
		a.Status = resp.StatusCode
	}
	return a, unanswered(ctx, answering, within, err)
}

// shakeHands connects, and answers how long that took, or how long it took to fail.
func shakeHands(ctx context.Context, from net.Addr, to string, within time.Duration) (net.Conn, time.Duration, error) {
	connecting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	began := time.Now()
	conn, err := (&net.Dialer{LocalAddr: from}).DialContext(connecting, "tcp", to)
	return conn, time.Since(began), unanswered(ctx, connecting, within, err)
}

// resetWithin is how much longer than the handshake a reset of the connection may take to come.
const resetWithin = 100 * time.Millisecond

// lasts is an error if a connection is reset within a time: what resets whoever sends lets the first packet pass, so the caller is connected, and it is the handshake's last
// packet that is answered with a reset. Whatever else the callee does, or that it does nothing, is its own affair.
func lasts(ctx context.Context, conn net.Conn, within time.Duration) error {
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })() // it fails only if it is closed
	_, err := conn.Read(make([]byte, 1))
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, syscall.ECONNRESET):
		return err
	}
	return nil
}

// unanswered is an error by which the end of a limit can be told from the end of what it is part of.
func unanswered(whole, limit context.Context, within time.Duration, err error) error {
	if err == nil {
		return nil
	}
	if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
		<-limit.Done() // connections can be told of a deadline a moment before its context is
	}
	switch {
	case whole.Err() != nil:
		return context.Cause(whole)
	case limit.Err() != nil:
		return fmt.Errorf("%w within %v", ErrUnanswered, within)
	}
	return err
}
