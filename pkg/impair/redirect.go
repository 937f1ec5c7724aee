package impair

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Redirection leads the new connections of a link to another port of its callee's namespace. Connections that there were are reset: at once where the kernel can do that, else with
// the next packet from their caller. It is safe for concurrent use.
//
// Like a fault on packets it belongs to this process, and ends with it. Connections that were led elsewhere cannot go on then.
type Redirection struct {
	mu    sync.Mutex
	rules *table
}

// Where chains stand that change destinations.
const (
	redirection       = "redirection"
	tracking          = "tracking"
	changeDestination = -100
)

// Redirect begins to lead connections to a port, at which somebody listens by now. The link must be that of a callee.
func Redirect(l Link, port uint16) (*Redirection, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	if l.Side != Callee {
		return nil, fmt.Errorf("side is %q, expected %s: that is where connections arrive", l.Side, Callee)
	}
	t, err := dialTable(unix.NFPROTO_INET)
	if err != nil {
		return nil, err
	}
	if err := t.lead(l, port); err != nil {
		return nil, errors.Join(fmt.Errorf("lead the link's connections elsewhere (that takes Linux 5.12 with nftables and NAT): %w", err), t.conn.Close())
	}
	if err := endConnections(l); err != nil {
		return nil, errors.Join(err, t.remove())
	}
	return &Redirection{rules: t}, nil
}

// lead makes the table with its rules, and reads back that they are there.
func (t *table) lead(l Link, port uint16) error {
	b := &batch{family: unix.NFPROTO_INET}
	b.table(t.name)
	b.chain(t.name, redirection, "nat", prerouting, changeDestination)
	opens := flagsAre(synFlag|ackFlag, synFlag) // what a kernel takes for new may be the middle of a connection
	leads := []expr.Any{&expr.Counter{}, &expr.Immediate{Register: 1, Data: binary.BigEndian.AppendUint16(nil, port)}, &expr.Redir{RegisterProtoMin: 1}}
	t.rules += b.rulesOf(t.name, redirection, l, []uint8{unix.IPPROTO_TCP}, append(opens, leads...)...)
	// Nothing comes to this chain. The kernel keeps track of connections only as long as there is a rule that needs it, and those that were led elsewhere need it to their end.
	b.aside(t.name, tracking)
	b.rule(t.name, tracking, leads)
	t.rules++
	b.chain(t.name, refusal, "filter", localIn, usual)
	t.rules += b.refuse(t.name, l)
	if err := b.commit(t.conn); err != nil {
		return err
	}
	return t.whole()
}

// On reads back whether connections are led elsewhere; nil if they are.
func (r *Redirection) On() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rules.whole()
}

// Release lets new connections go where they want to. Those that were led elsewhere stay there, until Stop.
func (r *Redirection) Release() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rules.empty(redirection, refusal)
}

// Stop ends it, verifies that nothing is left, and is idempotent.
func (r *Redirection) Stop() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rules.remove()
}

// Destination answers where a connection that was led here wanted to go.
func Destination(c *net.TCPConn) (netip.AddrPort, error) {
	way, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, err
	}
	remote, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.AddrPort{}, err
	}
	var to netip.AddrPort
	var failed error
	err = way.Control(func(fd uintptr) {
		if remote.Addr().Unmap().Is4() {
			to, failed = destination4(int(fd))
		} else {
			to, failed = destination6(int(fd))
		}
	})
	return to, errors.Join(err, failed)
}

// originalDestination is SO_ORIGINAL_DST, and IP6T_SO_ORIGINAL_DST.
const originalDestination = 80

// destination4 reads a struct sockaddr_in, for which there is no function: another one of that size is.
func destination4(fd int) (netip.AddrPort, error) {
	m, err := unix.GetsockoptIPv6Mreq(fd, unix.SOL_IP, originalDestination)
	if err != nil {
		return netip.AddrPort{}, err
	}
	b := m.Multiaddr
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:])), nil
}

func destination6(fd int) (netip.AddrPort, error) {
	m, err := unix.GetsockoptIPv6MTUInfo(fd, unix.SOL_IPV6, originalDestination)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port := binary.NativeEndian.AppendUint16(nil, m.Addr.Port) // it is as it was sent
	return netip.AddrPortFrom(netip.AddrFrom16(m.Addr.Addr), binary.BigEndian.Uint16(port)), nil
}
