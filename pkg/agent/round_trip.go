package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/impair"
	"chaosgate/pkg/target"
)

// RoundTripJob measures how long a request, or a handshake, takes from the helper's network namespace.
const RoundTripJob = "round-trip"

// RoundTripConfig says what is asked for, as target.RoundTrip takes it, and from which of the caller's ports.
type RoundTripConfig struct {
	URL   string       `json:"url"`
	Ports impair.Range `json:"ports"`
}

// RoundTripStatus is one request on a fresh connection, until the whole answer was there, or its handshake. Any status is an answer.
type RoundTripStatus struct {
	Took target.Duration `json:"took"`
	// Path was asked for, and Status is the answer's; 0 without one. A handshake has neither.
	Path   string `json:"path,omitempty"`
	Status int    `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
	Reset  bool   `json:"reset,omitempty"` // the error is that the connection was reset
	// Unanswered means that the error is a time limit: nothing came back.
	Unanswered bool `json:"unanswered,omitempty"`
}

type roundTrip struct {
	url  string
	from target.Ports
}

func newRoundTrip(config json.RawMessage) (job, error) {
	var c RoundTripConfig
	if err := decode(config, &c); err != nil {
		return nil, err
	}
	if c.Ports.Last == 0 || c.Ports.First > c.Ports.Last {
		return nil, fmt.Errorf("ports are %d to %d", c.Ports.First, c.Ports.Last)
	}
	return &roundTrip{url: c.URL, from: target.Ports{First: c.Ports.First, Last: c.Ports.Last}}, nil
}

func (j *roundTrip) inject(ctx context.Context) (any, error) { return j.status(ctx) }
func (j *roundTrip) revert(context.Context) error            { return nil }

// tripWithin is how long a trip may take whose caller sets no limit.
const tripWithin = 10 * time.Second

// status makes one round trip. Half of the time that its caller waits is for the connection, half for the answer.
func (j *roundTrip) status(ctx context.Context) (any, error) {
	within := tripWithin
	if by, ok := ctx.Deadline(); ok {
		within = time.Until(by) / 2
	}
	var s RoundTripStatus
	err := j.from.Try(func(port int) error {
		a, err := target.RoundTrip(ctx, &net.TCPAddr{Port: port}, j.url, within)
		s.Took, s.Path, s.Status = target.Duration(a.Took), a.Path, a.Status
		return err
	})
	if err != nil {
		s.Error = err.Error()
		s.Reset = errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
		s.Unanswered = errors.Is(err, target.ErrUnanswered) || errors.Is(err, context.DeadlineExceeded)
	}
	return s, nil
}
