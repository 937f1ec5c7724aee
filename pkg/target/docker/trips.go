package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// tripper measures round trips from the caller's network namespace.
type tripper struct {
	turn   chan struct{} // one round trip at a time: none is measured while it waits for another
	helper *helper       // nil before, and after it has failed; as ends, of whoever has the turn
	ends   ends
}

// RoundTrip implements target.Linker: it is measured where the caller is.
func (e *Environment) RoundTrip(ctx context.Context, l target.Link, within time.Duration) (time.Duration, error) {
	a, err := e.Ask(ctx, l, within)
	return a.Took, err
}

// Ask implements target.Linker.
func (e *Environment) Ask(ctx context.Context, l target.Link, within time.Duration) (a target.Answer, err error) {
	if l.From == target.Outside {
		a, err = e.tripFromHere(ctx, l, within)
	} else {
		a, err = e.tripFromCaller(ctx, l, within)
	}
	if err != nil {
		return a, fmt.Errorf("round trip %s: %w", l, err)
	}
	return a, nil
}

func (e *Environment) tripFromCaller(ctx context.Context, l target.Link, within time.Duration) (target.Answer, error) {
	t := e.links.tripperOf(l)
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return target.Answer{}, context.Cause(ctx)
	}
	h, err := e.tripper(ctx, l, t)
	if err != nil {
		return target.Answer{}, err
	}
	asking, cancel := context.WithTimeout(ctx, 2*within) // half of it to be connected, half to be answered
	defer cancel()
	text, err := h.Call(asking, "status")
	if err != nil {
		t.forget()
		return target.Answer{}, h.stderr.with(err)
	}
	var s struct {
		Took              target.Duration
		Path, Error       string
		Status            int
		Reset, Unanswered bool
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return target.Answer{}, err
	}
	switch {
	case s.Unanswered:
		err = fmt.Errorf("%w: %s", target.ErrUnanswered, s.Error)
	case s.Reset:
		err = fmt.Errorf("%w: %s", syscall.ECONNRESET, s.Error)
	case s.Error != "":
		err = errors.New(s.Error)
	}
	return target.Answer{Took: time.Duration(s.Took), Path: s.Path, Status: s.Status}, err
}

// tripperOf is the place for the one of a link.
func (l *links) tripperOf(key target.Link) *tripper {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trips[key] == nil {
		l.trips[key] = &tripper{turn: make(chan struct{}, 1)}
	}
	return l.trips[key]
}

// tripper is what measures the round trips of a link; it is started anew after an end of the link was.
func (e *Environment) tripper(ctx context.Context, l target.Link, t *tripper) (*helper, error) {
	now, err := e.endsOf(ctx, l)
	if err != nil {
		return nil, err
	}
	if now.url() == "" {
		return nil, fmt.Errorf("it is measured over HTTP, and %s has no port named http", l.To)
	}
	if t.helper != nil && t.ends.same(now) {
		return t.helper, nil
	}
	t.forget()
	job, config := e.opts.Helpers.Jobs.RoundTrip(now.url(), surveys)
	t.ends = now
	t.helper, err = e.hosts.start(ctx, job, config, inNetworkOf(now.caller.id))
	return t.helper, err
}

// forget has the next round trip start another helper. The end of this one is seen to by Down.
func (t *tripper) forget() {
	if t.helper != nil {
		t.helper.release()
		t.helper = nil
	}
}

// url is what a round trip asks for, where its caller reaches the callee: its readiness path, or the handshake of a port that need not speak HTTP; empty if it has no such port.
func (e ends) url() string {
	name := cmp.Or(e.port, spec.HTTPPort)
	port, ok := e.callee.spec.Ports[name]
	at := net.JoinHostPort(e.asked.String(), port)
	switch {
	case !ok:
		return ""
	case name != spec.HTTPPort:
		return "tcp://" + at
	}
	return "http://" + at + cmp.Or(e.callee.spec.Ready.HTTP, "/")
}

// tripFromHere measures a round trip from outside: this machine is.
func (e *Environment) tripFromHere(ctx context.Context, l target.Link, within time.Duration) (a target.Answer, err error) {
	now, err := e.endsOf(ctx, l)
	if err != nil {
		return target.Answer{}, err
	}
	err = e.links.own.Try(func(port int) error {
		a, err = target.RoundTrip(ctx, &net.TCPAddr{Port: port}, now.url(), within)
		return err
	})
	return a, err
}
