package impair

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The ends of a link between two namespaces: what is sent within one is never led elsewhere.
var (
	here   = []netip.Prefix{netip.MustParsePrefix("10.99.0.1/24"), netip.MustParsePrefix("fd99::1/64")}
	there  = []netip.Prefix{netip.MustParsePrefix("10.99.0.2/24"), netip.MustParsePrefix("fd99::2/64")}
	beside = []netip.Prefix{netip.MustParsePrefix("10.99.0.3/24"), netip.MustParsePrefix("fd99::3/64")}
)

// elsewhere is another network namespace, with a cable to this one: what it is told to do is done there.
type elsewhere chan func()

func newElsewhere(t *testing.T) elsewhere {
	t.Helper()
	e, ready := make(elsewhere), make(chan error, 1)
	home, err := os.Open("/proc/self/ns/net")
	must(t, err)
	defer home.Close()
	onThread(func() {
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = cable(home)
		}
		if err == nil {
			err = furnish("there", slices.Concat(there, beside))
		}
		ready <- err
		for do := range e {
			do()
		}
	})
	t.Cleanup(func() {
		i, err := net.InterfaceByName("here")
		must(t, err)
		must(t, route(unix.RTM_DELLINK, 0, index(i.Index))) // with what is there
		close(e)
	})
	must(t, <-ready)
	must(t, furnish("here", here))
	return e
}

// onThread does something on a thread of its own, which ends with it, and its namespace as well. It is not the first thread: that one's namespace is taken for the process's.
func onThread(do func()) {
	begun := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			onThread(do)
			runtime.UnlockOSThread()
			close(begun)
			return
		}
		close(begun)
		do() // not unlocked
	}()
	<-begun
}

// cable makes a pair of interfaces, of which one is here and one in another namespace.
func cable(home *os.File) error {
	marshal := func(attrs ...netlink.Attribute) []byte {
		b, _ := netlink.MarshalAttributes(attrs) // they are small
		return b
	}
	end := append(make([]byte, unix.SizeofIfInfomsg), marshal(text(unix.IFLA_IFNAME, "here"), netlink.Attribute{Type: unix.IFLA_NET_NS_FD, Data: native(uint32(home.Fd()))})...)
	const vethInfoPeer = 1
	kind := marshal(text(unix.IFLA_INFO_KIND, "veth"), netlink.Attribute{Type: unix.NLA_F_NESTED | unix.IFLA_INFO_DATA, Data: marshal(netlink.Attribute{Type: unix.NLA_F_NESTED | vethInfoPeer, Data: end})})
	return route(unix.RTM_NEWLINK, netlink.Create, append(make([]byte, unix.SizeofIfInfomsg),
		marshal(text(unix.IFLA_IFNAME, "there"), netlink.Attribute{Type: unix.NLA_F_NESTED | unix.IFLA_LINKINFO, Data: kind})...))
}

// furnish brings an interface up with addresses.
func furnish(name string, all []netip.Prefix) error {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	for _, p := range all {
		family := byte(unix.AF_INET)
		if p.Addr().Is6() {
			family = unix.AF_INET6
		}
		attrs, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.IFA_LOCAL, Data: p.Addr().AsSlice()}, {Type: unix.IFA_ADDRESS, Data: p.Addr().AsSlice()}})
		if err != nil {
			return err
		}
		if err := route(unix.RTM_NEWADDR, netlink.Create, append(append([]byte{family, byte(p.Bits()), unix.IFA_F_NODAD, 0}, native(uint32(i.Index))...), attrs...)); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	up := index(i.Index)
	up[8], up[12] = unix.IFF_UP, unix.IFF_UP
	return route(unix.RTM_NEWLINK, 0, up)
}

// index is a struct ifinfomsg of one interface.
func index(n int) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	copy(b[4:], native(uint32(n)))
	return b
}

func native(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func route(kind netlink.HeaderType, flags netlink.HeaderFlags, data []byte) error {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return err
	}
	_, err = conn.Execute(netlink.Message{Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Acknowledge | flags}, Data: data})
	return errors.Join(err, conn.Close())
}

// dial connects from an address there.
func (e elsewhere) dial(from netip.AddrPort, to netip.AddrPort) (conn net.Conn, err error) {
	done := make(chan struct{})
	e <- func() {
		defer close(done)
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(from), Timeout: 5 * time.Second}
		conn, err = d.Dial("tcp", to.String())
	}
	<-done
	return conn, err
}

func (e elsewhere) connected(t *testing.T, from netip.Addr, to netip.AddrPort) net.Conn {
	t.Helper()
	return e.connectedFrom(t, netip.AddrPortFrom(from, 0), to)
}

func (e elsewhere) connectedFrom(t *testing.T, from, to netip.AddrPort) net.Conn {
	t.Helper()
	var c net.Conn
	eventually(t, "the cable carries", func() (ok bool) {
		var err error
		c, err = e.dial(from, to)
		return err == nil
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// booth takes connections that were led to it, and tells each where it wanted to go, whenever it is asked.
func booth(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				to, err := Destination(c.(*net.TCPConn))
				for err == nil {
					if _, err = io.ReadFull(c, make([]byte, 4)); err == nil {
						_, err = fmt.Fprintf(c, "%-40s", to)
					}
				}
			}()
		}
	}()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// led says where the other end of a connection is: at a booth, that wants to pass it on to somewhere, or where it wanted to go (then it is empty).
func led(t *testing.T, c net.Conn) string {
	t.Helper()
	must(t, c.SetDeadline(time.Now().Add(5*time.Second)))
	_, err := io.WriteString(c, "word")
	must(t, err)
	b := make([]byte, 4)
	_, err = io.ReadFull(c, b)
	must(t, err)
	if string(b) == "word" {
		return ""
	}
	rest := make([]byte, 36)
	_, err = io.ReadFull(c, rest)
	must(t, err)
	to, err := netip.ParseAddrPort(string(slices.DeleteFunc(append(b, rest...), func(x byte) bool { return x == ' ' })))
	must(t, err)
	return to.String()
}

// New connections of the peers are led elsewhere, in IPv4 and IPv6, those that there were are reset, and nobody else feels anything. What was led elsewhere goes on when new ones
// are not any more.
func TestRedirect(t *testing.T) {
	e := newElsewhere(t)
	port, other, at := echo(t), echo(t), booth(t)
	to := func(n int, port uint16) netip.AddrPort { return netip.AddrPortFrom(here[n].Addr(), port) }
	for n, family := range []string{"IPv4", "IPv6"} {
		old, stays := e.connected(t, there[n].Addr(), to(n, port)), e.connected(t, beside[n].Addr(), to(n, port))
		if led(t, old) != "" || led(t, stays) != "" {
			t.Fatalf("%s: led elsewhere before anybody asked for it", family)
		}
		r, err := Redirect(Link{Side: Callee, Peers: []netip.Addr{there[0].Addr(), there[1].Addr()}, Ports: []uint16{port}}, at)
		must(t, err)
		must(t, r.On())
		must(t, old.SetDeadline(time.Now().Add(5*time.Second)))
		if _, err := old.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: the connection that there was: %v", family, err)
		}
		fresh := e.connected(t, there[n].Addr(), to(n, port))
		if got := led(t, fresh); got != to(n, port).String() {
			t.Errorf("%s: a new connection was led away from %q, want %s", family, got, to(n, port))
		}
		for name, c := range map[string]net.Conn{
			"one of another": stays, "a new one of another": e.connected(t, beside[n].Addr(), to(n, port)), "one to another port": e.connected(t, there[n].Addr(), to(n, other)),
			"one from here": connected(t, here[n].Addr(), here[n].Addr(), port),
		} {
			if got := led(t, c); got != "" {
				t.Errorf("%s: %s is led elsewhere", family, name)
			}
		}
		must(t, r.Release())
		if got := led(t, e.connected(t, there[n].Addr(), to(n, port))); got != "" {
			t.Errorf("%s: at its end a new connection is led elsewhere", family)
		}
		if got := led(t, fresh); got != to(n, port).String() {
			t.Errorf("%s: at its end the one that was led elsewhere is at %q", family, got)
		}
		must(t, r.Stop())
		must(t, r.Stop()) // once more
		wantError(t, r.On(), "taken off")
		if got := tables(t); got != 0 {
			t.Errorf("%s: %d tables are left", family, got)
		}
	}
}

// Strangers are everybody but those who are excepted, what this namespace sends to itself, and what is spared.
func TestRedirectOfStrangers(t *testing.T) {
	e := newElsewhere(t)
	port, at := echo(t), booth(t)
	for n, family := range []string{"IPv4", "IPv6"} {
		to := netip.AddrPortFrom(here[n].Addr(), port)
		spared := netip.AddrPortFrom(there[n].Addr(), 62007)
		old, excepted, scraped := e.connected(t, there[n].Addr(), to), e.connected(t, beside[n].Addr(), to), e.connectedFrom(t, spared, to)
		r, err := Redirect(Link{
			Side: Callee, Strangers: true, Except: []netip.Addr{beside[n].Addr()}, Ours: []netip.Addr{there[n].Addr()}, Spared: Range{First: 62000, Last: 62999}, Ports: []uint16{port},
		}, at)
		must(t, err)
		if _, err := old.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: the connection that there was: %v", family, err)
		}
		if got := led(t, e.connected(t, there[n].Addr(), to)); got != to.String() {
			t.Errorf("%s: a new connection was led away from %q", family, got)
		}
		spared = netip.AddrPortFrom(there[n].Addr(), 62008)
		for name, c := range map[string]net.Conn{
			"excepted": excepted, "a new one that is excepted": e.connected(t, beside[n].Addr(), to), "spared": scraped, "a new one that is spared": e.connectedFrom(t, spared, to),
			"one from here": connected(t, here[n].Addr(), here[n].Addr(), port),
		} {
			if got := led(t, c); got != "" {
				t.Errorf("%s: %s is led elsewhere", family, name)
			}
		}
		must(t, r.Stop())
	}
}

// A connection that was not reset at the begin, as some kernels cannot, is reset with its next packet.
func TestRedirectRefusesWhatThereWas(t *testing.T) {
	e := newElsewhere(t)
	port, at := echo(t), booth(t)
	to := netip.AddrPortFrom(here[0].Addr(), port)
	old := e.connected(t, there[0].Addr(), to)
	led(t, old)
	rules, err := dialTable(unix.NFPROTO_INET)
	must(t, err)
	must(t, rules.lead(Link{Side: Callee, Peers: []netip.Addr{there[0].Addr()}, Ports: []uint16{port}}, at))
	if _, err := trip(old, 5*time.Second); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
	must(t, rules.remove())
}

func TestRedirectionsThatCannotBe(t *testing.T) {
	_, err := Redirect(Link{Side: Caller, Peers: []netip.Addr{caller}, Ports: []uint16{1}}, 2)
	wantError(t, err, "expected callee")
	_, err = Redirect(Link{Side: Callee, Ports: []uint16{1}}, 2)
	wantError(t, err, "there are no peers")
}
