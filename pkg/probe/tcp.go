package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

// settle is how long a new connection must stay open. Between a caller and a service there may be something that accepts in the service's name
// (a load balancer, a link of the process target) and closes at once if it cannot reach it: accepted is not connected.
const settle = 100 * time.Millisecond

// lookTCP connects and waits shortly whether the connection is taken away again. It sends nothing, so it cannot tell a service that hangs from one
// that waits for a request: that is what an http probe is for. The latency is that of the connection alone.
func lookTCP(ctx context.Context, d Deps, c plan.Check, _ Window) journal.Observation {
	address, err := hostPort(d.Environment.URL(c.Probe.TCP.Service))
	if err != nil {
		return failed(err)
	}
	begun := time.Now()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	took := time.Since(begun)
	if err == nil {
		err = staysOpen(ctx, conn)
		conn.Close()
	}
	o := journal.Observation{Numbers: map[string]float64{"connected": 1, "latency_seconds": took.Seconds()}}
	if err == nil {
		return o
	}
	sentence, ofService := problem(ctx, err, begun)
	if !ofService {
		return failed(errors.New(sentence))
	}
	o.Numbers["connected"] = 0
	o.Text = map[string]string{"problem": sentence}
	return o
}

// staysOpen is nil if the peer says something or nothing, but does not hang up as long as we wait.
func staysOpen(ctx context.Context, conn net.Conn) error {
	until := time.Now().Add(settle)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		until = deadline
	}
	if err := conn.SetReadDeadline(until); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

func hostPort(base string, err error) (string, error) {
	if err != nil {
		return "", err
	}
	u, err := url.Parse(base)
	switch {
	case err != nil:
		return "", err
	case u.Port() != "":
		return u.Host, nil
	case u.Scheme == "https":
		return net.JoinHostPort(u.Hostname(), "443"), nil
	case u.Scheme == "http":
		return net.JoinHostPort(u.Hostname(), "80"), nil
	default:
		return "", fmt.Errorf("%s has no port", base)
	}
}
