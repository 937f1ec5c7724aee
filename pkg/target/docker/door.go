package docker

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

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
	var err error
	if i.own, err = ownAddresses(); err != nil {
		return err
	}
	if i.inside = i.insideOf(info); i.inside == "" {
		return nil
	}
	if !i.endpoint.Local() || !i.opens() {
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

// insideOf is where the container's http port is in a network in which this machine is known; empty if there is none.
func (i *instance) insideOf(info container.InspectResponse) string {
	port, ok := i.httpPort()
	if !ok {
		return ""
	}
	networks := info.NetworkSettings.Networks
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		n := networks[name]
		if n == nil || !slices.ContainsFunc(knownBy(n, i.own), func(a netip.Addr) bool { return slices.Contains(i.own, a) }) {
			continue
		}
		for _, a := range addresses(n.IPAddress, n.GlobalIPv6Address) {
			return net.JoinHostPort(a.String(), port.Port())
		}
	}
	return ""
}

// ownAddresses are those of this machine.
func ownAddresses() (own []netip.Addr, err error) {
	all, err := net.InterfaceAddrs()
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr())
		}
	}
	return own, err
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

// gateways are the addresses by which this machine is known in a container's networks, given those that it has.
func gateways(info container.InspectResponse, own []netip.Addr) []netip.Addr {
	var all []netip.Addr
	for _, n := range info.NetworkSettings.Networks {
		all = append(all, knownBy(n, own)...)
	}
	return all
}

// knownBy are the addresses by which this machine is known in a network: the gateway's, and those that it has there itself, as engines name no gateway of an internal one.
func knownBy(n *network.EndpointSettings, own []netip.Addr) []netip.Addr {
	if n == nil {
		return nil
	}
	all := addresses(n.Gateway, n.IPv6Gateway)
	for _, p := range []netip.Prefix{subnet(n.IPAddress, n.IPPrefixLen), subnet(n.GlobalIPv6Address, n.GlobalIPv6PrefixLen)} {
		for _, a := range own {
			if p.Contains(a) {
				all = append(all, a)
			}
		}
	}
	return all
}

// subnet is the one of an address, and contains nothing if there is none.
func subnet(address string, bits int) netip.Prefix {
	for _, a := range addresses(address) {
		if p, err := a.Prefix(bits); err == nil {
			return p
		}
	}
	return netip.Prefix{}
}

// addresses leaves out what is none.
func addresses(texts ...string) (all []netip.Addr) {
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil {
			all = append(all, a)
		}
	}
	return all
}
