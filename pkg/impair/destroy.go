package impair

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The kernel's words for sockets, from linux/sock_diag.h and linux/inet_diag.h.
const (
	sockDiagByFamily = 20
	sockDestroy      = 21
	socketIDAt       = 8 // in struct inet_diag_req_v2; in struct inet_diag_msg at 4
	socketIDLength   = 48
	requestLength    = socketIDAt + socketIDLength
	established      = 1 // TCP_ESTABLISHED
	closeWait        = 8
)

// endConnections has the kernel reset the connections of a link that there are, seen from its callee. One that cannot is no error.
func endConnections(l Link) error {
	conn, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		err = errors.Join(err, endFamily(conn, family, l))
	}
	return errors.Join(err, conn.Close())
}

func endFamily(conn *netlink.Conn, family uint8, l Link) error {
	if err := conn.SetDeadline(time.Now().Add(kernelAnswer)); err != nil {
		return err
	}
	all, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: sockDiagByFamily, Flags: netlink.Request | netlink.Dump}, Data: socketRequest(family, make([]byte, socketIDLength)),
	})
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil // a kernel without this
	}
	if err != nil {
		return fmt.Errorf("list the connections of the link: %w", err)
	}
	for _, m := range all {
		const idAt = 4
		if len(m.Data) < idAt+socketIDLength || !l.has(m.Data[0], m.Data[idAt:idAt+socketIDLength]) {
			continue
		}
		_, err := conn.Execute(netlink.Message{
			Header: netlink.Header{Type: sockDestroy, Flags: netlink.Request | netlink.Acknowledge}, Data: socketRequest(m.Data[0], m.Data[idAt:idAt+socketIDLength]),
		})
		switch {
		case errors.Is(err, unix.EOPNOTSUPP):
			return nil
		case err != nil && !errors.Is(err, unix.ENOENT): // it has ended
			return fmt.Errorf("reset a connection of the link: %w", err)
		}
	}
	return nil
}

// socketRequest is a struct inet_diag_req_v2 for connections of TCP.
func socketRequest(family uint8, id []byte) []byte {
	b := make([]byte, requestLength)
	b[0], b[1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[4:], 1<<established|1<<closeWait)
	copy(b[socketIDAt:], id)
	return b
}

// has says whether a socket is the callee's end of a connection of the link. The id is a struct inet_diag_sockid: both ports, both addresses, each with room for IPv6.
func (l Link) has(family uint8, id []byte) bool {
	own, peer := address16(family, id[4:20]), address16(family, id[20:36])
	from := netip.AddrPortFrom(peer, binary.BigEndian.Uint16(id[2:]))
	if !slices.Contains(l.Ports, binary.BigEndian.Uint16(id)) {
		return false
	}
	if !l.Strangers {
		return slices.Contains(l.Peers, peer)
	}
	spared := l.Spared.Has(from.Port()) && slices.Contains(l.Ours, peer)
	return own != peer && !peer.IsLoopback() && !slices.Contains(l.Except, peer) && !spared
}

func address16(family uint8, b []byte) netip.Addr {
	if family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(b))
	}
	return netip.AddrFrom16([16]byte(b)).Unmap()
}
