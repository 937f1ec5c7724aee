package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// openLinks opens a link for each that chaos.yaml declares, and one from outside to each service with an http port.
func (e *Environment) openLinks() error {
	for _, name := range slices.Sorted(maps.Keys(e.services)) {
		s := e.services[name]
		if _, ok := s.spec.Ports[spec.HTTPPort]; ok {
			if err := e.openLink(outside, s); err != nil {
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

// Links implements target.Linker. From and to may be "outside". A service without a link is an error, also beside others that have one.
func (e *Environment) Links(services []string, to string) ([]target.Link, error) {
	var found []target.Link
	for _, service := range services {
		own := e.linksOf(service, to)
		if len(own) == 0 && to == "" {
			return nil, fmt.Errorf("%s has no links; there are %s", service, e.linkNames())
		}
		if len(own) == 0 {
			return nil, fmt.Errorf("there is no link from %s to %s; there are %s", service, to, e.linkNames())
		}
		found = append(found, own...)
	}
	slices.SortFunc(found, compareLinks)
	return slices.Compact(found), nil
}

// linksOf answers the links from a service to another; with to empty, all links from and to it.
func (e *Environment) linksOf(service, to string) []target.Link {
	var own []target.Link
	for l := range e.links {
		if l.From == service && (to == "" || l.To == to) || to == "" && l.To == service {
			own = append(own, l)
		}
	}
	return own
}

func compareLinks(a, b target.Link) int {
	if c := strings.Compare(a.From, b.From); c != 0 {
		return c
	}
	return strings.Compare(a.To, b.To)
}

func (e *Environment) linkNames() string {
	var names []string
	for _, l := range slices.SortedFunc(maps.Keys(e.links), compareLinks) {
		names = append(names, l.From+" -> "+l.To)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (e *Environment) link(key target.Link) (*link, error) {
	l, ok := e.links[key]
	if !ok {
		return nil, fmt.Errorf("there is no link from %s to %s; there are %s", key.From, key.To, e.linkNames())
	}
	return l, nil
}

// Impair implements target.Linker. A change that data in flight holds up for 2 s resets the link's connections.
func (e *Environment) Impair(_ context.Context, key target.Link, name string, f target.LinkFault) error {
	l, err := e.link(key)
	if err != nil {
		return err
	}
	return l.impair(name, f)
}

// Restore implements target.Linker. The end of a partition resets the connections that hung, because what was sent on them is lost.
func (e *Environment) Restore(_ context.Context, key target.Link, name string) error {
	l, err := e.link(key)
	if err != nil {
		return err
	}
	return l.restore(name)
}

// Impaired implements target.Linker.
func (e *Environment) Impaired(key target.Link) ([]string, error) {
	l, err := e.link(key)
	if err != nil {
		return nil, err
	}
	return l.impaired(), nil
}

// Stats implements target.Linker.
func (e *Environment) Stats(key target.Link) (target.LinkStats, error) {
	l, err := e.link(key)
	if err != nil {
		return target.LinkStats{}, err
	}
	return l.carried(), nil
}

// Address implements target.Linker.
func (e *Environment) Address(key target.Link) (string, error) {
	l, err := e.link(key)
	if err != nil {
		return "", err
	}
	return l.address(), nil
}

// surveyor is where round trips come from; all of 127.0.0.0/8 is this machine. By it a link tells them from the traffic of callers.
var surveyor = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}

// RoundTrip implements target.Linker: on a fresh connection, until the whole answer is there. Any status is an answer.
func (e *Environment) RoundTrip(ctx context.Context, key target.Link) (time.Duration, error) {
	l, err := e.link(key)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	sp := e.services[key.To].spec
	if _, ok := sp.Ports[spec.HTTPPort]; !ok {
		return 0, errors.New("the round trip of a link is measured over HTTP, and " + key.To + " has no port named http")
	}
	path := sp.Ready.HTTP
	if path == "" {
		path = "/"
	}
	_, err = target.Fetch(ctx, surveyor, "http://"+l.address()+path)
	took := time.Since(began)
	if err != nil {
		return took, fmt.Errorf("round trip %s -> %s: %w", key.From, key.To, err)
	}
	return took, nil
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
