package docker

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/impair"
	"chaosgate/pkg/target"
)

// The ports that connections of ours come from, above those that a kernel gives to others by itself.
var (
	surveys = impair.Range{First: 61000, Last: 61999} // round trips: faults on links meet them, and do not count them
	spared  = impair.Range{First: 62000, Last: 62999} // scrapes and readiness: faults on links do not meet them
)

func portsFrom(r impair.Range) *target.Ports { return &target.Ports{First: r.First, Last: r.Last} }

// doorWithin bounds a connection to a container of this machine.
const (
	doorWithin = time.Second
	doorTries  = 3
)

// openDoor finds whether the container can be reached in its network, and makes that the way of scrapes and readiness, from ports by which they are told from traffic. An
// engine in a virtual machine has networks that cannot be reached from here: then there is no such way.
func (i *instance) openDoor(info container.InspectResponse) error {
	near, err := ownsOne(gateways(info))
	if err != nil || !near || !i.endpoint.Local() {
		return err
	}
	i.inside = i.insideOf(info)
	if !i.opens() {
		i.inside = ""
		return nil
	}
	i.door, err = forward(i.enterDoor)
	return err
}

// opens says whether a connection to the container is answered; that it is refused is an answer, as the service may not listen yet.
func (i *instance) opens() bool {
	for range doorTries {
		conn, err := i.enterDoor()
		if err == nil {
			_ = conn.Close() // nothing was sent
			return true
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			return true
		}
	}
	return false
}

// ownsOne says whether one of some addresses is this machine's.
func ownsOne(some []netip.Addr) (bool, error) {
	own, err := net.InterfaceAddrs()
	for _, a := range own {
		if p, err := netip.ParsePrefix(a.String()); err == nil && slices.Contains(some, p.Addr()) {
			return true, nil
		}
	}
	return false, err
}

// insideOf is where the container's http port is in its network; empty if it has none.
func (i *instance) insideOf(info container.InspectResponse) string {
	port, ok := i.httpPort()
	all := shared(info, info)
	if !ok || len(all) == 0 {
		return ""
	}
	return net.JoinHostPort(all[0].String(), port.Port())
}

// enterDoor connects to the container from one of the spared ports.
func (i *instance) enterDoor() (conn net.Conn, err error) {
	err = i.spared.Try(func(port int) error {
		d := net.Dialer{Timeout: doorWithin, LocalAddr: &net.TCPAddr{Port: port}}
		conn, err = d.Dial("tcp", i.insideNow())
		return err
	})
	return conn, err
}

func (i *instance) insideNow() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.inside
}

// measured is where scrapes and readiness ask: through the door, where there is one.
func (i *instance) measured() string {
	if i.door != nil {
		return i.door.address()
	}
	return i.address()
}

// gateways are the addresses by which this machine is known in a container's networks.
func gateways(info container.InspectResponse) []netip.Addr {
	var all []netip.Addr
	for _, n := range info.NetworkSettings.Networks {
		if n == nil {
			continue
		}
		for _, text := range []string{n.Gateway, n.IPv6Gateway} {
			if a, err := netip.ParseAddr(text); err == nil {
				all = append(all, a)
			}
		}
	}
	return all
}
