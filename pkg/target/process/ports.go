package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
)

// portSpan is how many ports below the range of outgoing connections are used. No outgoing connection can take such a port while its service is down, so a
// restarted service gets its port again.
const portSpan = 12_000

// ports are TCP ports of the loopback interface held for a service until right before it starts.
type ports struct {
	numbers   map[string]int
	listeners []net.Listener
}

// holdPorts finds and holds a free port for each name.
func holdPorts(names []string) (*ports, error) {
	p := &ports{numbers: map[string]int{}}
	for _, name := range names {
		l, err := listenFree()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("find a free port for %q: %w", name, err), p.release())
		}
		p.listeners = append(p.listeners, l)
		p.numbers[name] = l.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}

// release frees the ports for their service. It is idempotent.
func (p *ports) release() error {
	var err error
	for _, l := range p.listeners {
		err = errors.Join(err, l.Close())
	}
	p.listeners = nil
	return err
}

func listenFree() (net.Listener, error) {
	low := outgoingFrom()
	for range 50 {
		port := 0 // the kernel chooses
		if low-portSpan > 1024 {
			port = low - 1 - rand.IntN(portSpan)
		}
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return l, nil
		}
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// outgoingFrom is the first port that the kernel uses for outgoing connections; 0 if it does not say.
func outgoingFrom() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0
	}
	var low, high int
	if _, err := fmt.Sscan(string(text), &low, &high); err != nil {
		return 0
	}
	return low
}
