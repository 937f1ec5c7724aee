package store

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"chaosgate/pkg/pgtest"
)

func openServer(t *testing.T, address string, busy time.Duration) *Store {
	t.Helper()
	s, err := OpenServer(address, Options{BusyTimeout: busy, Synchronous: "off"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// soon is an operation's time where a test needs no other.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// locked holds a table lock in a session of its own until the release.
func locked(t *testing.T, server *pgtest.Server, mode string) (release func()) {
	t.Helper()
	conn := server.Connect(server.URL("admin", "orders"))
	if _, err := conn.Exec(soon(t), "BEGIN; LOCK TABLE orders IN "+mode+" MODE"); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() { conn.Close(context.Background()) })
	t.Cleanup(release)
	return release
}

func TestOnAServer(t *testing.T) {
	server := pgtest.Start(t)
	fresh := func(t *testing.T, busy time.Duration) *Store {
		t.Helper()
		server.Exec("orders", "DROP TABLE IF EXISTS orders")
		return openServer(t, server.Secret("service"), busy)
	}
	t.Run("it writes, reads, writes once and deletes the old", func(t *testing.T) {
		s := fresh(t, time.Second)
		place(t, s, "tea", "1")
		place(t, s, "coffee", "2")
		place(t, s, "tea", "1")
		orders := place(t, s, "tea", "3")
		if len(orders) != 2 || orders[0].ID != "3" || orders[1].ID != "1" {
			t.Errorf("orders %+v", orders)
		}
		if age := time.Since(time.UnixMilli(orders[0].AtMS)); age < 0 || age > time.Minute {
			t.Errorf("the order is %v old", age)
		}
		server.Exec("orders", "INSERT INTO orders (seq, id, key, at_ms) OVERRIDING SYSTEM VALUE VALUES ("+strconv.Itoa(keep+2)+", 'far', 'tea', 0)")
		if orders := place(t, s, "tea", "last"); len(orders) != 3 || orders[2].ID != "3" && orders[1].ID != "3" {
			t.Errorf("orders %+v", orders)
		}
		if read, err := openServer(t, server.Secret("service"), 0).Recent(soon(t), "tea"); err != nil || len(read) != 3 {
			t.Errorf("read by another: %+v, %v", read, err)
		}
	})
	t.Run("two make the table at the same time", func(t *testing.T) {
		server.Exec("orders", "DROP TABLE IF EXISTS orders")
		var all sync.WaitGroup
		for n := range 4 {
			s := openServer(t, server.Secret("service"), time.Second)
			all.Go(func() {
				_ = s.Prepare(soon(t)) // one makes it, and another may meet that
				if _, err := s.Place(soon(t), "tea", strconv.Itoa(n)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
	t.Run("a lock is busy after its time, for writers or for all", func(t *testing.T) {
		s := fresh(t, 100*time.Millisecond)
		place(t, s, "tea", "1")
		for mode, reading := range map[string]Outcome{"EXCLUSIVE": OK, "ACCESS EXCLUSIVE": Busy} {
			release := locked(t, server, mode)
			began := time.Now()
			_, err := s.Place(soon(t), "tea", "2")
			if took := time.Since(began); OutcomeOf(err) != Busy || took < 90*time.Millisecond || took > 10*time.Second {
				t.Errorf("%s: writing is %s after %v: %v", mode, OutcomeOf(err), took, err)
			}
			if _, err := s.Recent(soon(t), "tea"); OutcomeOf(err) != reading {
				t.Errorf("%s: reading is %s: %v", mode, OutcomeOf(err), err)
			}
			release()
			place(t, s, "tea", "3")
		}
	})
	t.Run("no waiting for locks is not waiting without end", func(t *testing.T) {
		s := fresh(t, 0)
		place(t, s, "tea", "1")
		locked(t, server, "EXCLUSIVE")
		if _, err := s.Place(soon(t), "tea", "2"); OutcomeOf(err) != Busy {
			t.Errorf("%s: %v", OutcomeOf(err), err)
		}
	})
	t.Run("a deadline and a caller that leaves end the wait", func(t *testing.T) {
		s := fresh(t, time.Minute)
		place(t, s, "tea", "1")
		locked(t, server, "EXCLUSIVE")
		for _, want := range []Outcome{Timeout, Canceled} {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			if want == Canceled {
				ctx, cancel = context.WithCancel(t.Context())
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			if _, err := s.Place(ctx, "tea", "2"); OutcomeOf(err) != want {
				t.Errorf("%s, want %s: %v", OutcomeOf(err), want, err)
			}
			cancel()
		}
	})
	t.Run("a session that was ended is an error once at most", func(t *testing.T) {
		s := fresh(t, time.Second)
		place(t, s, "tea", "1")
		if n := server.Ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'service'"); n == 0 {
			t.Fatal("the store has no session")
		}
		if _, err := s.Place(soon(t), "tea", "2"); err != nil && OutcomeOf(err) != Failed { // its end may be noticed before
			t.Errorf("%s: %v", OutcomeOf(err), err)
		}
		place(t, s, "tea", "2")
	})
	t.Run("it is read-only", func(t *testing.T) {
		server.Exec("orders", "ALTER DATABASE orders SET default_transaction_read_only = on")
		defer server.Exec("postgres", "ALTER DATABASE orders RESET default_transaction_read_only")
		s := openServer(t, server.Secret("service"), time.Second)
		if _, err := s.Place(soon(t), "tea", "2"); OutcomeOf(err) != ReadOnly {
			t.Errorf("writing is %s: %v", OutcomeOf(err), err)
		}
		if _, err := s.Recent(soon(t), "tea"); err != nil {
			t.Error(err)
		}
	})
	t.Run("no connection is free", func(t *testing.T) {
		s := openServer(t, server.Secret("service"), time.Second)
		for {
			conn, err := pgx.Connect(soon(t), server.Secret("service"))
			if err != nil {
				break
			}
			defer conn.Close(context.Background())
		}
		if _, err := s.Place(soon(t), "tea", "2"); OutcomeOf(err) != Busy {
			t.Errorf("%s: %v", OutcomeOf(err), err)
		}
	})
	t.Run("nobody answers", func(t *testing.T) {
		s := openServer(t, server.Secret("service"), time.Second)
		place(t, s, "tea", "9")
		server.Pause()
		defer server.Resume()
		for range 2 { // on the connection that there was, and on a new one
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			if _, err := s.Place(ctx, "tea", "10"); OutcomeOf(err) != Timeout {
				t.Errorf("%s: %v", OutcomeOf(err), err)
			}
			cancel()
		}
	})
	t.Run("the server is gone and comes back", func(t *testing.T) {
		s := openServer(t, server.Secret("service"), time.Second)
		place(t, s, "tea", "11")
		server.Kill()
		for range 2 {
			if _, err := s.Place(soon(t), "tea", "12"); OutcomeOf(err) != Failed {
				t.Errorf("%s: %v", OutcomeOf(err), err)
			}
		}
		server.Run()
		place(t, s, "tea", "12")
	})
}

// A server that takes the connection and says nothing is not waited for without end, whoever sets no deadline.
func TestAServerThatSaysNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := openServer(t, "postgres://service@"+l.Addr().String()+"/orders?sslmode=disable", time.Second)
	began := time.Now()
	if _, err := s.Place(soon(t), "tea", "1"); err == nil || time.Since(began) > 15*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

func TestWrongAddresses(t *testing.T) {
	for _, address := range []string{"", "orders", "/var/orders.db", "mysql://a@b/c", "postgres://host/orders", "postgres://a:topsecret@/orders", "postgres://a:topsecret@host", "postgres://a:topsecret@host:port/orders", "postgres://a:topsecret@host/orders?sslmode=maybe"} {
		err := CheckServer(address)
		if err == nil || !strings.Contains(err.Error(), "want an address such as") || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: %v", address, err)
		}
		if _, err := OpenServer(address, Options{}); err == nil {
			t.Errorf("%s was opened", address)
		}
	}
}
