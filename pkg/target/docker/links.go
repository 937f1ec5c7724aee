package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/impair"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// surveys are the ports that round trips come from: above those that a kernel gives to others by itself.
var surveys = impair.Range{First: 61000, Last: 61999}

// links are the faults on links, and what measures round trips over them. It is safe for concurrent use.
type links struct {
	mu     sync.Mutex
	faults map[faultOn]*linkFault
	trips  map[target.Link]*tripper
}

// faultOn names a fault on a link.
type faultOn struct {
	target.Link
	name string
}

func newLinks() *links {
	return &links{faults: map[faultOn]*linkFault{}, trips: map[target.Link]*tripper{}}
}

func (l *links) fault(key faultOn) *linkFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.faults[key]
}

// on answers the faults of a link, by name.
func (l *links) on(key target.Link) map[string]*linkFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[string]*linkFault{}
	for k, f := range l.faults {
		if k.Link == key {
			found[k.name] = f
		}
	}
	return found
}

// ends are the two instances of a link, where they are now.
type ends struct {
	caller, callee *instance
	started        [2]string // when; another start has another network namespace
	callers        []netip.Addr
	callees        []netip.Addr // in the networks that both are in
	ports          []uint16     // of the callee
}

// same says whether both ends still are where they were.
func (e ends) same(now ends) bool {
	return e.started == now.started && slices.Equal(e.callers, now.callers) && slices.Equal(e.callees, now.callees)
}

// allLinks are those that chaos.yaml declares, between each two instances.
func (e *Environment) allLinks() []target.Link {
	var all []target.Link
	for from, s := range e.opts.Spec.Services {
		for _, to := range s.Links {
			for _, a := range e.of(from) {
				for _, b := range e.of(to) {
					all = append(all, e.linkOf(a, b))
				}
			}
		}
	}
	return all
}

// linkOf names an instance only where there are several.
func (e *Environment) linkOf(a, b *instance) target.Link {
	l := target.Link{From: a.service, To: b.service}
	if len(e.of(a.service)) > 1 {
		l.FromInstance = a.name
	}
	if len(e.of(b.service)) > 1 {
		l.ToInstance = b.name
	}
	return l
}

// Links implements target.Linker.
func (e *Environment) Links(targets []target.Target, to string) ([]target.Link, error) {
	if to == "" {
		return nil, errAllPeers
	}
	return target.FindLinks(e.allLinks(), targets, to)
}

// errAllPeers is the limit of what can be done to links here.
var errAllPeers = fmt.Errorf("on containers a fault acts on the link to one other service, not on all of them: name it, with to")

// instancesOf answers the instances at the ends of a link.
func (e *Environment) instancesOf(l target.Link) (from, to *instance, err error) {
	for _, a := range e.of(l.From) {
		for _, b := range e.of(l.To) {
			if e.linkOf(a, b) == l {
				return a, b, nil
			}
		}
	}
	return nil, nil, target.NoLink(l, e.allLinks())
}

// endsOf looks where the ends of a link are now. Both must run, and share a network.
func (e *Environment) endsOf(ctx context.Context, l target.Link) (ends, error) {
	from, to, err := e.instancesOf(l)
	if err != nil {
		return ends{}, err
	}
	found := ends{caller: from, callee: to}
	var infos [2]container.InspectResponse
	for n, i := range []*instance{from, to} {
		if infos[n], err = i.inspect(ctx); err != nil {
			return ends{}, err
		}
		if infos[n].State.Pid == 0 {
			return ends{}, fmt.Errorf("%s does not run", i.name)
		}
		if mode := infos[n].HostConfig.NetworkMode; mode.IsHost() || mode.IsContainer() {
			return ends{}, fmt.Errorf("%s has no network of its own (network_mode: %s), so a fault on its links would hit others as well", i.name, mode)
		}
		found.started[n] = infos[n].State.StartedAt
	}
	found.callers, found.callees = shared(infos[0], infos[1]), shared(infos[1], infos[0])
	if len(found.callers) == 0 {
		return ends{}, fmt.Errorf("%s and %s share no network", from.name, to.name)
	}
	found.ports, err = portsOf(to.spec)
	return found, err
}

// shared answers the addresses that a container has in networks in which the other one is as well.
func shared(of, with container.InspectResponse) []netip.Addr {
	var all []netip.Addr
	networks := of.NetworkSettings.Networks
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		if networks[name] == nil || with.NetworkSettings.Networks[name] == nil {
			continue
		}
		for _, text := range []string{networks[name].IPAddress, networks[name].GlobalIPv6Address} {
			if a, err := netip.ParseAddr(text); err == nil {
				all = append(all, a)
			}
		}
	}
	return all
}

func portsOf(s spec.Service) ([]uint16, error) {
	var all []uint16
	for _, name := range slices.Sorted(maps.Keys(s.Ports)) {
		n, err := strconv.ParseUint(s.Ports[name], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("port %s: %w", name, err)
		}
		all = append(all, uint16(n))
	}
	return all, nil
}

// tripper measures round trips from the caller's network namespace.
type tripper struct {
	*helper
	ends ends
}

// RoundTrip implements target.Linker: it is measured where the caller is, on a fresh connection, until the whole answer is there.
func (e *Environment) RoundTrip(ctx context.Context, l target.Link) (time.Duration, error) {
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
	port, ok := now.callee.httpPort()
	if !ok {
		return nil, fmt.Errorf("it is measured over HTTP, and %s has no port named http", l.To)
	}
	e.links.mu.Lock()
	t := e.links.trips[l]
	e.links.mu.Unlock()
	if t != nil && t.ends.same(now) {
		return t, nil
	}
	path := now.callee.spec.Ready.HTTP
	if path == "" {
		path = "/"
	}
	job, config := e.opts.Helpers.Jobs.RoundTrip("http://"+net.JoinHostPort(now.callees[0].String(), port.Port())+path, surveys)
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
