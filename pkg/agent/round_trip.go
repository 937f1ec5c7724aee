package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/impair"
	"chaosgate/pkg/target"
)

// RoundTripJob measures how long a request takes from the helper's network namespace.
const RoundTripJob = "round-trip"

// RoundTripConfig says what is asked for, and from which of the caller's ports.
type RoundTripConfig struct {
	URL   string       `json:"url"`
	Ports impair.Range `json:"ports"`
}

// RoundTripStatus is one request on a fresh connection, until the whole answer was there. Any status is an answer.
type RoundTripStatus struct {
	Took  target.Duration `json:"took"`
	Error string          `json:"error,omitempty"`
	Reset bool            `json:"reset,omitempty"` // the error is that the connection was reset
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

// status makes one round trip. It ends with the caller's patience.
func (j *roundTrip) status(ctx context.Context) (any, error) {
	var s RoundTripStatus
	err := j.from.Try(func(port int) error {
		began := time.Now()
		_, err := target.Fetch(ctx, &net.TCPAddr{Port: port}, j.url)
		s.Took = target.Duration(time.Since(began))
		return err
	})
	if err != nil {
		s.Error = err.Error()
		s.Reset = errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) || errors.Is(err, io.EOF)
	}
	return s, nil
}
