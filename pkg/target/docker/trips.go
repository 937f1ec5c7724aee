package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"syscall"
	"time"

	"chaosgate/pkg/target"
)

// tripper measures round trips from the caller's network namespace.
type tripper struct {
	*helper
	ends ends
}

// RoundTrip implements target.Linker: it is measured where the caller is, on a fresh connection, until the whole answer is there.
func (e *Environment) RoundTrip(ctx context.Context, l target.Link) (time.Duration, error) {
	if l.From == target.Outside {
		return e.tripFromHere(ctx, l)
	}
	t, err := e.tripper(ctx, l)
	if err != nil {
		return 0, fmt.Errorf("round trip %s: %w", l, err)
	}
	began := time.Now()
	text, err := t.Call(ctx, "status")
	var s struct {
		Took  target.Duration
		Error string
		Reset bool
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	switch {
	case ctx.Err() != nil:
		return time.Since(began), fmt.Errorf("round trip %s: %w", l, context.Cause(ctx))
	case err != nil:
		return time.Since(began), fmt.Errorf("round trip %s: %w", l, err)
	case s.Reset:
		err = fmt.Errorf("round trip %s: %w: %s", l, syscall.ECONNRESET, s.Error)
	case s.Error != "":
		err = fmt.Errorf("round trip %s: %s", l, s.Error)
	}
	return time.Duration(s.Took), err
}

// tripper is the one of a link; it is started anew after an end was.
func (e *Environment) tripper(ctx context.Context, l target.Link) (*tripper, error) {
	now, err := e.endsOf(ctx, l)
	if err != nil {
		return nil, err
	}
	if now.url() == "" {
		return nil, fmt.Errorf("it is measured over HTTP, and %s has no port named http", l.To)
	}
	e.links.mu.Lock()
	t := e.links.trips[l]
	e.links.mu.Unlock()
	if t != nil && t.ends.same(now) {
		return t, nil
	}
	job, config := e.opts.Helpers.Jobs.RoundTrip(now.url(), surveys)
	h, err := e.hosts.start(ctx, job, config, inNetworkOf(now.caller.id))
	if err != nil {
		return nil, err
	}
	if t != nil {
		t.release() // its end is seen to by Down
	}
	t = &tripper{helper: h, ends: now}
	e.links.mu.Lock()
	defer e.links.mu.Unlock()
	e.links.trips[l] = t
	return t, nil
}

// url is what a round trip asks for: the callee's readiness path, where its caller reaches it; empty if it has no such port.
func (e ends) url() string {
	port, ok := e.callee.httpPort()
	if !ok {
		return ""
	}
	return "http://" + net.JoinHostPort(e.callees[0].String(), port.Port()) + cmp.Or(e.callee.spec.Ready.HTTP, "/")
}

// tripFromHere measures a round trip from outside: this machine is.
func (e *Environment) tripFromHere(ctx context.Context, l target.Link) (took time.Duration, err error) {
	now, err := e.endsOf(ctx, l)
	if err != nil {
		return 0, fmt.Errorf("round trip %s: %w", l, err)
	}
	err = e.links.own.Try(func(port int) error {
		began := time.Now()
		_, err := target.Fetch(ctx, &net.TCPAddr{Port: port}, now.url())
		took = time.Since(began)
		return err
	})
	if err != nil {
		return took, fmt.Errorf("round trip %s: %w", l, err)
	}
	return took, nil
}
