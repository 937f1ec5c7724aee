package impair

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var one = packet{flow: flow{source: netip.MustParseAddr("10.0.0.1"), proto: unix.IPPROTO_TCP, from: 1, to: 2}, payload: 100, known: true}

// Packets of one connection keep their order, whatever the jitter; the delays fill what it allows for.
func TestDelaysOfOneConnection(t *testing.T) {
	s := newShaper(Fault{Delay: 100 * time.Millisecond, Jitter: 50 * time.Millisecond}, 7)
	var last, least, most time.Duration
	for n := range 2000 {
		now := time.Duration(n) * 200 * time.Millisecond // apart, so that none waits for another
		v := s.decide(one, now)
		held := v.at - now
		if n == 0 || held < least {
			least = held
		}
		most = max(most, held)
		if v.at < last || v.drop || v.changed {
			t.Fatalf("packet %d: %+v after one at %v", n, v, last)
		}
		last = v.at
	}
	if least < 50*time.Millisecond || least > 52*time.Millisecond || most > 150*time.Millisecond || most < 148*time.Millisecond {
		t.Errorf("held from %v to %v, want 50ms to 150ms", least, most)
	}
	for n := range 1000 {
		v := s.decide(one, time.Hour+time.Duration(n)*time.Microsecond)
		if v.at < last {
			t.Fatalf("packet %d goes on at %v, before the one at %v", n, v.at, last)
		}
		last = v.at
	}
}

// A rate is each connection's own, counts payload only, and drops what a full queue would.
func TestRates(t *testing.T) {
	s := newShaper(Fault{Rate: 1000}, 1)
	another, empty := one, one
	another.flow.from = 9
	empty.payload = 0
	for _, c := range []struct {
		name string
		p    packet
		now  time.Duration
		want verdict
	}{
		{"the first takes its time", one, 0, verdict{at: 100 * time.Millisecond, limited: true}},
		{"the second waits for it", one, 0, verdict{at: 200 * time.Millisecond, limited: true}},
		{"one without payload does not overtake", empty, 0, verdict{at: 200 * time.Millisecond}},
		{"another connection", another, 0, verdict{at: 100 * time.Millisecond, limited: true}},
		{"later there is room", one, time.Second, verdict{at: 1100 * time.Millisecond, limited: true}},
		{"one without payload passes", empty, 2 * time.Second, verdict{at: 2 * time.Second}},
	} {
		if got := s.decide(c.p, c.now); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
	var dropped int
	for range 100 {
		if s.decide(one, 3*time.Second).drop {
			dropped++
		}
	}
	if want := 100 - 41; dropped != want { // four seconds' worth, and the one that begins right then
		t.Errorf("%d of 100 were dropped, want %d", dropped, want)
	}
}

// What a rate holds back for less than anybody notices was not limited, until so much comes at once that it is.
func TestARateThatIsAboveWhatComes(t *testing.T) {
	s := newShaper(Fault{Rate: 1_000_000}, 1) // a packet takes 100 µs
	for n := range 100 {
		if v := s.decide(one, time.Duration(n)*time.Millisecond); v.limited || v.drop {
			t.Fatalf("packet %d: %+v", n, v)
		}
	}
	var limited int
	for range 12 {
		if s.decide(one, time.Second).limited {
			limited++
		}
	}
	if limited != 3 { // the tenth is the first that has a millisecond before it is through
		t.Errorf("%d of a burst of 12 were limited, want 3", limited)
	}
}

// A packet overtakes only if there is one to be overtaken.
func TestOvertaking(t *testing.T) {
	s := newShaper(Fault{Delay: 10 * time.Millisecond, Reorder: 1}, 1)
	if v := s.decide(one, 0); v.changed || v.at != 0 {
		t.Errorf("alone: %+v", v)
	}
	s.Reorder = 0
	s.decide(one, time.Second)
	s.Reorder = 1
	if v := s.decide(one, time.Second+time.Millisecond); !v.changed || v.at != time.Second+time.Millisecond {
		t.Errorf("behind one that is held: %+v", v)
	}
}

// A shaper does not remember connections for ever.
func TestFlowsAreForgotten(t *testing.T) {
	s := newShaper(Fault{Delay: time.Millisecond}, 1)
	for n := range 10 * flowsKept {
		p := one
		p.flow.from, p.flow.to = uint16(n), uint16(n>>16)
		s.decide(p, time.Duration(n)*time.Microsecond)
	}
	if len(s.flows) > 2*flowsKept {
		t.Errorf("%d are remembered", len(s.flows))
	}
}

func tcp4(flags byte, payload int) []byte {
	b := make([]byte, 40+payload)
	b[0], b[9] = 0x45, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	copy(b[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(b[20:], 4000)
	binary.BigEndian.PutUint16(b[22:], 80)
	b[32], b[33] = 5<<4, flags
	return b
}

func TestParse(t *testing.T) {
	from, to := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	from6, to6 := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	udp6 := make([]byte, 53)
	udp6[0], udp6[6] = 0x60, unix.IPPROTO_UDP
	udp6[8], udp6[23], udp6[24], udp6[39] = 0xfd, 1, 0xfd, 2
	binary.BigEndian.PutUint16(udp6[40:], 53)
	binary.BigEndian.PutUint16(udp6[42:], 4000)
	fragment := tcp4(0, 4)
	fragment[7] = 5
	for name, c := range map[string]struct {
		data   []byte
		length int
		want   packet
	}{
		"a SYN":            {tcp4(0x02, 0), 40, packet{flow: flow{from, to, 6, 4000, 80}, opens: true, known: true, at: 40}},
		"a SYN-ACK":        {tcp4(0x12, 0), 40, packet{flow: flow{from, to, 6, 4000, 80}, known: true, at: 40}},
		"data, cut short":  {tcp4(0x18, 8), 1500, packet{flow: flow{from, to, 6, 4000, 80}, payload: 1460, known: true, at: 40}},
		"UDP over IPv6":    {udp6, 53, packet{flow: flow{from6, to6, 17, 53, 4000}, payload: 5, known: true, at: 48}},
		"a later fragment": {fragment, 44, packet{flow: flow{source: from, destination: to, proto: 6}}},
		"nothing":          {nil, 0, packet{}},
		"half a header":    {tcp4(0, 0)[:30], 40, packet{flow: flow{source: from, destination: to, proto: 6}}},
	} {
		if got := parse(c.data, c.length); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// FuzzParse has any bytes for a packet, and for what the kernel says.
func FuzzParse(f *testing.F) {
	f.Add(tcp4(0x02, 3), 43)
	f.Add([]byte{0x4f, 1, 2}, -1)
	f.Fuzz(func(t *testing.T, b []byte, length int) {
		p := parse(b, length)
		if p.payload < 0 || p.known && p.at > length && p.payload != 0 {
			t.Errorf("%+v of %d bytes", p, length)
		}
		newShaper(Fault{}, 1).spoil(b, p)
		_ = read(b, func(a arrived) {
			if a.length < len(a.data) {
				t.Errorf("%d bytes of %d", len(a.data), a.length)
			}
		})
	})
}
