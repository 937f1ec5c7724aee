package impair

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mirror sends every datagram back to where it came from, and answers where it listens.
func mirror(t *testing.T, at netip.Addr) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		b := make([]byte, 64)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = c.WriteToUDPAddrPort(b[:n], from)
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// arrivals sends a datagram to a mirror, and answers when which came back: as many as are expected, however late a busy machine is, and more until none has come for a while.
func arrivals(t *testing.T, from netip.Addr, to netip.AddrPort, expected int, wait time.Duration) (after []time.Duration) {
	t.Helper()
	c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.UDPAddrFromAddrPort(to))
	must(t, err)
	defer c.Close()
	began := time.Now()
	_, err = c.Write([]byte("word"))
	must(t, err)
	b := make([]byte, 64)
	for {
		patience := wait
		if len(after) < expected {
			patience = 5 * time.Second
		}
		must(t, c.SetReadDeadline(time.Now().Add(patience)))
		n, err := c.Read(b)
		if err != nil {
			return after
		}
		if string(b[:n]) != "word" {
			t.Errorf("%q came back", b[:n])
		}
		after = append(after, time.Since(began))
	}
}

// Packets come twice on either way and where they depart, in IPv4 and IPv6; those of others do not, and nothing does after the end.
func TestDouble(t *testing.T) {
	const wait = 150 * time.Millisecond
	for _, ends := range []struct{ caller, callee netip.Addr }{{caller, callee}, {caller6, callee6}} {
		at, elsewhere := mirror(t, ends.callee), mirror(t, ends.callee)
		for name, l := range map[string]Link{
			"requests":  requests(at.Port()),
			"responses": responses(at.Port()),
			"replies":   {Side: Replies, Peers: []netip.Addr{caller, caller6}, Ports: []uint16{at.Port()}},
		} {
			t.Run(fmt.Sprintf("%s to %v", name, ends.callee), func(t *testing.T) {
				i := started(t, l, Fault{Double: 1})
				if n := len(arrivals(t, ends.caller, at, 2, wait)); n != 2 {
					t.Errorf("it came back %d times, want 2", n)
				}
				if n := len(arrivals(t, ends.caller, elsewhere, 1, wait)); n != 1 {
					t.Errorf("from another port it came back %d times", n)
				}
				if n := i.Counts(); n.Changed != n.Packets || n.Packets == 0 || n.Missed != 0 {
					t.Errorf("it has met %+v", n)
				}
				must(t, i.Stop())
				if n := len(arrivals(t, ends.caller, at, 1, wait)); n != 1 {
					t.Errorf("after its end it came back %d times", n)
				}
			})
		}
		if n := len(arrivals(t, ends.callee, at, 1, wait)); n != 1 {
			t.Errorf("%v: before it came back %d times", ends.callee, n)
		}
	}
	if n := tables(t); n != 0 {
		t.Errorf("%d tables are left", n)
	}
}

// Both of two are met by the other faults of the link, whichever was there first; of a copy no copy is made.
func TestDoubleBesideOthers(t *testing.T) {
	const delay, wait = 100 * time.Millisecond, 300 * time.Millisecond
	at := mirror(t, callee)
	slow, twice := Fault{Delay: delay}, Fault{Double: 1}
	for name, c := range map[string]struct {
		faults []Fault
		want   int
		after  time.Duration
	}{
		"in one fault":        {[]Fault{{Double: 1, Delay: delay}}, 2, delay},
		"a delay before it":   {[]Fault{slow, twice}, 2, delay},
		"a delay after it":    {[]Fault{twice, slow}, 2, delay},
		"two of them":         {[]Fault{twice, twice}, 3, 0},
		"nothing passes":      {[]Fault{twice, {Drop: true}}, 0, 0},
		"nothing to copy":     {[]Fault{{Loss: 1, Double: 1}}, 0, 0},
		"two, and two delays": {[]Fault{twice, slow, twice, slow}, 3, 2 * delay},
	} {
		for _, side := range []Side{Callee, Replies} {
			var all []*Impairment
			for _, f := range c.faults {
				all = append(all, started(t, Link{Side: side, Peers: []netip.Addr{caller}, Ports: []uint16{at.Port()}}, f))
			}
			var got []time.Duration
			apart := true
			for n := 0; n < 3 && apart; n++ { // a machine that stands still between two of them sets them apart
				got = arrivals(t, caller, at, c.want, wait)
				apart = len(got) > 0 && got[len(got)-1]-got[0] >= delay
			}
			if apart || len(got) != c.want || len(got) > 0 && got[0] < c.after {
				t.Errorf("%s, %s: it came back after %v, want %d after %v, together", name, side, got, c.want, c.after)
			}
			for _, i := range all {
				must(t, i.Stop())
			}
		}
	}
}

// A stream arrives as it was sent. That packets of it came twice, TCP has noticed.
func TestAStreamThatComesTwice(t *testing.T) {
	port := echo(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	for _, ends := range []struct{ caller, callee netip.Addr }{{caller, callee}, {caller6, callee6}} {
		c := connected(t, ends.caller, ends.callee, port)
		i := started(t, requests(port), Fault{Double: 0.5})
		before := seenTwice(t)
		go func() { _, _ = c.Write(sent) }()
		must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("%v: it did not come back as it was sent: %v", ends.callee, err)
		}
		noticed, met := int64(seenTwice(t)-before), i.Counts()
		if noticed*3 < met.Changed || met.Changed == 0 || met.Changed == met.Packets {
			t.Errorf("%v: TCP has noticed %d; it has met %+v", ends.callee, noticed, met)
		}
		must(t, i.Stop())
	}
}

// seenTwice is how many segments with data TCP has got in this namespace that it had already.
func seenTwice(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/net/netstat")
	must(t, err)
	var names, values []string
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "TcpExt:"); ok {
			names, values = values, strings.Fields(rest)
		}
	}
	n, err := strconv.Atoi(values[slices.Index(names, "TCPDSACKOldSent")])
	must(t, err)
	return n
}
