package process_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/intercept"
	"chaosgate/pkg/target"
)

// status asks over a link with a client that keeps its connections.
func status(t *testing.T, w *world, c *http.Client, path string) (code, length int) {
	t.Helper()
	addr, err := w.Address(linkAB)
	must(t, err)
	resp, err := c.Get("http://" + addr + path)
	must(t, err)
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	return resp.StatusCode, len(body)
}

// Every request from the begin of the fault on is met, as connections that exist are reset; after its end none is. Others pass whole, many at once.
func TestRequestsAreAnswered(t *testing.T) {
	w := up(t, pair())
	old := dial(t, w, "/health")
	_, err := answer(old, time.Second)
	must(t, err)
	before, err := w.Stats(soon(t), linkAB, "no")
	must(t, err)
	must(t, w.Impair(soon(t), linkAB, "no", target.LinkFault{HTTP: intercept.Fault{Path: "/health", Probability: 1, Status: 503}}))
	if _, err := answer(old, time.Second); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the existing connection: %v", err)
	}
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	defer c.CloseIdleConnections()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 5 {
				if code, _ := status(t, w, c, "/health"); code != 503 {
					t.Errorf("it was answered with %d", code)
				}
				if code, length := status(t, w, c, "/big"); code != 200 || length != 1_000_000 {
					t.Errorf("another request was answered with %d and %d bytes", code, length)
				}
			}
		})
	}
	all.Wait()
	if a, err := w.Ask(soon(t), linkAB, 5*time.Second); err != nil || a.Status != 503 || a.Path != "/health" {
		t.Errorf("a round trip: %+v, %v", a, err)
	}
	now, err := w.Stats(soon(t), linkAB, "no")
	if n := now.Connections - before.Connections; err != nil || now.Requests != 40 || now.Hit != 20 || now.Foreign != 0 || n < 1 || n > 40 || now.BytesOut < 20_000_000 || now.BytesIn < 1000 {
		t.Errorf("counted %+v, before %+v, %v", now, before, err)
	}
	restored(t, w, "no")
	if code, _ := status(t, w, c, "/health"); code != 200 {
		t.Errorf("after its end it was answered with %d", code)
	}
}

// What is held goes on when the fault ends, and a callee that is down is what it is without the fault, but for what is answered, which does not need it.
func TestRequestsAreHeld(t *testing.T) {
	w := up(t, pair())
	must(t, w.Impair(soon(t), linkAB, "slow", target.LinkFault{HTTP: intercept.Fault{Probability: 1, Delay: time.Minute}}))
	held := make(chan int, 1)
	go func() {
		code, _ := status(t, w, http.DefaultClient, "/big")
		held <- code
	}()
	eventually(t, "the request is held", func() bool {
		s, err := w.Stats(soon(t), linkAB, "slow")
		return err == nil && s.Hit == 1
	})
	restored(t, w, "slow")
	if code := <-held; code != 200 {
		t.Errorf("what was held was answered with %d", code)
	}
	http.DefaultClient.CloseIdleConnections()
	must(t, w.Stop(soon(t), w.target(t, "b"), time.Second))
	meets := func() error { // be it when it connects, or later
		addr, err := w.Address(linkAB)
		must(t, err)
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /big HTTP/1.1\r\nHost: b\r\n\r\n"); err != nil {
			return err
		}
		_, err = answer(conn, 5*time.Second)
		return err
	}
	without := meets()
	must(t, w.Impair(soon(t), linkAB, "slow", target.LinkFault{HTTP: intercept.Fault{Probability: 1, Delay: time.Millisecond}}))
	if with := meets(); !errors.Is(with, syscall.ECONNRESET) || !errors.Is(without, syscall.ECONNRESET) {
		t.Errorf("a callee that is down: %v with the fault, %v without", with, without)
	}
	must(t, w.Restore(soon(t), linkAB, "slow"))
	must(t, w.Impair(soon(t), linkAB, "no", target.LinkFault{HTTP: intercept.Fault{Path: "/health", Probability: 1, Status: 503}}))
	if code, _ := status(t, w, http.DefaultClient, "/health"); code != 503 {
		t.Errorf("it was answered with %d", code)
	}
	if with := meets(); !errors.Is(with, syscall.ECONNRESET) {
		t.Errorf("what is passed on to a callee that is down: %v", with)
	}
	if s, err := w.Stats(soon(t), linkAB, "no"); err != nil || s.Requests != 2 || s.Hit != 1 {
		t.Errorf("counted %+v, %v", s, err)
	}
	http.DefaultClient.CloseIdleConnections()
	must(t, w.Restore(soon(t), linkAB, "no"))
	must(t, w.Start(soon(t), w.target(t, "b")))
}

// A fault on HTTP requests has a link to itself, and one that is none is refused.
func TestRequestsBesideOtherFaults(t *testing.T) {
	w := up(t, pair())
	slow, no := target.LinkFault{Latency: ms}, target.LinkFault{HTTP: intercept.Fault{Probability: 1, Status: 500}}
	for _, two := range [][2]target.LinkFault{{slow, no}, {no, slow}, {no, no}} {
		must(t, w.Impair(soon(t), linkAB, "x", two[0]))
		wantError(t, w.Impair(soon(t), linkAB, "y", two[1]), "x is on it already", "has a link to itself")
		if on, err := w.Impaired(soon(t), linkAB); err != nil || !slices.Equal(on, []string{"x"}) {
			t.Errorf("on the link: %v, %v", on, err)
		}
		must(t, w.Impair(soon(t), linkAB, "x", two[1])) // that one it replaces
		must(t, w.Restore(soon(t), linkAB, "x"))
	}
	wantError(t, w.Impair(soon(t), linkAB, "x", target.LinkFault{HTTP: intercept.Fault{Status: 503}}), "probability is 0")
	if on, err := w.Impaired(soon(t), linkAB); err != nil || len(on) != 0 {
		t.Errorf("on the link: %v, %v", on, err)
	}
}

// An environment that ends under the fault leaves nothing of it.
func TestTheEndUnderAFaultOnRequests(t *testing.T) {
	before := runtime.NumGoroutine()
	w := newWorld(t, pair())
	must(t, w.Up(soon(t), w.record))
	must(t, w.Impair(soon(t), linkAB, "slow", target.LinkFault{HTTP: intercept.Fault{Path: "/health", Probability: 1, Delay: time.Minute}}))
	for range 5 {
		dial(t, w, "/health") // held
		dial(t, w, "/big")    // not read
	}
	eventually(t, "they are held", func() bool {
		s, err := w.Stats(soon(t), linkAB, "slow")
		return err == nil && s.Hit == 5
	})
	conn := dial(t, w, "/health")
	if _, err := io.WriteString(conn, strings.Repeat("x", 10)); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	began := time.Now()
	must(t, w.Down(ctx))
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	for range w.Events() {
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before+1 }) // the spawner
}
