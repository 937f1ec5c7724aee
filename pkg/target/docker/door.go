package docker

import (
	"errors"
	"net"
	"net/netip"
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
	doorTries  = 5
)

// openDoor finds over which of its networks the container can be reached, and makes that the way of scrapes and readiness, from ports by which they are told from traffic. An
// engine in a virtual machine has networks that cannot be reached from here: then there is no such way.
func (i *instance) openDoor(info container.InspectResponse) error {
	var err error
	if i.own, err = ownAddresses(); err != nil {
		return err
	}
	port, ok := i.httpPort()
	if !ok || !i.endpoint.Local() {
		return nil
	}
	way, found := i.open(known(attachments(info), i.own), port.Port())
	if !found {
		return nil
	}
	i.way, i.inside = way, way.at(port.Port())
	i.door, err = forward(i.enterDoor)
	return err
}

// open is the first way over which a connection to the container is answered; that it is refused is an answer, as the service may not listen yet.
func (i *instance) open(ways []attachment, port string) (attachment, bool) {
	for range doorTries {
		for _, w := range ways {
			conn, err := i.enter(w.at(port))
			if err == nil {
				_ = conn.Close() // nothing was sent
			}
			if err == nil || errors.Is(err, syscall.ECONNREFUSED) {
				return w, true
			}
		}
	}
	return attachment{}, false
}

// insideOf is where the container's http port is, over the way that was found; empty while there is none.
func (i *instance) insideOf(info container.InspectResponse) string {
	port, _ := i.httpPort()
	if w, ok := i.reached(info); ok {
		return w.at(port.Port())
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

// enterDoor connects to the container where it is now.
func (i *instance) enterDoor() (net.Conn, error) { return i.enter(i.insideNow()) }

// enter connects to the container from one of the spared ports.
func (i *instance) enter(at string) (conn net.Conn, err error) {
	err = i.spared.Try(func(port int) error {
		d := net.Dialer{Timeout: doorWithin, LocalAddr: &net.TCPAddr{Port: port}}
		conn, err = d.Dial("tcp", at)
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
