package impair

import (
	"encoding/binary"
	"errors"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Bits of the mark that the kernel keeps beside a packet, within one network namespace.
const (
	markTwice = 1 << 30 // it is to go on twice
	markCopy  = 1 << 29 // it is the second of two; this one stays, so that no copy is made of a copy
)

// doubling are the families for which a kernel can copy packets: there is no common one.
var doubling = []uint8{unix.NFPROTO_IPV4, unix.NFPROTO_IPV6}

// double adds the rules by which a packet that is to go on twice does, and answers how many. The kernel sends the copy to the packet's own destination. Where packets arrive that is
// this namespace, so the copy comes in once more, by the loopback interface; where they depart it takes the packet's way. It passes this chain, and meets the others as any packet does.
func (b *batch) double(table, chain string) (rules int) {
	all := [][]expr.Any{
		append(marked(markCopy, markCopy), &expr.Verdict{Kind: expr.VerdictAccept}),
		append(marked(markTwice, markTwice),
			&expr.Counter{},
			&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}, masked(^uint32(markTwice), markCopy), setMark(),
			destination(b.family), &expr.Dup{RegAddr: 1},
			&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}, masked(^uint32(markCopy), 0), setMark(),
			&expr.Verdict{Kind: expr.VerdictAccept}),
	}
	for _, r := range all {
		b.rule(table, chain, r)
	}
	return len(all)
}

// canDouble sees whether the kernel can copy packets.
func canDouble() error {
	var errs []error
	for _, family := range doubling {
		errs = append(errs, try(family, destination(family), &expr.Dup{RegAddr: 1}))
	}
	return errors.Join(errs...)
}

// destination reads where a packet goes.
func destination(family uint8) expr.Any {
	at, width := uint32(16), uint32(4)
	if family == unix.NFPROTO_IPV6 {
		at, width = 24, 16
	}
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: at, Len: width}
}

// marked selects packets by some bits of their mark.
func marked(bits, are uint32) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}, masked(bits, 0), is(binary.NativeEndian.AppendUint32(nil, are))}
}

// masked keeps some bits of a register and turns others over.
func masked(keep, turn uint32) expr.Any {
	return &expr.Bitwise{
		SourceRegister: 1, DestRegister: 1, Len: 4,
		Mask: binary.NativeEndian.AppendUint32(nil, keep), Xor: binary.NativeEndian.AppendUint32(nil, turn),
	}
}

func setMark() expr.Any { return &expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1} }
