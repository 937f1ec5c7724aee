package process_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"runtime"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/target"
)

var linkAB = target.Link{From: "a", To: "b"}

const ms = target.Duration(time.Millisecond)

// dial opens a connection to a link, asks for a path on it and keeps it open.
func dial(t *testing.T, w *world, path string) net.Conn {
	t.Helper()
	addr, err := w.Address(linkAB)
	must(t, err)
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	ask(t, conn, path)
	return conn
}

func ask(t *testing.T, conn net.Conn, path string) {
	t.Helper()
	_, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: b\r\n\r\n")
	must(t, err)
}

// answer reads some of an answer.
func answer(conn net.Conn, within time.Duration) (time.Duration, error) {
	began := time.Now()
	_ = conn.SetReadDeadline(began.Add(within))
	_, err := conn.Read(make([]byte, 1<<16))
	return time.Since(began), err
}

func TestLatencyIsAddedAlsoToConnectionsThatExist(t *testing.T) {
	for direction, want := range map[string]time.Duration{"": 400 * time.Millisecond, "request": 200 * time.Millisecond, "response": 200 * time.Millisecond} {
		t.Run(direction, func(t *testing.T) {
			w := up(t, pair())
			conn := dial(t, w, "/health")
			_, err := answer(conn, time.Second)
			must(t, err)
			before, err := w.RoundTrip(soon(t), linkAB, 5*time.Second)
			must(t, err)
			must(t, w.Impair(soon(t), linkAB, "slow", target.LinkFault{Latency: 200 * ms, Direction: direction}))
			trips := map[string]func() (time.Duration, error){
				"new": func() (time.Duration, error) { return w.RoundTrip(soon(t), linkAB, 5*time.Second) },
				"existing": func() (time.Duration, error) {
					began := time.Now()
					ask(t, conn, "/health")
					_, err := answer(conn, 5*time.Second)
					return time.Since(began), err
				},
			}
			for name, trip := range trips {
				most := before + want + want*9/10 // and not twice
				if took := fastest(t, most, trip); took < want || took > most {
					t.Errorf("a %s connection took %v, want %v more than %v", name, took, want, before)
				}
			}
			restored(t, w, "slow")
			for name, trip := range trips {
				if took := fastest(t, want, trip); took > want {
					t.Errorf("after the restore a %s connection took %v", name, took)
				}
			}
		})
	}
}

// fastest of up to three round trips: a machine that stands still for a moment makes one longer than the most that it may take, and none shorter.
func fastest(t *testing.T, most time.Duration, trip func() (time.Duration, error)) time.Duration {
	t.Helper()
	best := time.Hour
	for n := 0; n < 3 && best > most; n++ {
		took, err := trip()
		must(t, err)
		best = min(best, took)
	}
	return best
}

// restored reads back the fault, takes it off and reads back again, twice.
func restored(t *testing.T, w *world, name string) {
	t.Helper()
	if on, err := w.Impaired(soon(t), linkAB); err != nil || !reflect.DeepEqual(on, []string{name}) {
		t.Errorf("on the link: %v, %v, want %s", on, err, name)
	}
	for range 2 {
		must(t, w.Restore(soon(t), linkAB, name))
		if on, err := w.Impaired(soon(t), linkAB); err != nil || len(on) != 0 {
			t.Errorf("still on the link: %v, %v", on, err)
		}
	}
}

func TestPartitionHangsAndIsHealed(t *testing.T) {
	for _, direction := range []string{"both", "request", "response"} {
		t.Run(direction, func(t *testing.T) {
			w := up(t, pair())
			old := dial(t, w, "/health")
			_, err := answer(old, time.Second)
			must(t, err)
			must(t, w.Impair(soon(t), linkAB, "cut", target.LinkFault{Partition: true, Direction: direction}))
			ask(t, old, "/health")
			fresh := dial(t, w, "/health")
			for name, conn := range map[string]net.Conn{"existing": old, "new": fresh} {
				if _, err := answer(conn, 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the %s connection: got %v, want that it hangs", name, err)
				}
			}
			restored(t, w, "cut")
			for name, conn := range map[string]net.Conn{"existing": old, "new": fresh} {
				if _, err := answer(conn, time.Second); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("the %s connection after the restore: got %v, want a reset", name, err)
				}
			}
			if _, err := w.RoundTrip(soon(t), linkAB, 5*time.Second); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestResetOfExistingAndNewConnections(t *testing.T) {
	w := up(t, pair())
	old := dial(t, w, "/health")
	_, err := answer(old, time.Second)
	must(t, err)
	must(t, w.Impair(soon(t), linkAB, "rst", target.LinkFault{Reset: true}))
	if _, err := answer(old, time.Second); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the existing connection: %v", err)
	}
	if took, err := w.RoundTrip(soon(t), linkAB, 5*time.Second); err == nil || took <= 0 || took > time.Second {
		t.Errorf("a new connection: %v, %v", took, err)
	}
	restored(t, w, "rst")
	if _, err := w.RoundTrip(soon(t), linkAB, 5*time.Second); err != nil {
		t.Error(err)
	}
}

func TestBandwidthIsLimited(t *testing.T) {
	w := up(t, pair())
	addr, err := w.Address(linkAB)
	must(t, err)
	must(t, w.Impair(soon(t), linkAB, "narrow", target.LinkFault{Bandwidth: 4_000_000}))
	must(t, w.Impair(soon(t), linkAB, "wide", target.LinkFault{Bandwidth: 100_000_000}))
	began := time.Now()
	resp, err := http.Get("http://" + addr + "/big")
	must(t, err)
	n, err := io.Copy(io.Discard, resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	if took := time.Since(began); n != 1_000_000 || took < 200*time.Millisecond || took > 2*time.Second {
		t.Errorf("%d bytes at 4 MB/s took %v, want about 250ms", n, took)
	}
	wide, err := w.Stats(soon(t), linkAB, "wide")
	must(t, err)
	if wide.Limited != 0 {
		t.Errorf("what waited for the lower limit counts for the higher one as well: %+v", wide)
	}
	must(t, w.Restore(soon(t), linkAB, "wide"))
	stats, err := w.Stats(soon(t), linkAB, "narrow")
	// The round trips of this program are no traffic.
	_, tripped := w.RoundTrip(soon(t), linkAB, 5*time.Second)
	if again, err := w.Stats(soon(t), linkAB, "narrow"); tripped != nil || err != nil || again != stats {
		t.Errorf("a round trip counts: %+v after %+v, %v, %v", again, stats, tripped, err)
	}
	if err != nil || stats.Connections != 1 || stats.Limited == 0 || stats.BytesOut < 1_000_000 || stats.BytesIn < 50 || stats.BytesIn > 1000 {
		t.Errorf("got %+v, %v", stats, err)
	}
	restored(t, w, "narrow")
}

// A caller that does not read holds data up in the link: changes must get through all the same.
func TestChangesAreNotHeldUpByDataInFlight(t *testing.T) {
	w := up(t, pair())
	must(t, w.Impair(soon(t), linkAB, "slow", target.LinkFault{Latency: ms}))
	for range 20 {
		dial(t, w, "/big") // never read
	}
	began := time.Now()
	must(t, w.Impair(soon(t), linkAB, "narrow", target.LinkFault{Bandwidth: 1000}))
	must(t, w.Restore(soon(t), linkAB, "slow"))
	must(t, w.Restore(soon(t), linkAB, "narrow"))
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if _, err := w.RoundTrip(soon(t), linkAB, 5*time.Second); err != nil {
		t.Error(err)
	}
}

func TestSeveralFaultsOnOneLink(t *testing.T) {
	w := up(t, pair())
	must(t, w.Impair(soon(t), linkAB, "x", target.LinkFault{Latency: 20 * ms}))
	must(t, w.Impair(soon(t), linkAB, "y", target.LinkFault{Latency: 20 * ms, Jitter: 5 * ms}))
	must(t, w.Impair(soon(t), linkAB, "x", target.LinkFault{Latency: 40 * ms}))
	if on, _ := w.Impaired(soon(t), linkAB); !reflect.DeepEqual(on, []string{"x", "y"}) {
		t.Errorf("got %v", on)
	}
	if took, err := w.RoundTrip(soon(t), linkAB, 5*time.Second); err != nil || took < 110*time.Millisecond {
		t.Errorf("got %v, %v, want 2*(40+20±5) ms", took, err)
	}
	must(t, w.Restore(soon(t), linkAB, "x"))
	restored(t, w, "y")
}

func TestLinkToADeadServiceIsReset(t *testing.T) {
	w := up(t, pair())
	must(t, w.Kill(soon(t), w.target(t, "b"), "SIGKILL"))
	if took, err := w.RoundTrip(soon(t), linkAB, 5*time.Second); err == nil || took > time.Second {
		t.Errorf("got %v, %v", took, err)
	}
}

// A link leads to the port named http: one to that port is the same one, so that faults on either meet, and know of, each other.
func TestALinkToThePortItLeadsTo(t *testing.T) {
	w := up(t, pair())
	links, err := w.Links(services("a"), "b", "http")
	if err != nil || !reflect.DeepEqual(links, []target.Link{linkAB}) {
		t.Errorf("got %v, %v", links, err)
	}
	links, err = w.Links(services("b"), "", "http")
	if want := []target.Link{linkAB, {From: target.Outside, To: "b"}}; err != nil || !reflect.DeepEqual(links, want) {
		t.Errorf("into b: %v, %v", links, err)
	}
	links, err = w.Links(services("a"), "", "http")
	if want := []target.Link{{From: target.Outside, To: "a"}}; err != nil || !reflect.DeepEqual(links, want) {
		t.Errorf("into a: %v, %v", links, err)
	}
}

func TestLinkErrors(t *testing.T) {
	w := up(t, pair())
	_, err := w.Links(services("b"), "a", "")
	wantError(t, err, "there is no link from b to a; there are a -> b, outside -> a, outside -> b")
	_, err = w.Links(services("a", "b"), "b", "")
	wantError(t, err, "there is no link from b to b")
	_, err = w.Links(services("a"), "b", "sql")
	wantError(t, err, "links lead to the port named http here, so there is none to the port sql")
	_, err = w.RoundTrip(soon(t), target.Link{From: "b", To: "a"}, 5*time.Second)
	wantError(t, err, "no link from b to a")
	wantError(t, w.Impair(soon(t), linkAB, "f", target.LinkFault{Latency: ms, Direction: "up"}), `direction is "up"`, "request, response or both")
	wantError(t, w.Impair(soon(t), linkAB, "f", target.LinkFault{Bandwidth: 10}), "the least possible is 1000")
	wantError(t, w.Impair(soon(t), linkAB, "f", target.LinkFault{Latency: -ms}), "negative")
}

func TestLinksLeaveNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	w := newWorld(t, pair())
	must(t, w.Up(soon(t), w.record))
	must(t, w.Impair(soon(t), linkAB, "slow", target.LinkFault{Latency: 20 * ms}))
	for range 20 {
		conn := dial(t, w, "/big")
		must(t, conn.Close()) // while data is in flight
		dial(t, w, "/big")    // and not read
	}
	must(t, w.Impair(soon(t), linkAB, "cut", target.LinkFault{Partition: true}))
	dial(t, w, "/health")
	must(t, w.Restore(soon(t), linkAB, "cut"))
	must(t, w.Impair(soon(t), linkAB, "narrow", target.LinkFault{Bandwidth: 1000}))
	dial(t, w, "/big")
	must(t, w.Down(soon(t))) // with a fault and data in flight
	for range w.Events() {
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before+1 }) // the spawner
}

// services are the targets of a selection.
func services(names ...string) []target.Target {
	var all []target.Target
	for _, n := range names {
		all = append(all, target.Target{Ref: target.Ref{Service: n, Instance: n + "-1"}})
	}
	return all
}
