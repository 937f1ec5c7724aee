package docker

import (
	"cmp"
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
)

// attachment is an address that a container has in a network, which may have one of each family.
type attachment struct {
	network string // the engine's id of it
	address netip.Addr
	gateway netip.Addr   // not valid: there is none
	subnet  netip.Prefix // not valid: it contains nothing
}

// attachments are those of a container's current start, by the names of its networks, IPv4 first; none while it does not run.
func attachments(info container.InspectResponse) []attachment {
	return attachmentsTo(info.NetworkSettings.Networks)
}

func attachmentsTo(networks map[string]*network.EndpointSettings) (all []attachment) {
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		n := networks[name]
		if n == nil {
			continue
		}
		for _, of := range []struct {
			address, gateway string
			bits             int
		}{{n.IPAddress, n.Gateway, n.IPPrefixLen}, {n.GlobalIPv6Address, n.IPv6Gateway, n.GlobalIPv6PrefixLen}} {
			address, err := netip.ParseAddr(of.address)
			if err != nil {
				continue
			}
			a := attachment{network: n.NetworkID, address: address}
			a.gateway, _ = netip.ParseAddr(of.gateway)
			a.subnet, _ = address.Prefix(of.bits)
			all = append(all, a)
		}
	}
	return all
}

// at is a port of the container.
func (a attachment) at(port string) string { return net.JoinHostPort(a.address.String(), port) }

// same says whether this is one way over two starts: its address may be another.
func (a attachment) same(b attachment) bool {
	return a.network == b.network && a.address.Is4() == b.address.Is4()
}

// knownBy are the addresses by which this machine is known there, given its own: the gateway's, and those that it has there itself, as engines name no gateway of an internal network.
func (a attachment) knownBy(own []netip.Addr) (all []netip.Addr) {
	if a.gateway.IsValid() {
		all = append(all, a.gateway)
	}
	for _, one := range own {
		if a.subnet.Contains(one) {
			all = append(all, one)
		}
	}
	return all
}

// nearness is how certain it is that this machine reaches a container there.
type nearness int

const (
	unknown  nearness = iota // a router may lead there, but this machine has no part in it
	inSubnet                 // this machine has an address there, unless the network only borrows the addresses of one around it
	gateway                  // this machine leads out of it
)

func (a attachment) nearness(own []netip.Addr) nearness {
	switch {
	case slices.Contains(own, a.gateway):
		return gateway
	case slices.ContainsFunc(own, a.subnet.Contains):
		return inSubnet
	}
	return unknown
}

// byNearness puts the nearest first, and keeps the order of the others.
func byNearness(all []attachment, own []netip.Addr) []attachment {
	slices.SortStableFunc(all, func(a, b attachment) int { return cmp.Compare(b.nearness(own), a.nearness(own)) })
	return all
}

// known are those in which this machine is known, the nearest first.
func known(all []attachment, own []netip.Addr) []attachment {
	return slices.DeleteFunc(byNearness(all, own), func(a attachment) bool { return a.nearness(own) == unknown })
}

// reached is where this machine reaches the container in its networks: over the way that was found open, else by the nearest address that it has; false if it has none.
func (i *instance) reached(info container.InspectResponse) (attachment, bool) {
	all := byNearness(attachments(info), i.own)
	if n := slices.IndexFunc(all, i.way.same); n >= 0 {
		return all[n], true
	}
	if len(all) == 0 {
		return attachment{}, false
	}
	return all[0], true
}

// gateways are the addresses by which this machine is known in a container's networks, given those that it has.
func gateways(info container.InspectResponse, own []netip.Addr) (all []netip.Addr) {
	for _, a := range attachments(info) {
		all = append(all, a.knownBy(own)...)
	}
	return all
}

// shared answers the addresses that a container has in networks in which the other one is as well.
func shared(of, with container.InspectResponse) []netip.Addr {
	return common(attachments(of), attachments(with))
}

func common(of, with []attachment) (all []netip.Addr) {
	for _, a := range of {
		if slices.ContainsFunc(with, func(b attachment) bool { return a.network == b.network }) {
			all = append(all, a.address)
		}
	}
	return all
}
