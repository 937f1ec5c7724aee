package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

// ErrUnanswered means that something was sent and nothing came back in time.
var ErrUnanswered = errors.New("no answer")

// Answer is what came of a round trip.
type Answer struct {
	Took   time.Duration
	Path   string // that was asked for
	Status int    // 0 without an answer
}

// RoundTrip measures a GET on a fresh connection, from an address of this machine: from when it is connected until the whole answer is there, or how long it took to fail. Any
// status is an answer. To be connected, and then to be answered, may each take within; what does not come by then is ErrUnanswered.
func RoundTrip(ctx context.Context, from net.Addr, to string, within time.Duration) (Answer, error) {
	u, err := url.Parse(to)
	if err != nil {
		return Answer{}, err
	}
	began := time.Now()
	connecting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	conn, err := (&net.Dialer{LocalAddr: from}).DialContext(connecting, "tcp", u.Host)
	if err != nil {
		return Answer{Took: time.Since(began), Path: u.Path}, unanswered(ctx, connecting, within, err)
	}
	defer conn.Close()
	began = time.Now()
	answering, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	resp, err := fetch(answering, func(context.Context, string, string) (net.Conn, error) { return conn, nil }, to)
	a := Answer{Took: time.Since(began), Path: u.Path}
	if err == nil {
		a.Status = resp.StatusCode
	}
	return a, unanswered(ctx, answering, within, err)
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
