package docker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
)

// outside completes the ends of a link from outside: everybody but those whom the engine knows in the callee's networks and nothing from outside may hit.
func (e *Environment) outside(ctx context.Context, found ends, callee container.InspectResponse) (ends, error) {
	own, err := ownAddresses()
	if err != nil {
		return ends{}, err
	}
	at, ok := found.callee.reached(callee)
	if !ok {
		return ends{}, fmt.Errorf("%s is in no network", found.callee.name)
	}
	found.callees, found.asked, found.gateways = shared(callee, callee), at.address, unique(gateways(callee, own))
	services, err := e.services(ctx, callee)
	if err != nil {
		return ends{}, err
	}
	others, err := e.bystanders(ctx, callee)
	if err != nil {
		return ends{}, err
	}
	found.insiders = insiders(services, others, own)
	return found, nil
}

// insiders are the addresses of services and bystanders. Where this program runs in a container itself, it is outside all the same.
func insiders(services, bystanders, own []netip.Addr) []netip.Addr {
	bystanders = slices.DeleteFunc(bystanders, func(a netip.Addr) bool { return slices.Contains(own, a) })
	return unique(slices.Concat(services, bystanders))
}

// unique sorts addresses and has each once.
func unique(all []netip.Addr) []netip.Addr {
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// services are the addresses, in a callee's networks, of the other instances.
func (e *Environment) services(ctx context.Context, callee container.InspectResponse) (all []netip.Addr, err error) {
	for _, i := range e.instances {
		if i.id == callee.ID {
			continue
		}
		info, err := e.engine.ContainerInspect(ctx, i.id)
		switch {
		case cerrdefs.IsNotFound(err):
			continue
		case err != nil:
			return nil, fmt.Errorf("inspect %s: %w", i.name, err)
		}
		all = append(all, shared(info, callee)...)
	}
	return all, nil
}

// bystanders are the addresses, in a callee's networks, of containers that are nobody's to hit: those that are protected, and those that are not the project's own. Who has the
// network of another container is met at that one's addresses.
func (e *Environment) bystanders(ctx context.Context, callee container.InspectResponse) (all []netip.Addr, err error) {
	listed, err := e.running(ctx)
	if err != nil {
		return nil, err
	}
	spares := map[string]bool{}
	for _, c := range listed {
		if _, ours := c.Labels[labelOurs]; !ours && e.spares(c) {
			spares[networkOwner(c, listed).ID] = true
		}
	}
	for _, c := range listed {
		if spares[c.ID] && c.ID != callee.ID {
			all = append(all, common(attachmentsTo(c.NetworkSettings.Networks), attachments(callee))...)
		}
	}
	return all, nil
}

// running lists all containers that run on the engine.
func (e *Environment) running(ctx context.Context) ([]container.Summary, error) {
	all, err := e.engine.ContainerList(ctx, container.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("see who shares a network: %w", err)
	}
	return all, nil
}

// spares says whether a container is nobody's to hit, be it a service of chaos.yaml or not.
func (e *Environment) spares(c container.Summary) bool {
	return c.Labels[labelProject] != e.opts.Project || protects(c.Labels[labelProtected])
}

// networkOwner is the container whose network one has: its own, but for network_mode.
func networkOwner(c container.Summary, all []container.Summary) container.Summary {
	for {
		n := slices.IndexFunc(all, func(of container.Summary) bool { return c.HostConfig.NetworkMode == networkOf+of.ID })
		if n < 0 {
			return c
		}
		c = all[n]
	}
}

// networkOf begins a network mode, before the container that has the network.
const networkOf = "container:"

// alone is nil if a fault on a link hits nobody by what he shares with its ends: no other container has the network namespace of one of them, and with callers outside nobody
// who is protected has that of the machine.
func (e *Environment) alone(ctx context.Context, at ends) error {
	all, err := e.running(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		if _, ours := c.Labels[labelOurs]; ours {
			continue
		}
		for _, i := range []*instance{at.caller, at.callee} {
			if i != nil && c.HostConfig.NetworkMode == networkOf+i.id {
				return fmt.Errorf("the container %.12s has the network of %s (network_mode), so a fault on its links would hit it as well", c.ID, i.name)
			}
		}
		onMachine := container.NetworkMode(networkOwner(c, all).HostConfig.NetworkMode).IsHost()
		if at.caller == nil && onMachine && c.Labels[labelProject] == e.opts.Project && protects(c.Labels[labelProtected]) {
			return fmt.Errorf("%s is protected by its label %s and has the network of the machine (network_mode: host), where its packets cannot be told from those of callers outside: name the other end of the link, with to", c.Labels[labelService], labelProtected)
		}
	}
	return nil
}
