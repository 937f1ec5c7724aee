package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// httpPort is the container's port that traffic reaches, "5000/tcp"; false if it has none.
func (i *instance) httpPort() (nat.Port, bool) {
	port, ok := i.spec.Ports[spec.HTTPPort]
	return nat.Port(port + "/tcp"), ok
}

// place finds where the instance is reached. A port that the engine publishes under a number of the author's stays the same over all starts; any other place is
// looked up again after each start, behind an address that stays.
func (i *instance) place(info container.InspectResponse) error {
	port, ok := i.httpPort()
	if !ok {
		return nil
	}
	if err := i.openDoor(info); err != nil {
		return err
	}
	for _, b := range info.HostConfig.PortBindings[port] {
		if i.elsewhere(b.HostIP) {
			continue
		}
		if b.HostPort != "" && b.HostPort != "0" && !strings.Contains(b.HostPort, "-") {
			i.fixed = net.JoinHostPort(i.hostOf(b.HostIP), b.HostPort)
			return nil
		}
	}
	if err := runs(info); err != nil {
		return fmt.Errorf("%s: %w", i.name, err)
	}
	now, err := i.find(info, port)
	if err != nil {
		return err
	}
	i.now = now
	i.front, err = forward(func() (net.Conn, error) { return net.DialTimeout("tcp", i.current(), forwardDial) })
	return err
}

// find answers where a port is reached in the container's current start.
func (i *instance) find(info container.InspectResponse, port nat.Port) (string, error) {
	for _, b := range info.NetworkSettings.Ports[port] {
		if b.HostPort != "" && !i.elsewhere(b.HostIP) {
			return net.JoinHostPort(i.hostOf(b.HostIP), b.HostPort), nil
		}
	}
	if w, ok := i.reached(info); ok && i.endpoint.Local() {
		return w.at(port.Port()), nil
	}
	return "", fmt.Errorf("%s: its port %s cannot be reached from here: publish it in the Compose file", i.name, port.Port())
}

// elsewhere says whether an address is the loopback of another machine, where it cannot be reached from here, and what answers here is something else.
func (i *instance) elsewhere(ip string) bool {
	a, err := netip.ParseAddr(ip)
	return err == nil && a.IsLoopback() && !i.endpoint.Local()
}

// hostOf is how a published address is reached from here.
func (i *instance) hostOf(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil || a.IsUnspecified() {
		return i.endpoint.name()
	}
	return ip
}

// address is where the instance is reached, over all its starts; empty if it has no http port.
func (i *instance) address() string {
	if i.front != nil {
		return i.front.address()
	}
	return i.fixed
}

// current is where it is reached now.
func (i *instance) current() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now
}

func (i *instance) close() error {
	var errs []error
	for _, f := range []*forwarder{i.front, i.door} {
		if f != nil {
			errs = append(errs, f.close())
		}
	}
	return errors.Join(errs...)
}

// readyURL is what answers 2xx when the instance is ready; empty if it has no such path.
func (i *instance) readyURL() string {
	if at := i.measured(); at != "" && i.spec.Ready.HTTP != "" {
		return "http://" + at + i.spec.Ready.HTTP
	}
	return ""
}

// outlasts is the part of readyURL that outlasts this process: a forwarder does not.
func (i *instance) outlasts() string {
	if i.front != nil || i.fixed == "" || i.spec.Ready.HTTP == "" {
		return ""
	}
	return "http://" + i.fixed + i.spec.Ready.HTTP
}

// askReady looks once whether it is ready: its path answers, else the engine's health check says so, else its port takes connections; with none of them, running is ready.
func (i *instance) askReady(ctx context.Context) error {
	info, err := i.inspect(ctx)
	if err != nil {
		return err
	}
	return i.readyNow(ctx, info)
}

func (i *instance) readyNow(ctx context.Context, info container.InspectResponse) error {
	if err := runs(info); err != nil {
		return err
	}
	url, at := i.readyURL(), i.address()
	if url == "" && info.State.Health != nil {
		return healthy(info)
	}
	switch {
	case url != "":
		return target.AskReady(ctx, url, "")
	case at == "":
		return nil
	case i.door != nil:
		return takes(i.enterDoor)
	case i.front != nil:
		at = i.current() // the front takes every connection
	}
	return takes(func() (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return (&net.Dialer{}).DialContext(ctx, "tcp", at)
	})
}

// serveWithin is how long a connection must last: what publishes a port takes each, and ends at once those that nobody in the container takes.
const serveWithin = 150 * time.Millisecond

// takes is nil if somebody in the container takes connections.
func takes(dial func() (net.Conn, error)) error {
	conn, err := dial()
	if err != nil {
		return err
	}
	defer reset(conn) // its port is free again at once
	if err := conn.SetReadDeadline(time.Now().Add(serveWithin)); err != nil {
		return err
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("a connection to %s ends at once: %w", conn.RemoteAddr(), err)
	}
	return nil
}

func runs(info container.InspectResponse) error {
	switch {
	case info.State.Paused:
		return fmt.Errorf("it is paused")
	case !info.State.Running || info.State.Restarting:
		return fmt.Errorf("it is %s (exit code %d)", info.State.Status, info.State.ExitCode)
	}
	return nil
}

// hasEnded says whether a container has ended and its restart policy does not start it again.
func hasEnded(info container.InspectResponse) bool {
	return info.State.Status == container.StateExited || info.State.Status == container.StateDead
}

func healthy(info container.InspectResponse) error {
	if h := info.State.Health; h != nil && h.Status != container.Healthy && h.Status != container.NoHealthcheck {
		return fmt.Errorf("its health check says %s", h.Status)
	}
	return nil
}

// waitReady waits until it is ready; one that is not in time, or has ended for good, is an error that says what was tried and what it wrote last.
func (i *instance) waitReady(ctx context.Context) error {
	within := target.DefaultReady
	if i.spec.Ready.Within != "" {
		var err error
		if within, err = time.ParseDuration(i.spec.Ready.Within); err != nil {
			return err
		}
	}
	limit, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ended := false
	err := target.PollReady(limit, func(ctx context.Context) error {
		info, err := i.inspect(ctx)
		if err != nil {
			return err
		}
		if ended = hasEnded(info); ended {
			cancel()
		}
		return i.readyNow(ctx, info)
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("wait until %s is ready: %w", i.name, context.Cause(ctx))
	case ended:
		return fmt.Errorf("%s did not become ready: %w; %s", i.name, err, i.tail(ctx))
	}
	return fmt.Errorf("%s was not ready within %v: %w; %s", i.name, within, err, i.tail(ctx))
}
