package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"chaosgate/pkg/impair"
	"chaosgate/pkg/intercept"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// The labels of a helper that has a fault on a link.
const (
	labelLink  = "chaosgate.link"
	labelFault = "chaosgate.fault"
)

// sides are where the packets of a fault's direction are met: where they arrive, or where they depart if they go outside, where nothing can be done to them.
func (e ends) sides(f target.LinkFault) []impair.Side {
	responses := impair.Caller
	if e.caller == nil {
		responses = impair.Replies
	}
	switch {
	case f.HTTP.On(), f.Direction == "request":
		return []impair.Side{impair.Callee}
	case f.Direction == "response":
		return []impair.Side{responses}
	}
	return []impair.Side{impair.Callee, responses}
}

// job is what a helper at one end of a link does for a fault, and the container of that end.
func (e ends) job(jobs Jobs, side impair.Side, f target.LinkFault) (i *instance, job string, config any, err error) {
	i, link := e.at(side)
	if !f.HTTP.On() {
		job, config = jobs.Link(link, faultOf(f))
		return i, job, config, nil
	}
	port, ok := e.callee.httpPort()
	if !ok {
		return nil, "", nil, fmt.Errorf("%s has no port named %s", e.callee.service, spec.HTTPPort)
	}
	link.Ports = []uint16{uint16(port.Int())}
	job, config = jobs.Requests(link, f.HTTP)
	return i, job, config, nil
}

// at is a link as one of its ends sees it, and the container of that end.
func (e ends) at(side impair.Side) (*instance, impair.Link) {
	l := impair.Link{Side: side, Peers: e.callers, Ports: e.ports, Surveys: surveys}
	switch {
	case e.caller == nil:
		l.Strangers, l.Except, l.Ours, l.Spared = true, e.insiders, e.gateways, spared
	case side == impair.Caller:
		l.Peers = e.callees
		return e.caller, l
	}
	return e.callee, l
}

// Ref implements target.Linker.
func (e *Environment) Ref(l target.Link) target.Ref {
	id := reference{Endpoint: e.opts.Endpoint, Environment: e.id}
	if _, to, err := e.instancesOf(l); err == nil {
		id.Container = to.id
	}
	return target.Ref{Runtime: RuntimeName, Service: l.To, ID: id.String()}
}

// ArmLink implements target.Linker: it starts the fault's helpers.
func (e *Environment) ArmLink(ctx context.Context, l target.Link, name string, f target.LinkFault) error {
	now, err := e.endsOf(ctx, l)
	if err != nil {
		return err
	}
	for _, i := range []*instance{now.caller, now.callee} {
		if i != nil && i.protected {
			return i.refused()
		}
	}
	if err := e.alone(ctx, now); err != nil {
		return err
	}
	if have := e.links.fault(faultOn{l, name}); have != nil && have.fault == f && have.ends.same(now) {
		return nil
	}
	if err := e.Restore(ctx, l, name); err != nil {
		return err
	}
	armed, err := e.arm(ctx, l, name, f, now)
	if err != nil {
		return fmt.Errorf("start the helpers for the link %s: %w", l, err)
	}
	e.links.mu.Lock()
	defer e.links.mu.Unlock()
	e.links.faults[faultOn{l, name}] = armed
	return nil
}

func (e *Environment) arm(ctx context.Context, l target.Link, name string, f target.LinkFault, at ends) (*linkFault, error) {
	armed := &linkFault{ends: at, fault: f, helpers: map[impair.Side]*helper{}}
	all := at.sides(f)
	helpers := make([]*helper, len(all))
	err := together(len(all), func(n int) (err error) {
		i, job, config, err := at.job(e.opts.Helpers.Jobs, all[n], f)
		if err != nil {
			return err
		}
		helpers[n], err = e.hosts.start(ctx, job, config, rulesNetworkOf(i.id, map[string]string{labelLink: l.String(), labelFault: name}))
		return err
	})
	for n, h := range helpers {
		if h != nil {
			armed.helpers[all[n]] = h
		}
	}
	if err != nil {
		armed.release()
		return nil, err
	}
	return armed, nil
}

// together does something n times at once.
func together(n int, do func(int) error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Impair implements target.Linker.
func (e *Environment) Impair(ctx context.Context, l target.Link, name string, f target.LinkFault) error {
	if err := e.ArmLink(ctx, l, name, f); err != nil {
		return err
	}
	armed, err := e.links.begin(faultOn{l, name})
	if err == nil {
		var all map[impair.Side]status
		if all, err = armed.call(ctx, "inject"); err == nil {
			err = missing(all)
		}
	}
	if err != nil {
		return fmt.Errorf("impair the link %s: %w", l, err)
	}
	return nil
}

// Restore implements target.Linker. A helper that is dead has taken its fault with it.
func (e *Environment) Restore(ctx context.Context, l target.Link, name string) error {
	key := faultOn{l, name}
	f := e.links.fault(key)
	if f == nil {
		return nil
	}
	err := f.revert(ctx, e.hosts)
	if err != nil {
		return fmt.Errorf("restore the link %s: %w", l, err)
	}
	e.links.mu.Lock()
	defer e.links.mu.Unlock()
	delete(e.links.faults, key)
	return nil
}

// Impaired implements target.Linker. A fault is on the link if each of its helpers says so, and both ends are where they were when it was put there: one that was
// started again has another network namespace.
func (e *Environment) Impaired(ctx context.Context, l target.Link) ([]string, error) {
	faults := e.links.on(l)
	if len(faults) == 0 {
		return nil, nil
	}
	now, err := e.endsOf(ctx, l)
	if err != nil {
		return nil, e.offline(ctx, l, err)
	}
	var names []string
	for name, f := range faults {
		on, err := f.on(ctx, e.hosts, now)
		if err != nil {
			return nil, err
		}
		if on {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// offline is nil if an end of the link does not run: then there is no link, and nothing on it.
func (e *Environment) offline(ctx context.Context, l target.Link, err error) error {
	from, to, unknown := e.instancesOf(l)
	if unknown != nil {
		return unknown
	}
	for _, i := range []*instance{from, to} {
		if i == nil {
			continue
		}
		info, gone := i.inspect(ctx)
		if gone == nil && info.State.Pid == 0 {
			return nil
		}
	}
	return err
}

// Stats implements target.Linker: what the fault's helpers have met.
func (e *Environment) Stats(ctx context.Context, l target.Link, name string) (target.LinkStats, error) {
	f := e.links.fault(faultOn{l, name})
	if f == nil {
		return target.LinkStats{}, nil
	}
	all, err := e.links.counts(ctx, f)
	if err != nil {
		return target.LinkStats{}, fmt.Errorf("count what passes the link %s: %w", l, err)
	}
	if f.fault.HTTP.On() {
		return statsOf(all[impair.Callee].Requests), nil
	}
	in, out := all[impair.Callee].Counts, all[impair.Caller].Counts
	if replies, ok := all[impair.Replies]; ok {
		out = replies.Counts
	}
	if f.fault.Partition { // what is missed there is lost as well
		in.Missed, out.Missed = 0, 0
	}
	return target.LinkStats{
		Connections: in.Connections, BytesIn: in.Bytes, BytesOut: out.Bytes,
		Packets: in.Packets + out.Packets, Changed: in.Changed + out.Changed, Limited: in.Limited + out.Limited, Missed: in.Missed + out.Missed,
	}, nil
}

// statsOf is what a fault on HTTP requests has met.
func statsOf(n intercept.Counts) target.LinkStats {
	return target.LinkStats{
		Connections: n.Connections, BytesIn: n.BytesIn, BytesOut: n.BytesOut, Requests: n.Requests, Hit: n.Hit, Foreign: n.Foreign,
	}
}
