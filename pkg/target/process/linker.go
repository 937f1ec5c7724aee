package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// openLinks opens a link for each that chaos.yaml declares, and one from outside to each service with an http port.
func (e *Environment) openLinks() error {
	for _, name := range slices.Sorted(maps.Keys(e.services)) {
		s := e.services[name]
		if _, ok := s.spec.Ports[spec.HTTPPort]; ok {
			if err := e.openLink(target.Outside, s); err != nil {
				return err
			}
		}
		for _, to := range s.spec.Links {
			if err := e.openLink(name, e.services[to]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Environment) openLink(from string, to *service) error {
	key := target.Link{From: from, To: to.name}
	if e.links[key] != nil {
		return nil
	}
	l, err := newLink(key, to.upstream)
	if err != nil {
		return err
	}
	e.links[key] = l
	return nil
}

// Links implements target.Linker. From and to may be "outside". A link leads to one port only, so that one by the name http is the link itself.
func (e *Environment) Links(targets []target.Target, to, port string) ([]target.Link, error) {
	if port != "" && port != spec.HTTPPort {
		return nil, fmt.Errorf("links lead to the port named %s here, so there is none to the port %s", spec.HTTPPort, port)
	}
	found, err := target.FindLinks(slices.Collect(maps.Keys(e.links)), targets, to, port)
	for i, l := range found {
		found[i] = l.AllPorts()
	}
	return found, err
}

// Ref implements target.Linker. A link ends with its runner: there is nothing more to find.
func (e *Environment) Ref(l target.Link) target.Ref {
	return target.Ref{Runtime: RuntimeName, Service: l.To}
}

// ArmLink implements target.Linker: a link is always ready.
func (e *Environment) ArmLink(_ context.Context, key target.Link, _ string, _ target.LinkFault) error {
	_, err := e.link(key)
	return err
}

func (e *Environment) link(key target.Link) (*link, error) {
	l, ok := e.links[key]
	if !ok {
		return nil, target.NoLink(key, slices.Collect(maps.Keys(e.links)))
	}
	return l, nil
}

// Impair implements target.Linker. A change that data in flight holds up for 2 s resets the link's connections, and so does the begin of a fault on HTTP requests.
func (e *Environment) Impair(_ context.Context, key target.Link, name string, f target.LinkFault) error {
	l, err := e.link(key)
	if err != nil {
		return err
	}
	return l.impair(name, f)
}

// Restore implements target.Linker. The end of a partition resets the connections that hung, because what was sent on them is lost; those that a fault on HTTP requests has
// carried end with it, after the answers that are under way.
func (e *Environment) Restore(_ context.Context, key target.Link, name string) error {
	l, err := e.link(key)
	if err != nil {
		return err
	}
	return l.restore(name)
}

// Impaired implements target.Linker.
func (e *Environment) Impaired(_ context.Context, key target.Link) ([]string, error) {
	l, err := e.link(key)
	if err != nil {
		return nil, err
	}
	return l.impaired(), nil
}

// Stats implements target.Linker.
func (e *Environment) Stats(_ context.Context, key target.Link, fault string) (target.LinkStats, error) {
	l, err := e.link(key)
	if err != nil {
		return target.LinkStats{}, err
	}
	return l.counts(fault), nil
}

// Address is the near end of a link, as its caller dials it.
func (e *Environment) Address(key target.Link) (string, error) {
	l, err := e.link(key)
	if err != nil {
		return "", err
	}
	return l.address(), nil
}

// surveyor is where round trips come from; all of 127.0.0.0/8 is this machine. By it a link tells them from the traffic of callers.
var surveyor = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}

// RoundTrip implements target.Linker.
func (e *Environment) RoundTrip(ctx context.Context, key target.Link, within time.Duration) (time.Duration, error) {
	a, err := e.Ask(ctx, key, within)
	return a.Took, err
}

// Ask implements target.Linker.
func (e *Environment) Ask(ctx context.Context, key target.Link, within time.Duration) (target.Answer, error) {
	l, err := e.link(key)
	if err != nil {
		return target.Answer{}, err
	}
	sp := e.services[key.To].spec
	if _, ok := sp.Ports[spec.HTTPPort]; !ok {
		return target.Answer{}, errors.New("the round trip of a link is measured over HTTP, and " + key.To + " has no port named http")
	}
	a, err := target.RoundTrip(ctx, surveyor, "http://"+l.address()+cmp.Or(sp.Ready.HTTP, "/"), within)
	if err != nil {
		return a, fmt.Errorf("round trip %s: %w", key, err)
	}
	return a, nil
}

// refused says whether nobody listens on a port of this machine.
func refused(port int) bool {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return true
	}
	_ = conn.Close()
	return false
}
