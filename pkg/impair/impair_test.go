package impair

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A delay holds what arrives, on connections that exist as well, in IPv4 and IPv6, and nothing of others.
func TestDelay(t *testing.T) {
	const delay = 60 * time.Millisecond
	port, elsewhere := echo(t), echo(t)
	old, old6 := connected(t, caller, callee, port), connected(t, caller6, callee6, port)
	untouched := map[string]net.Conn{"another peer": connected(t, other, callee, port), "another port": connected(t, caller, callee, elsewhere)}
	i := started(t, requests(port), Fault{Delay: delay})
	for name, c := range map[string]net.Conn{"IPv4": old, "IPv6": old6, "a new connection": connected(t, caller, callee, port)} {
		if took := fastest(t, c); took < delay {
			t.Errorf("%s: a round trip took %v under a delay of %v", name, took, delay)
		}
	}
	for name, c := range untouched {
		if took := fastest(t, c); took >= delay {
			t.Errorf("%s: a round trip took %v", name, took)
		}
	}
	if got := i.Counts(); got.Connections != 1 || got.Bytes < 3*5*4 || got.Packets < 15 || got.Changed != 0 || got.Missed != 0 {
		t.Errorf("it has met %+v, want one new connection and 60 bytes", got)
	}
	must(t, i.Stop())
	if took := fastest(t, old); took >= delay {
		t.Errorf("after its end a round trip takes %v", took)
	}
	wantError(t, i.On(), "taken off")
	must(t, i.Stop()) // once more
	if n := tables(t); n != 0 {
		t.Errorf("%d tables are left", n)
	}
}

// Delays add up: on both ways, and of two faults at one end.
func TestDelaysAddUp(t *testing.T) {
	const delay = 40 * time.Millisecond
	port := echo(t)
	c := connected(t, caller, callee, port)
	for _, l := range []Link{requests(port), responses(port), requests(port)} {
		started(t, l, Fault{Delay: delay, Jitter: time.Millisecond})
	}
	if took := fastest(t, c); took < 3*(delay-time.Millisecond) {
		t.Errorf("a round trip took %v under three delays of %v", took, delay)
	}
}

// What is held when a delay ends goes on at once.
func TestTheHeldGoOnAtTheEnd(t *testing.T) {
	port := echo(t)
	c := connected(t, caller, callee, port)
	i := started(t, requests(port), Fault{Delay: time.Minute})
	_, err := c.Write([]byte("word"))
	must(t, err)
	eventually(t, "the word is held", func() bool { return i.Counts().Bytes == 4 })
	must(t, i.Stop())
	must(t, c.SetDeadline(time.Now().Add(5*time.Second)))
	got := make([]byte, 4)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "word" {
		t.Errorf("got %q, %v", got, err)
	}
}

// A stream through a delay with much jitter is not slowed down by packets out of order, and arrives as it was sent.
func TestJitterKeepsTheOrder(t *testing.T) {
	port := echo(t)
	c := connected(t, caller, callee, port)
	i := started(t, requests(port), Fault{Delay: 4 * time.Millisecond, Jitter: 4 * time.Millisecond})
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() {
		_, _ = c.Write(sent)
	}()
	must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("it did not come back as it was sent: %v", err)
	}
	if n := i.Counts(); n.Bytes < int64(len(sent)) || n.Bytes > int64(len(sent))*11/10 {
		t.Errorf("%d bytes arrived for the %d that were sent: much was sent again", n.Bytes, len(sent))
	}
}

// Nothing passes a link that is cut; connections hang, and go on when it ends.
func TestDrop(t *testing.T) {
	port := echo(t)
	c := connected(t, caller, callee, port)
	i := started(t, requests(port), Fault{Drop: true})
	if _, err := trip(c, 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an old connection: %v", err)
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: caller.AsSlice()}, Timeout: 300 * time.Millisecond}
	if _, err := d.Dial("tcp", netip.AddrPortFrom(callee, port).String()); !isTimeout(err) {
		t.Errorf("a new connection: %v", err)
	}
	if _, err := trip(connected(t, other, callee, port), time.Second); err != nil {
		t.Errorf("another peer: %v", err)
	}
	if n := i.Counts(); n.Connections == 0 || n.Bytes < 4 || n.Changed == 0 {
		t.Errorf("it has met %+v", n)
	}
	must(t, i.Stop())
	must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		t.Errorf("after its end what was sent did not arrive: %v", err)
	}
}

func isTimeout(err error) bool {
	var late net.Error
	return errors.As(err, &late) && late.Timeout()
}

// Who sends over a link that resets is reset, on connections that exist as well.
func TestReset(t *testing.T) {
	port := echo(t)
	c, c6 := connected(t, caller, callee, port), connected(t, caller6, callee6, port)
	i := started(t, requests(port), Fault{Reset: true})
	for name, c := range map[string]net.Conn{"IPv4": c, "IPv6": c6} {
		if _, err := trip(c, 2*time.Second); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("an old connection, %s: %v", name, err)
		}
	}
	fresh, err := dial(caller, callee, port)
	if err == nil {
		_, err = trip(fresh, 2*time.Second)
	}
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("a new connection: %v", err)
	}
	if _, err := trip(connected(t, other, callee, port), time.Second); err != nil {
		t.Errorf("another peer: %v", err)
	}
	if n := i.Counts(); n.Connections != 1 || n.Bytes < 8 {
		t.Errorf("it has met %+v", n)
	}
	must(t, i.Stop())
	if _, err := trip(connected(t, caller, callee, port), time.Second); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

// A connection carries no more than its rate allows, and each has its own.
func TestRate(t *testing.T) {
	const rate, size = 40_000, 20_000
	port := echo(t)
	started(t, requests(port), Fault{Rate: rate})
	took := make(chan time.Duration, 2)
	for range cap(took) {
		c := connected(t, caller, callee, port)
		go func() {
			began := time.Now()
			_, _ = c.Write(make([]byte, size))
			_ = c.SetDeadline(began.Add(20 * time.Second))
			if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
				t.Errorf("it did not arrive: %v", err)
			}
			took <- time.Since(began)
		}()
	}
	for range cap(took) {
		if d := <-took; d < size*time.Second/rate*9/10 || d > 10*time.Second {
			t.Errorf("%d bytes took %v at %d a second", size, d, rate)
		}
	}
}

// Datagrams are lost, spoiled so that they are thrown away, overtake others, or come twice, each to the part that was asked for.
func TestParts(t *testing.T) {
	const sent = 400
	for name, c := range map[string]struct {
		fault       Fault
		least, most int // that arrive
		overtaken   bool
	}{
		"loss":    {Fault{Loss: 0.5}, sent / 3, sent * 2 / 3, false},
		"corrupt": {Fault{Corrupt: 0.5}, sent / 3, sent * 2 / 3, false},
		"reorder": {Fault{Delay: 20 * time.Millisecond, Reorder: 0.3}, sent, sent, true},
		"double":  {Fault{Double: 0.5}, sent * 4 / 3, sent * 5 / 3, false},
		"none":    {Fault{}, sent, sent, false},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := net.ListenUDP("udp", &net.UDPAddr{IP: callee.AsSlice()})
			must(t, err)
			defer in.Close()
			must(t, in.SetReadBuffer(1<<20))
			i := started(t, requests(uint16(in.LocalAddr().(*net.UDPAddr).Port)), c.fault)
			out, err := net.DialUDP("udp", &net.UDPAddr{IP: caller.AsSlice()}, in.LocalAddr().(*net.UDPAddr))
			must(t, err)
			defer out.Close()
			for n := range sent {
				_, err := fmt.Fprintf(out, "%08d", n)
				must(t, err)
			}
			eventually(t, "all were met", func() bool { return i.Counts().Packets == sent })
			must(t, i.Stop())
			var got []string
			for {
				must(t, in.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
				b := make([]byte, 16)
				n, err := in.Read(b)
				if err != nil {
					break
				}
				got = append(got, string(b[:n]))
			}
			if len(got) < c.least || len(got) > c.most || slices.IsSorted(got) == c.overtaken {
				t.Errorf("%d of %d arrived, want %d to %d; in order: %v", len(got), sent, c.least, c.most, slices.IsSorted(got))
			}
			if changed := i.Counts().Changed; changed == 0 != (name == "none") {
				t.Errorf("%d were changed", changed)
			}
		})
	}
}

// A stream arrives as it was sent, whatever was lost or spoiled of it.
func TestAStreamMendsItself(t *testing.T) {
	port := echo(t)
	c := connected(t, caller, callee, port)
	i := started(t, requests(port), Fault{Loss: 0.1, Corrupt: 0.1})
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	go func() { _, _ = c.Write(sent) }()
	must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("it did not come back as it was sent: %v", err)
	}
	if i.Counts().Changed == 0 {
		t.Error("nothing was lost or spoiled")
	}
}

// Round trips of ours meet the fault and are not counted.
func TestSurveysAreNotCounted(t *testing.T) {
	port := echo(t)
	l := requests(port)
	l.Surveys = Range{61000, 61099}
	i := started(t, l, Fault{Delay: 20 * time.Millisecond})
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: caller.AsSlice(), Port: 61007}}
	c, err := d.Dial("tcp", netip.AddrPortFrom(callee, port).String())
	must(t, err)
	defer c.Close()
	must(t, c.(*net.TCPConn).SetLinger(0)) // the port is free again at once
	if took := fastest(t, c); took < 20*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	if n := i.Counts(); n != (Counts{}) {
		t.Errorf("counted: %+v", n)
	}
}

// The kernel takes a fault off when the process that has put it there is killed.
func TestKilled(t *testing.T) {
	port := echo(t)
	c := connected(t, caller, callee, port)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "IMPAIR_ROLE=victim", fmt.Sprintf("IMPAIR_PORT=%d", port))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "cut\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := trip(c, 200*time.Millisecond); err == nil {
		t.Fatal("the link is not cut")
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	if n := tables(t); n != 0 {
		t.Errorf("%d tables are left", n)
	}
	if _, err := trip(connected(t, caller, callee, port), time.Second); err != nil {
		t.Errorf("after the kill: %v", err)
	}
}

// More packets than can be held are counted, and pass.
func TestTooManyPackets(t *testing.T) {
	in, err := net.ListenUDP("udp", &net.UDPAddr{IP: callee.AsSlice()})
	must(t, err)
	defer in.Close()
	i := started(t, requests(uint16(in.LocalAddr().(*net.UDPAddr).Port)), Fault{Delay: time.Minute})
	out, err := net.DialUDP("udp", &net.UDPAddr{IP: caller.AsSlice()}, in.LocalAddr().(*net.UDPAddr))
	must(t, err)
	defer out.Close()
	for range maxHeld + 1000 {
		_, err := out.Write([]byte("x"))
		must(t, err)
	}
	eventually(t, "some are missed", func() bool {
		_, err := out.Write([]byte("x")) // by its number it is seen how many there were
		must(t, err)
		return i.Counts().Missed > 0
	})
	must(t, in.SetReadDeadline(time.Now().Add(5*time.Second)))
	if _, err := in.Read(make([]byte, 8)); err != nil {
		t.Errorf("what cannot be held does not pass: %v", err)
	}
}

// Faults come and go beside each other, and none takes another one along.
func TestFaultsBesideEachOther(t *testing.T) {
	port := echo(t)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			for range 20 {
				i, err := Start(requests(port), Fault{Delay: time.Millisecond})
				if err == nil {
					err = errors.Join(i.On(), i.Stop())
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	both.Wait()
	if n := tables(t); n != 0 {
		t.Errorf("%d tables are left", n)
	}
}

// What is no link, or no fault, is refused before anything is done.
func TestRefused(t *testing.T) {
	good := Link{Side: Callee, Peers: []netip.Addr{caller}, Ports: []uint16{80}}
	for name, c := range map[string]struct {
		link  func(*Link)
		fault Fault
		want  string
	}{
		"no side":         {func(l *Link) { l.Side = "" }, Fault{}, "side"},
		"no peers":        {func(l *Link) { l.Peers = nil }, Fault{}, "no peers"},
		"everybody":       {func(l *Link) { l.Peers = []netip.Addr{netip.IPv4Unspecified()} }, Fault{}, "no address"},
		"no ports":        {func(l *Link) { l.Ports = nil }, Fault{}, "no ports"},
		"too much jitter": {func(*Link) {}, Fault{Delay: 1, Jitter: 2}, "jitter"},
		"too long":        {func(*Link) {}, Fault{Delay: time.Hour}, "delay"},
		"a part over 1":   {func(*Link) {}, Fault{Loss: 1.1}, "loss"},
		"no part":         {func(*Link) {}, Fault{Double: math.NaN()}, "double"},
		"a negative rate": {func(*Link) {}, Fault{Rate: -1}, "rate"},
	} {
		l := good
		c.link(&l)
		if _, err := Start(l, c.fault); err == nil {
			t.Errorf("%s: it was begun", name)
		} else {
			wantError(t, err, c.want)
		}
	}
	if n := tables(t); n != 0 {
		t.Errorf("%d tables are left", n)
	}
}
