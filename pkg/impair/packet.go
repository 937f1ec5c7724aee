package impair

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// packet is what matters of one that has arrived.
type packet struct {
	flow    flow
	opens   bool // a TCP connection: SYN without ACK
	payload int  // bytes of it
	known   bool // its headers could be read
	// at is where the payload begins, behind the headers.
	at int
}

// flow is one direction of a connection.
type flow struct {
	source, destination netip.Addr
	proto               uint8
	from, to            uint16 // ports
}

// parse reads the headers of an IP packet, of which only the beginning need be there; length is that of all of it.
func parse(b []byte, length int) packet {
	if len(b) < 1 {
		return packet{}
	}
	switch b[0] >> 4 {
	case 4:
		return parse4(b, length)
	case 6:
		return parse6(b, length)
	}
	return packet{}
}

func parse4(b []byte, length int) packet {
	const least = 20
	if len(b) < least {
		return packet{}
	}
	header := int(b[0]&0x0f) * 4
	if header < least || len(b) < header {
		return packet{}
	}
	f := flow{source: address(b[12:16]), destination: address(b[16:20]), proto: b[9]}
	if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
		return packet{flow: f} // a later fragment has no ports
	}
	return transport(b, header, length, f)
}

func parse6(b []byte, length int) packet {
	const header = 40
	if len(b) < header {
		return packet{}
	}
	return transport(b, header, length, flow{source: address(b[8:24]), destination: address(b[24:40]), proto: b[6]})
}

func address(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b) // of four or sixteen bytes it is one
	return a
}

// caller is the address and the port of who has begun the connection, as a side sees it.
func (f flow) caller(side Side) netip.AddrPort {
	if side == Callee {
		return netip.AddrPortFrom(f.source, f.from)
	}
	return netip.AddrPortFrom(f.destination, f.to)
}

// transport reads the header of TCP or UDP at an offset. Behind others, such as IPv6 has, it is not looked for.
func transport(b []byte, at, length int, f flow) packet {
	if len(b) < at+8 {
		return packet{flow: f}
	}
	p := packet{flow: f}
	switch f.proto {
	case unix.IPPROTO_TCP:
		if len(b) < at+20 {
			return p
		}
		p.at = at + int(b[at+12]>>4)*4
		const syn, ack = 0x02, 0x10
		p.opens = b[at+13]&(syn|ack) == syn
	case unix.IPPROTO_UDP:
		p.at = at + 8
	default:
		return p
	}
	p.flow.from, p.flow.to = binary.BigEndian.Uint16(b[at:]), binary.BigEndian.Uint16(b[at+2:])
	p.payload, p.known = max(0, length-p.at), true
	return p
}
