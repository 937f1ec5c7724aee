package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"chaosgate/pkg/impair"
	"chaosgate/pkg/target"
)

// The labels of a helper that has a fault on a link.
const (
	labelLink  = "chaosgate.link"
	labelFault = "chaosgate.fault"
)

// linkFault is a fault on a link: a helper at each end at which packets are met, where they arrive.
type linkFault struct {
	ends    ends
	fault   target.LinkFault
	helpers map[impair.Side]*helper
}

// status is what a helper says of its fault.
type status struct {
	On      bool
	Problem string
	Counts  impair.Counts
}

// sides are where the packets of a fault's direction are met: where they arrive, or where they depart if they go outside, where nothing can be done to them.
func (e ends) sides(f target.LinkFault) []impair.Side {
	responses := impair.Caller
	if e.caller == nil {
		responses = impair.Replies
	}
	switch f.Direction {
	case "request":
		return []impair.Side{impair.Callee}
	case "response":
		return []impair.Side{responses}
	}
	return []impair.Side{impair.Callee, responses}
}

// at is a link as one of its ends sees it, and the container of that end.
func (e ends) at(side impair.Side) (*instance, impair.Link) {
	l := impair.Link{Side: side, Peers: e.callers, Ports: e.ports, Surveys: surveys}
	switch {
	case e.caller == nil:
		l.Strangers, l.Except, l.Ours, l.Spared = true, e.services, e.gateways, spared
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
	if have := e.links.fault(faultOn{l, name}); have != nil && have.fault == f && have.ends.same(now) {
		return nil
	}
	if err := e.Restore(ctx, l, name); err != nil {
		return err
	}
	if err := e.alone(ctx, now); err != nil {
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
		i, link := at.at(all[n])
		job, config := e.opts.Helpers.Jobs.Link(link, faultOf(f))
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

// faultOf says it in terms of packets.
func faultOf(f target.LinkFault) impair.Fault {
	return impair.Fault{
		Delay: time.Duration(f.Latency), Jitter: time.Duration(f.Jitter), Rate: f.Bandwidth, Drop: f.Partition, Reset: f.Reset,
		Loss: f.Loss, Corrupt: f.Corrupt, Reorder: f.Reorder,
	}
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

// release ends the leases of a fault's helpers; their end is seen to by Down.
func (f *linkFault) release() {
	for _, h := range f.helpers {
		h.release()
	}
}

// call sends a command to all helpers and answers what they say.
func (f *linkFault) call(ctx context.Context, command string) (map[impair.Side]status, error) {
	var mu sync.Mutex
	all := map[impair.Side]status{}
	there := slices.Collect(maps.Keys(f.helpers))
	err := together(len(there), func(n int) error {
		side := there[n]
		text, err := f.helpers[side].Call(ctx, command)
		var s status
		if err == nil && string(text) != "null" {
			err = json.Unmarshal(text, &s)
		}
		mu.Lock()
		defer mu.Unlock()
		all[side] = s
		if err != nil {
			err = fmt.Errorf("the helper at the %s: %w", side, f.helpers[side].stderr.with(err))
		}
		return err
	})
	return all, err
}

// Impair implements target.Linker.
func (e *Environment) Impair(ctx context.Context, l target.Link, name string, f target.LinkFault) error {
	if err := e.ArmLink(ctx, l, name, f); err != nil {
		return err
	}
	all, err := e.links.fault(faultOn{l, name}).call(ctx, "inject")
	if err == nil {
		err = missing(all)
	}
	if err != nil {
		return fmt.Errorf("impair the link %s: %w", l, err)
	}
	return nil
}

// missing is an error that says where a fault is not, and why; nil if it is at all ends.
func missing(all map[impair.Side]status) error {
	var errs []error
	for side, s := range all {
		if !s.On {
			errs = append(errs, fmt.Errorf("the fault is not at the %s: %s", side, cmp.Or(s.Problem, "it was not put there")))
		}
	}
	return errors.Join(errs...)
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

func (f *linkFault) revert(ctx context.Context, h *hosts) error {
	telling, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	if _, err := f.call(telling, "revert"); err == nil {
		f.release()
		return nil
	}
	// What it could not take back itself, or what it could not be told to, ends with it: the kernel takes it off.
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 2*helperTimeout)
	defer cancel()
	var errs []error
	for _, one := range f.helpers {
		err := one.remove(ctx)
		if err == nil {
			err = h.absent(ctx, one.id)
		}
		errs = append(errs, err)
		one.hang()
		h.drop(one)
	}
	return errors.Join(errs...)
}

// absent waits until a container is no more.
func (h *hosts) absent(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	return poll(ctx, func() (bool, error) {
		_, err := h.engine.ContainerInspect(ctx, id)
		if cerrdefs.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
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

func (f *linkFault) on(ctx context.Context, h *hosts, now ends) (bool, error) {
	if !f.ends.same(now) {
		return false, nil
	}
	all, err := f.call(ctx, "status")
	if err != nil {
		for _, one := range f.helpers {
			info, gone := h.engine.ContainerInspect(ctx, one.id)
			if cerrdefs.IsNotFound(gone) || gone == nil && !info.State.Running {
				return false, nil
			}
		}
		return false, err
	}
	return missing(all) == nil, nil
}

// Stats implements target.Linker: what the fault's helpers have met.
func (e *Environment) Stats(ctx context.Context, l target.Link, name string) (target.LinkStats, error) {
	f := e.links.fault(faultOn{l, name})
	if f == nil {
		return target.LinkStats{}, nil
	}
	all, err := f.call(ctx, "status")
	if err != nil {
		return target.LinkStats{}, fmt.Errorf("count what passes the link %s: %w", l, err)
	}
	in, out := all[impair.Callee].Counts, all[impair.Caller].Counts
	if replies, ok := all[impair.Replies]; ok {
		out = replies.Counts
	}
	return target.LinkStats{
		Connections: in.Connections, BytesIn: in.Bytes, BytesOut: out.Bytes,
		Packets: in.Packets + out.Packets, Changed: in.Changed + out.Changed, Missed: in.Missed + out.Missed,
	}, nil
}

// Restore implements target.LinkRestorer: it ends the helpers that a dead runner has left, and what they had on the link ends with them.
func (a *attached) Restore(ctx context.Context, l target.Link, name string) error {
	return a.with(func(engine *client.Client, r reference) error {
		return poll(ctx, func() (bool, error) {
			left, err := helpersOn(ctx, engine, r.Environment, l)
			n := 0
			for _, c := range left {
				if c.Labels[labelFault] != name {
					continue
				}
				n++
				if err := engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true}); err != nil && !goes(err) {
					return false, fmt.Errorf("remove the helper %.12s: %w", c.ID, err)
				}
			}
			return n == 0, err
		})
	})
}

// Impaired implements target.LinkRestorer: a fault is taken to be on a link as long as a helper of it is there.
func (a *attached) Impaired(ctx context.Context, l target.Link) (names []string, err error) {
	err = a.with(func(engine *client.Client, r reference) error {
		left, err := helpersOn(ctx, engine, r.Environment, l)
		for _, c := range left {
			names = append(names, c.Labels[labelFault])
		}
		slices.Sort(names)
		names = slices.Compact(names)
		return err
	})
	return names, err
}

func helpersOn(ctx context.Context, engine *client.Client, environment string, l target.Link) ([]container.Summary, error) {
	found, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("label", labelOurs+"="+mark(environment)), filters.Arg("label", labelLink+"="+l.String()))})
	if err != nil {
		return nil, fmt.Errorf("list the helpers: %w", err)
	}
	return found, nil
}
