package impair

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// Strangers are all but some, and some of ours; what the namespace sends to itself is not meant. Here all goes over the loopback interface, so that each rule is seen to let
// pass by itself.
func TestStrangers(t *testing.T) {
	l := Link{Side: Callee, Ports: []uint16{80}, Strangers: true, Except: []netip.Addr{caller}}
	i := started(t, l, Fault{Drop: true, Reset: true})
	if want := 2*2 + 2 + 1; i.rules.rules != want { // loopback and the exception in both chains, TCP and UDP, TCP
		t.Errorf("%d rules, want %d", i.rules.rules, want)
	}
	port := echo(t)
	whole := requests(port)
	whole.Ports, whole.Ours, whole.Spared = []uint16{port}, []netip.Addr{caller}, Range{61200, 61299}
	started(t, whole, Fault{Delay: 60 * time.Millisecond})
	spared := net.Dialer{LocalAddr: &net.TCPAddr{IP: caller.AsSlice(), Port: 61207}}
	c, err := spared.Dial("tcp", netip.AddrPortFrom(callee, port).String())
	must(t, err)
	defer c.Close()
	must(t, c.(*net.TCPConn).SetLinger(0))
	if took := fastest(t, c); took >= 60*time.Millisecond {
		t.Errorf("what is spared took %v", took)
	}
	if took := fastest(t, connected(t, caller, callee, port)); took < 60*time.Millisecond {
		t.Errorf("what is not spared took %v", took)
	}
}

// Responses can be met where they depart.
func TestReplies(t *testing.T) {
	const delay = 60 * time.Millisecond
	port := echo(t)
	c, c6 := connected(t, caller, callee, port), connected(t, caller6, callee6, port)
	l := Link{Side: Replies, Peers: []netip.Addr{caller, caller6}, Ports: []uint16{port}, Surveys: Range{1, 2}}
	i := started(t, l, Fault{Delay: delay})
	for name, c := range map[string]net.Conn{"IPv4": c, "IPv6": c6} {
		if took := fastest(t, c); took < delay {
			t.Errorf("%s: a round trip took %v under a delay of %v", name, took, delay)
		}
	}
	if took := fastest(t, connected(t, other, callee, port)); took >= delay {
		t.Errorf("another peer: %v", took)
	}
	if n := i.Counts(); n.Bytes != 40 || n.Connections != 0 {
		t.Errorf("it has met %+v", n)
	}
	must(t, i.Stop())
	started(t, l, Fault{Reset: true})
	if _, err := trip(c, 2*time.Second); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("a connection whose responses are reset: %v", err)
	}
}
