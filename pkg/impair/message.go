package impair

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// The kernel's words for a queue of packets, from linux/netfilter/nfnetlink_queue.h.
const (
	msgPacket  = unix.NFNL_SUBSYS_QUEUE << 8
	msgVerdict = unix.NFNL_SUBSYS_QUEUE<<8 | 1
	msgConfig  = unix.NFNL_SUBSYS_QUEUE<<8 | 2

	cfgCommand, cfgParams, cfgMaxLen, cfgMask, cfgFlags = 1, 2, 3, 4, 5

	commandBind  = 1
	copyPacket   = 2
	flagFailOpen = 1 // a full queue lets packets pass
	flagGSO      = 4 // what was not cut into packets is handed over whole

	attrPacket, attrVerdict, attrMark, attrPayload, attrLength = 1, 2, 3, 10, 13

	verdictDrop, verdictAccept, verdictRepeat = 0, 1, 4 // repeat: through the same rules again
)

// read takes the packets out of what the kernel has sent. That it does not have a packet any more on which there was a verdict is no error.
func read(b []byte, each func(arrived)) error {
	for len(b) >= unix.NLMSG_HDRLEN {
		length := int(binary.NativeEndian.Uint32(b))
		if length < unix.NLMSG_HDRLEN || length > len(b) {
			return nil
		}
		body := b[unix.NLMSG_HDRLEN:length]
		switch kind := binary.NativeEndian.Uint16(b[4:]); {
		case kind == msgPacket && len(body) >= 4:
			if p, ok := readPacket(body[4:]); ok {
				each(p)
			}
		case kind == unix.NLMSG_ERROR && len(body) >= 4:
			if code := unix.Errno(-int32(binary.NativeEndian.Uint32(body))); code != 0 && code != unix.ENOENT {
				return fmt.Errorf("the kernel refuses a verdict: %w", code)
			}
		}
		b = b[min(len(b), align(length)):]
	}
	return nil
}

func align(n int) int { return (n + 3) &^ 3 }

// readPacket reads the attributes of one packet.
func readPacket(b []byte) (p arrived, ok bool) {
	for len(b) >= unix.NLA_HDRLEN {
		length := int(binary.NativeEndian.Uint16(b))
		if length < unix.NLA_HDRLEN || length > len(b) {
			break
		}
		data := b[unix.NLA_HDRLEN:length]
		switch kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER); {
		case kind == attrPacket && len(data) >= 4:
			p.id, ok = binary.BigEndian.Uint32(data), true
		case kind == attrLength && len(data) >= 4:
			p.length = int(binary.BigEndian.Uint32(data)) // only of one that was cut short
		case kind == attrMark && len(data) >= 4:
			p.mark = binary.BigEndian.Uint32(data)
		case kind == attrPayload:
			p.data = data
		}
		b = b[min(len(b), align(length)):]
	}
	p.length = max(p.length, len(p.data))
	return p, ok
}
