package agent

import (
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"chaosgate/pkg/impair"
	"chaosgate/pkg/intercept"
)

// HTTPJob deals with the HTTP requests of a link in the network namespace of its callee: the kernel leads them to the helper, which passes them on.
const HTTPJob = "http"

// HTTPConfig says which connections, and what becomes of their requests.
type HTTPConfig struct {
	Link  impair.Link     `json:"link"`
	Fault intercept.Fault `json:"fault"`
}

// HTTPStatus is what inject and status answer.
type HTTPStatus struct {
	LinkState
	Requests intercept.Counts `json:"requests"`
}

func newHTTP(config json.RawMessage) (job, error) {
	var c HTTPConfig
	if err := decode(config, &c); err != nil {
		return nil, err
	}
	begin := func() (*interception, error) { return intercepting(c.Link, c.Fault) }
	status := func(s LinkState, on *interception) any { return HTTPStatus{LinkState: s, Requests: on.proxy.Counts()} }
	return &linkJob[*interception]{begin: begin, told: status}, errors.Join(impair.Check(c.Link, impair.Fault{}), c.Fault.Check())
}

// interception is a fault on HTTP requests at work.
type interception struct {
	link     impair.Link
	proxy    *intercept.Proxy
	listener net.Listener
	way      *impair.Redirection
	busy     sync.WaitGroup
}

// intercepting begins it, and returns when every new connection of the link is led here.
func intercepting(l impair.Link, f intercept.Fault) (*interception, error) {
	proxy, err := intercept.New(f, func(caller net.Addr) bool {
		from, err := netip.ParseAddrPort(caller.String())
		return err == nil && l.Survey(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
	})
	if err != nil {
		return nil, err
	}
	i := &interception{link: l, proxy: proxy}
	if i.listener, err = net.Listen("tcp", ":0"); err != nil {
		return nil, errors.Join(err, proxy.Stop())
	}
	i.busy.Go(i.accept)
	if i.way, err = impair.Redirect(l, uint16(i.listener.Addr().(*net.TCPAddr).Port)); err != nil {
		return nil, errors.Join(err, i.listener.Close(), proxy.Stop())
	}
	return i, nil
}

// On reads back whether connections are led here.
func (i *interception) On() error { return i.way.On() }

// Stop lets new connections go to the callee again, ends those that are here, and then their way.
func (i *interception) Stop() error {
	err := errors.Join(i.way.Release(), i.proxy.Stop())
	if closing := i.listener.Close(); !errors.Is(closing, net.ErrClosed) { // closed before, and then something failed
		err = errors.Join(err, closing)
	}
	i.busy.Wait()
	return errors.Join(err, i.way.Stop())
}

// accept carries connections until the listener is closed.
func (i *interception) accept() {
	for {
		near, err := i.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(time.Millisecond) // out of file descriptors: it passes
		default:
			i.busy.Go(func() { i.carry(near.(*net.TCPConn)) })
		}
	}
}

// carry carries one connection to where it wanted to go. One that was not led here is reset.
func (i *interception) carry(near *net.TCPConn) {
	to, err := impair.Destination(near)
	if err != nil || !slices.Contains(i.link.Ports, to.Port()) {
		_ = near.SetLinger(0) // it fails only if it is closed
		_ = near.Close()
		return
	}
	i.proxy.Carry(near, to.String())
}
