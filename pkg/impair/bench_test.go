package impair

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/mdlayher/netlink"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// Beside Toxiproxy, in the same run and over the same loopback interface: `make bench-peers`.

// impairer puts a delay, or nothing, on the way to a port, and answers where callers connect then.
type impairer struct {
	name string
	put  func(b *testing.B, port uint16, delay time.Duration) netip.AddrPort
}

var impairers = []impairer{{"direct", direct}, {"chaosgate", ours}, {"toxiproxy", peers}}

func direct(_ *testing.B, port uint16, _ time.Duration) netip.AddrPort {
	return netip.AddrPortFrom(callee, port)
}

func ours(b *testing.B, port uint16, delay time.Duration) netip.AddrPort {
	i, err := Start(requests(port), Fault{Delay: delay})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := i.Stop(); err != nil {
			b.Error(err)
		}
	})
	return netip.AddrPortFrom(callee, port)
}

func peers(b *testing.B, port uint16, delay time.Duration) netip.AddrPort {
	zerolog.SetGlobalLevel(zerolog.Disabled)
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(server, "peer", "127.0.0.1:0", netip.AddrPortFrom(callee, port).String())
	if err := p.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Stop)
	if delay > 0 {
		text := fmt.Sprintf(`{"name":"d","type":"latency","stream":"upstream","toxicity":1,"attributes":{"latency":%d}}`, delay.Milliseconds())
		if _, err := p.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
	return netip.MustParseAddrPort(p.Listen)
}

// serve answers on a port: each connection is given to do.
func serve(b *testing.B, do func(net.Conn)) uint16 {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { do(c); _ = c.Close() }()
		}
	}()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func dialFrom(b *testing.B, to netip.AddrPort) net.Conn {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: caller.AsSlice()}, Timeout: 5 * time.Second}
	c, err := d.DialContext(context.Background(), "tcp", to.String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	return c
}

// BenchmarkDelayError is by how much a round trip over an existing connection misses its delay, beyond what it takes without one.
func BenchmarkDelayError(b *testing.B) {
	for _, delay := range []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond} {
		for _, by := range impairers[1:] {
			b.Run(fmt.Sprintf("%v/%s", delay, by.name), func(b *testing.B) {
				port := serve(b, func(c net.Conn) { _, _ = io.Copy(c, c) })
				base := trips(b, dialFrom(b, netip.AddrPortFrom(callee, port)), 100)
				at := by.put(b, port, delay)
				c := dialFrom(b, at)
				trips(b, c, 3)
				b.ResetTimer()
				took := trips(b, c, b.N)
				b.StopTimer()
				b.ReportMetric(milliseconds(part(took, 0.5)-delay-part(base, 0.5)), "p50-error-ms")
				b.ReportMetric(milliseconds(part(took, 0.99)-delay-part(base, 0.5)), "p99-error-ms")
			})
		}
	}
}

func trips(b *testing.B, c net.Conn, n int) (took []time.Duration) {
	for range n {
		d, err := trip(c, 10*time.Second)
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, d)
	}
	slices.Sort(took)
	return took
}

func part(sorted []time.Duration, p float64) time.Duration {
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// ethernet gives the loopback interface the packets of a container's: with its own, of 64 KiB, a receiver's window opens only after seconds.
func ethernet(b *testing.B) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	mtu, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.IFLA_MTU, Data: binary.NativeEndian.AppendUint32(nil, 1500)}})
	if err != nil {
		b.Fatal(err)
	}
	link := make([]byte, unix.SizeofIfInfomsg)
	link[4] = 1
	m := netlink.Message{Header: netlink.Header{Type: unix.RTM_NEWLINK, Flags: netlink.Request | netlink.Acknowledge}, Data: append(link, mtu...)}
	if _, err := conn.Execute(m); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkStream is what one TCP stream carries: without a fault, and under a delay of 20 ms.
func BenchmarkStream(b *testing.B) {
	const size = 256 << 20
	ethernet(b)
	for _, delay := range []time.Duration{0, 20 * time.Millisecond} {
		for _, by := range impairers {
			if by.name == "direct" && delay > 0 {
				continue
			}
			b.Run(fmt.Sprintf("%v/%s", delay, by.name), func(b *testing.B) {
				port := serve(b, func(c net.Conn) {
					if _, err := io.CopyN(io.Discard, c, size); err == nil {
						_, _ = c.Write([]byte("all"))
					}
				})
				at := by.put(b, port, delay)
				b.SetBytes(size)
				block := make([]byte, 1<<18)
				for b.Loop() {
					c := dialFrom(b, at)
					for range size / len(block) {
						if _, err := c.Write(block); err != nil {
							b.Fatal(err)
						}
					}
					said := make([]byte, 3) // Toxiproxy would not pass on the end of one direction alone
					if _, err := io.ReadFull(c, said); err != nil || string(said) != "all" {
						b.Fatalf("%q, %v", said, err)
					}
					_ = c.Close()
				}
				b.ReportMetric(8*float64(size)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gbit/s")
			})
		}
	}
}
