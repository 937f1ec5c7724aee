package impair

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"chaosgate/pkg/internal/testkit"
)

var (
	eventually = testkit.Eventually
	must       = testkit.Must
	wantError  = testkit.WantError
)

// The tests run in a network namespace of their own, in which the test binary starts itself again. What is done there touches nobody else.
func TestMain(m *testing.M) {
	switch os.Getenv("IMPAIR_ROLE") {
	case "victim":
		exitOn(victim())
	case "inside":
		exitOn(addresses())
		os.Exit(m.Run())
	}
	if slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.fuzz") }) {
		os.Exit(m.Run()) // it has files open that would not come along, and needs no namespace
	}
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "IMPAIR_ROLE=inside")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	err := cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		os.Exit(ended.ExitCode())
	}
	exitOn(err)
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "in a network namespace of its own:", err)
		os.Exit(1)
	}
}

// The ends of links in this namespace.
var (
	callee  = netip.MustParseAddr("127.0.0.1")
	caller  = netip.MustParseAddr("127.0.0.2")
	other   = netip.MustParseAddr("127.0.0.3")
	callee6 = netip.MustParseAddr("fd00::1")
	caller6 = netip.MustParseAddr("fd00::2")
)

// addresses brings up the loopback interface and gives it two addresses of IPv6.
func addresses() error {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	const loopback = 1
	up := make([]byte, unix.SizeofIfInfomsg)
	up[4], up[8], up[12] = loopback, unix.IFF_UP, unix.IFF_UP
	all := []netlink.Message{{Header: netlink.Header{Type: unix.RTM_NEWLINK, Flags: netlink.Request | netlink.Acknowledge}, Data: up}}
	for _, a := range []netip.Addr{callee6, caller6} {
		attrs, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.IFA_LOCAL, Data: a.AsSlice()}})
		if err != nil {
			return err
		}
		data := append([]byte{unix.AF_INET6, 128, unix.IFA_F_NODAD, unix.RT_SCOPE_HOST, loopback, 0, 0, 0}, attrs...)
		all = append(all, netlink.Message{Header: netlink.Header{Type: unix.RTM_NEWADDR, Flags: netlink.Request | netlink.Acknowledge | netlink.Create}, Data: data})
	}
	for _, m := range all {
		if _, err := conn.Execute(m); err != nil {
			return err
		}
	}
	for over := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) { // the routes come a little later
		d := net.Dialer{LocalAddr: &net.UDPAddr{IP: caller6.AsSlice()}}
		c, err := d.Dial("udp", netip.AddrPortFrom(callee6, 1).String())
		if err == nil {
			return c.Close()
		}
		if time.Now().After(over) {
			return err
		}
	}
}

// echo serves on a port of the callee's addresses: what is sent comes back.
func echo(t *testing.T) (port uint16) {
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
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// dial connects from one address to another.
func dial(from, to netip.Addr, port uint16) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Timeout: 2 * time.Second}
	return d.Dial("tcp", netip.AddrPortFrom(to, port).String())
}

// connected is a connection that ends with the test.
func connected(t *testing.T, from, to netip.Addr, port uint16) net.Conn {
	t.Helper()
	c, err := dial(from, to, port)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// trip sends a word and waits until it has come back.
func trip(c net.Conn, within time.Duration) (time.Duration, error) {
	began := time.Now()
	if err := c.SetDeadline(began.Add(within)); err != nil {
		return 0, err
	}
	if _, err := c.Write([]byte("word")); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(c, make([]byte, 4))
	return time.Since(began), err
}

// fastest of some round trips.
func fastest(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	best := time.Hour
	for range 5 {
		took, err := trip(c, 5*time.Second)
		must(t, err)
		best = min(best, took)
	}
	return best
}

func requests(port uint16) Link {
	return Link{Side: Callee, Peers: []netip.Addr{caller, caller6}, Ports: []uint16{port}}
}

func responses(port uint16) Link {
	return Link{Side: Caller, Peers: []netip.Addr{callee, callee6}, Ports: []uint16{port}}
}

// started is a fault that is taken off with the test.
func started(t *testing.T, l Link, f Fault) *Impairment {
	t.Helper()
	i, err := Start(l, f)
	must(t, err)
	t.Cleanup(func() {
		if err := i.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	if err := i.On(); err != nil {
		t.Errorf("it is not on the link: %v", err)
	}
	return i
}

// tables answers how many there are in the namespace.
func tables(t *testing.T) int {
	t.Helper()
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	must(t, err)
	defer conn.Close()
	found, err := conn.Execute(message(unix.NFPROTO_UNSPEC, unix.NFT_MSG_GETTABLE, netlink.Request|netlink.Dump))
	must(t, err)
	return len(found)
}

// victim cuts a link and waits to be killed.
func victim() error {
	port, err := strconv.ParseUint(os.Getenv("IMPAIR_PORT"), 10, 16)
	if err != nil {
		return err
	}
	if _, err := Start(requests(uint16(port)), Fault{Drop: true}); err != nil {
		return err
	}
	fmt.Println("cut")
	select {}
}
