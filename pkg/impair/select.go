package impair

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// rulesOf adds the rules for one chain and answers how many: what is not meant passes first, then comes a rule for each peer, protocol and port.
func (b *batch) rulesOf(table, chain string, l Link, protocols []uint8, does ...expr.Any) int {
	var all [][]expr.Any
	passes := &expr.Verdict{Kind: expr.VerdictAccept}
	if l.Strangers {
		all = append(all, append(onLoopback(l.Side), passes))
	}
	for _, a := range l.Except {
		all = append(all, append(peerIs(l.Side, a), passes))
	}
	for _, a := range l.Ours {
		if l.Spared.Last > 0 {
			all = append(all, slices.Concat(peerIs(l.Side, a), callersPort(l.Side, l.Spared), []expr.Any{passes}))
		}
	}
	for _, proto := range protocols {
		for _, port := range l.Ports {
			its := calleesPort(l.Side, proto, port)
			if l.Strangers {
				all = append(all, append(its, does...))
			}
			for _, a := range l.Peers {
				all = append(all, slices.Concat(peerIs(l.Side, a), its, does))
			}
		}
	}
	for _, r := range all {
		b.rule(table, chain, r)
	}
	return len(all)
}

func is(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data} }

func transportField(offset uint32) expr.Any {
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2}
}

// Where a header has the ports.
const sourcePort, destinationPort = 0, 2

// peerIs selects packets by the address of who is at the other end.
func peerIs(side Side, peer netip.Addr) []expr.Any {
	peer = peer.Unmap()
	family, width, source := uint8(unix.NFPROTO_IPV4), uint32(4), uint32(12)
	if peer.Is6() {
		family, width, source = unix.NFPROTO_IPV6, 16, 8
	}
	at := source
	if side == Replies {
		at += width // the destination comes next
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, is([]byte{family}),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: at, Len: width}, is(peer.AsSlice()),
	}
}

// calleesPort selects packets by protocol and by the callee's port: where requests go, and where responses come from.
func calleesPort(side Side, proto uint8, port uint16) []expr.Any {
	at := uint32(sourcePort)
	if side == Callee {
		at = destinationPort
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, is([]byte{proto}), transportField(at), is(binary.BigEndian.AppendUint16(nil, port)),
	}
}

// callersPort selects packets of TCP by the other port.
func callersPort(side Side, r Range) []expr.Any {
	at := uint32(destinationPort)
	if side == Callee {
		at = sourcePort
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, is([]byte{unix.IPPROTO_TCP}), transportField(at),
		&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: binary.BigEndian.AppendUint16(nil, r.First), ToData: binary.BigEndian.AppendUint16(nil, r.Last)},
	}
}

// onLoopback selects what a namespace sends to itself.
func onLoopback(side Side) []expr.Any {
	const loopback = 1 // the index of the first interface of each namespace
	key := expr.MetaKeyIIF
	if side == Replies {
		key = expr.MetaKeyOIF
	}
	return append(marked(markCopy, 0), &expr.Meta{Key: key, Register: 1}, is(binary.NativeEndian.AppendUint32(nil, loopback)))
}
