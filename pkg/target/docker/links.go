package docker

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// links are the faults on links, and what measures round trips over them. It is safe for concurrent use.
type links struct {
	mu     sync.Mutex
	faults map[faultOn]*linkFault
	trips  map[target.Link]*tripper
	own    *target.Ports // of round trips from this machine

	ending sync.Mutex // of whoever ends a fault before its time
}

// faultOn names a fault on a link.
type faultOn struct {
	target.Link
	name string
}

// nameFor is the fault's name to those who deal with a link: with its own, if that is another.
func (f faultOn) nameFor(l target.Link) string {
	if f.Link == l {
		return f.name
	}
	return f.name + " on " + f.Link.String()
}

func newLinks() *links {
	return &links{faults: map[faultOn]*linkFault{}, trips: map[target.Link]*tripper{}, own: portsFrom(surveys)}
}

func (l *links) fault(key faultOn) *linkFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.faults[key]
}

// on answers the faults of a link by name, and those of links to other ports that overlap by name and link.
func (l *links) on(key target.Link) map[string]*linkFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[string]*linkFault{}
	for k, f := range l.faults {
		if k.Overlaps(key) {
			found[k.nameFor(key)] = f
		}
	}
	return found
}

// begin notes that a fault is to be on its link now, unless it does not go with those that are.
func (l *links) begin(key faultOn) (*linkFault, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	on := map[string]target.LinkFault{}
	for k, f := range l.faults {
		if k.Overlaps(key.Link) && f.begun {
			on[k.nameFor(key.Link)] = f.fault
		}
	}
	f := l.faults[key]
	if err := f.fault.Beside(key.name, on); err != nil {
		return nil, err
	}
	f.begun = true
	return f, nil
}

// ends are the two instances of a link, where they are now.
type ends struct {
	caller, callee *instance // without a caller: whoever is outside
	started        [2]string // when; another start has another network namespace
	callers        []netip.Addr
	callees        []netip.Addr // in the networks that both are in
	asked          netip.Addr   // that of them which a round trip takes
	ports          []uint16     // of the callee, that are meant
	port           string       // the name of the one that is; empty if all are
	// Of callers outside: who is in the callee's networks and not outside, and by which addresses this machine is known.
	insiders, gateways []netip.Addr
}

// same says whether both ends still are where they were.
func (e ends) same(now ends) bool {
	return e.started == now.started && slices.Equal(e.callers, now.callers) && slices.Equal(e.callees, now.callees) &&
		among(now.insiders, e.insiders) && slices.Equal(e.gateways, now.gateways)
}

// among says whether all addresses are among others: who has ended cannot be taken for a stranger.
func among(all, others []netip.Addr) bool {
	return !slices.ContainsFunc(all, func(a netip.Addr) bool { return !slices.Contains(others, a) })
}

// allLinks are those that chaos.yaml declares, between each two instances, and those from outside.
func (e *Environment) allLinks() []target.Link {
	var all []target.Link
	for _, b := range e.instances {
		if b.door != nil {
			all = append(all, e.linkOf(nil, b))
		}
	}
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

// linkOf names an instance only where there are several; without a caller it is from outside.
func (e *Environment) linkOf(a, b *instance) target.Link {
	l := target.Link{From: target.Outside, To: b.service}
	if a != nil {
		l.From = a.service
	}
	if a != nil && len(e.of(a.service)) > 1 {
		l.FromInstance = a.name
	}
	if len(e.of(b.service)) > 1 {
		l.ToInstance = b.name
	}
	return l
}

// Links implements target.Linker.
func (e *Environment) Links(targets []target.Target, to, port string) ([]target.Link, error) {
	for _, t := range targets {
		i, err := e.instance(t)
		if err != nil {
			return nil, err
		}
		if _, served := i.httpPort(); to == "" && served && i.door == nil {
			return nil, fmt.Errorf("%s is reached from here only the way that its traffic takes, so a fault on all its links would hit the measuring as well: name the other end, with to", i.name)
		}
	}
	return target.FindLinks(e.allLinks(), targets, to, port)
}

// instancesOf answers the instances at the ends of a link; from outside there is no first one.
func (e *Environment) instancesOf(l target.Link) (from, to *instance, err error) {
	callers := e.of(l.From)
	if l.From == target.Outside {
		callers = []*instance{nil}
	}
	for _, a := range callers {
		for _, b := range e.of(l.To) {
			if e.linkOf(a, b) == l.AllPorts() {
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
	found := ends{caller: from, callee: to, port: l.Port}
	if found.ports, err = portsOf(to.spec, l.Port); err != nil {
		return ends{}, fmt.Errorf("%s: %w", to.service, err)
	}
	callee, err := to.networked(ctx)
	if err != nil {
		return ends{}, err
	}
	found.started[1] = callee.State.StartedAt
	if from == nil {
		return e.outside(ctx, found, callee)
	}
	caller, err := from.networked(ctx)
	if err != nil {
		return ends{}, err
	}
	found.started[0] = caller.State.StartedAt
	found.callers, found.callees = shared(caller, callee), shared(callee, caller)
	if len(found.callers) == 0 || len(found.callees) == 0 {
		return ends{}, fmt.Errorf("%s and %s share no network", from.name, to.name)
	}
	found.asked = found.callees[0]
	return found, nil
}

// networked inspects an instance that must run, in a network of its own.
func (i *instance) networked(ctx context.Context) (container.InspectResponse, error) {
	info, err := i.inspect(ctx)
	if err != nil {
		return info, err
	}
	if info.State.Pid == 0 {
		return info, fmt.Errorf("%s does not run", i.name)
	}
	if mode := info.HostConfig.NetworkMode; mode.IsHost() || mode.IsContainer() {
		return info, fmt.Errorf("%s has no network of its own (network_mode: %s), so a fault on its links would hit others as well", i.name, mode)
	}
	return info, nil
}

// portsOf answers a service's port of a name, or all of them without one.
func portsOf(s spec.Service, name string) ([]uint16, error) {
	names := slices.Sorted(maps.Keys(s.Ports))
	if name != "" && !slices.Contains(names, name) {
		return nil, fmt.Errorf("there is no port named %s; there are %s", name, strings.Join(names, ", "))
	}
	if name != "" {
		names = []string{name}
	}
	var all []uint16
	for _, name := range names {
		n, err := strconv.ParseUint(s.Ports[name], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("port %s: %w", name, err)
		}
		all = append(all, uint16(n))
	}
	return all, nil
}
