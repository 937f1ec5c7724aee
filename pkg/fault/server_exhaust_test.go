package fault_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/pgtest"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
	"chaosgate/pkg/target/process"
)

// ours counts the sessions of faults.
const ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'chaos/%'"

func TestExhaust(t *testing.T) {
	w, s := serve(t)
	t.Run("all", func(t *testing.T) {
		kept := s.Connect(s.Secret("service"))
		defer kept.Close(context.Background())
		leaves := s.Connect(s.Secret("service"))
		f, undos := request{fault: "db.exhaust", service: "b"}.prepared(t, w)
		wantNoSecret(t, undos)
		if got := try(t, s, "SELECT 1"); got != "" {
			t.Errorf("before: %s", got)
		}
		e, err := f.Inject(soon(t))
		wantEffect(t, "inject", e, err, true, "the server refuses a new connection with too_many_connections")
		if got := try(t, s, "SELECT 1"); got != full {
			t.Errorf("a new connection meets %q", got)
		}
		must(t, kept.Ping(soon(t)))
		before := e.Readings["connections_held"]
		must(t, leaves.Close(soon(t)))
		eventually(t, "what is let go of is taken", func() bool {
			return elsewhere(t, s, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'chaos/%' AND usename = 'chaos'") > int(before)+1 // and the one that looks
		})
		if got := try(t, s, "SELECT 1"); got != full {
			t.Errorf("a new connection meets %q", got)
		}
		e, err = f.Check(soon(t))
		wantEffect(t, "check", e, err, true)
		wantReverted(t, f)
		noneLeft(t, s)
		if got := try(t, s, "SELECT 1"); got != "" {
			t.Errorf("after: %s", got)
		}
	})
	t.Run("some are left", func(t *testing.T) {
		f, _ := request{fault: "db.exhaust", service: "b", with: map[string]string{"leave": "2"}}.injected(t, w)
		for range 2 {
			eventually(t, "two are free", func() bool {
				conn, err := pgx.Connect(soon(t), s.Secret("service"))
				if err == nil {
					t.Cleanup(func() { conn.Close(context.Background()) })
				}
				return err == nil
			})
		}
		if got := try(t, s, "SELECT 1"); got != full {
			t.Errorf("the third connection meets %q", got)
		}
		e, err := f.Check(soon(t))
		wantEffect(t, "check", e, err, true, "0 of the 2 that were left are free", "too_many_connections")
		wantReverted(t, f)
	})
	t.Run("some are left, and others let go of more", func(t *testing.T) {
		var idle []*pgx.Conn
		for range 4 {
			idle = append(idle, s.Connect(s.Secret("service")))
		}
		f, _ := request{fault: "db.exhaust", service: "b", with: map[string]string{"leave": "2"}}.prepared(t, w)
		e, err := f.Inject(soon(t))
		wantEffect(t, "inject", e, err, true, "2 of the 2 that were left are free")
		e, err = f.Check(soon(t))
		wantEffect(t, "check", e, err, true, "2 of the 2 that were left are free")
		held := elsewhere(t, s, ours)
		for _, conn := range idle {
			must(t, conn.Close(soon(t)))
		}
		eventually(t, "they are gone", func() bool {
			return elsewhere(t, s, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'service'") == 0
		})
		e, err = f.Check(soon(t))
		wantEffect(t, "check when more are free", e, err, false, "at least 3 are free", "at most the 2")
		eventually(t, "what was tried is given back", func() bool {
			return elsewhere(t, s, ours) == held
		})
		wantReverted(t, f)
		noneLeft(t, s)
	})
	t.Run("some are left, and what refuses more is something else", func(t *testing.T) {
		f, _ := request{fault: "db.exhaust", service: "b", with: map[string]string{"leave": "2"}}.injected(t, w)
		s.Exec("postgres", "ALTER ROLE chaos NOLOGIN")
		_, err := f.Check(soon(t))
		s.Exec("postgres", "ALTER ROLE chaos LOGIN")
		wantError(t, err, "not permitted to log in")
		wantReverted(t, f)
		noneLeft(t, s)
	})
	t.Run("some are left to a service that connects for each request", func(t *testing.T) {
		stop := connecting(t, s)
		f, _ := request{fault: "db.exhaust", service: "b", with: map[string]string{"leave": "2"}}.prepared(t, w)
		e, err := f.Inject(soon(t))
		wantEffect(t, "inject", e, err, true)
		for range 5 {
			e, err = f.Check(soon(t))
			wantEffect(t, "check", e, err, true, "that were left are free")
		}
		stop()
		wantReverted(t, f)
		noneLeft(t, s)
	})
	t.Run("more are to be left than there are", func(t *testing.T) {
		f, _ := request{fault: "db.exhaust", service: "b", with: map[string]string{"leave": "500"}}.prepared(t, w)
		_, err := f.Inject(soon(t))
		wantError(t, err, "free connections only")
		wantReverted(t, f)
		noneLeft(t, s)
	})
	t.Run("the database has a limit", func(t *testing.T) {
		s.Exec("postgres", "ALTER DATABASE orders CONNECTION LIMIT 5")
		defer s.Exec("postgres", "ALTER DATABASE orders CONNECTION LIMIT -1")
		f, _ := request{fault: "db.exhaust", service: "b"}.injected(t, w)
		if got := try(t, s, "SELECT 1"); got != full {
			t.Errorf("a new connection meets %q", got)
		}
		wantReverted(t, f)
	})
	t.Run("a superuser would take what is kept for administrators", func(t *testing.T) {
		_, err := request{fault: "db.exhaust", service: "b"}.build(t, onServer(t, s.URL("admin", "orders"))).Prepare(soon(t))
		wantError(t, err, "name an ordinary role")
	})
}

// A limit that is met by the fault's role alone is felt by whoever comes as that role.
func TestExhaustByARoleWithALimit(t *testing.T) {
	w, s := serve(t)
	t.Run("a limit that is the role's own is not felt by others", func(t *testing.T) {
		s.Exec("postgres", "ALTER ROLE chaos CONNECTION LIMIT 4")
		defer s.Exec("postgres", "ALTER ROLE chaos CONNECTION LIMIT -1")
		other := s.Connect(s.Secret("service"))
		defer other.Close(context.Background())
		f, _ := request{fault: "db.exhaust", service: "b"}.prepared(t, w)
		e, err := f.Inject(soon(t))
		wantEffect(t, "inject", e, err, false, "the role's own")
		s.Exec("postgres", "ALTER ROLE chaos CONNECTION LIMIT -1") // so that what takes it back gets in
		wantReverted(t, f)
	})
	t.Run("the limit stays the role's own when some are given back", func(t *testing.T) {
		s.Exec("postgres", "ALTER ROLE chaos CONNECTION LIMIT 6")
		defer s.Exec("postgres", "ALTER ROLE chaos CONNECTION LIMIT -1")
		other := s.Connect(s.Secret("service"))
		defer other.Close(context.Background())
		f, _ := request{fault: "db.exhaust", service: "b", with: map[string]string{"leave": "2"}}.prepared(t, w)
		e, err := f.Inject(soon(t))
		wantEffect(t, "inject", e, err, false, "the role's own", "another role")
		e, err = f.Check(soon(t))
		wantEffect(t, "check", e, err, false, "the role's own", "another role")
		wantReverted(t, f)
		noneLeft(t, s)
	})
	t.Run("a limit that is the role's own is felt by nobody who is known", func(t *testing.T) {
		s.Exec("postgres", "ALTER ROLE chaos CONNECTION LIMIT 6")
		defer s.Exec("postgres", "ALTER ROLE chaos CONNECTION LIMIT -1")
		f, _ := request{fault: "db.exhaust", service: "b"}.prepared(t, w)
		e, err := f.Inject(soon(t))
		wantEffect(t, "inject", e, err, false, "the role's own", "nobody else was seen with that role")
		if got := try(t, s, "SELECT 1"); got != "" {
			t.Errorf("the service, with its own role, meets %q", got)
		}
		wantReverted(t, f)
		noneLeft(t, s)
	})
	t.Run("a limit that is the role's own is felt by a service with that role", func(t *testing.T) {
		s.Exec("postgres", "ALTER ROLE chaos CONNECTION LIMIT 6")
		defer s.Exec("postgres", "ALTER ROLE chaos CONNECTION LIMIT -1")
		same := s.Connect(s.Secret("chaos"))
		defer same.Close(context.Background())
		f, _ := request{fault: "db.exhaust", service: "b"}.injected(t, w)
		must(t, same.Close(soon(t))) // it makes its connection anew, and is refused
		e, err := f.Check(soon(t))
		wantEffect(t, "check", e, err, true)
		wantReverted(t, f)
		noneLeft(t, s)
	})
}

// connecting makes connections one after the other, as three callers at a time do, each for a few milliseconds, until it is stopped.
func connecting(t *testing.T, s *pgtest.Server) (stop func()) {
	t.Helper()
	url := s.Secret("service")
	ctx, cancel := context.WithCancel(context.Background())
	var callers sync.WaitGroup
	for range 3 {
		callers.Go(func() {
			for ctx.Err() == nil {
				conn, err := pgx.Connect(ctx, url)
				if err != nil {
					continue
				}
				_, _ = conn.Exec(ctx, "SELECT pg_sleep(0.005)")
				_ = conn.Close(context.Background())
			}
		})
	}
	return func() { cancel(); callers.Wait() }
}

// elsewhere answers one number, as a superuser who has no session on the service's database.
func elsewhere(t *testing.T, s *pgtest.Server, query string) (n int) {
	t.Helper()
	conn := s.Connect(s.URL("admin", "postgres"))
	defer conn.Close(context.Background())
	must(t, conn.QueryRow(soon(t), query).Scan(&n))
	return n
}

// Whoever gets the connections that are kept for administrators does not feel that all others are taken.
func TestWhoIsNotRefused(t *testing.T) {
	t.Run("a service that is a superuser", func(t *testing.T) {
		w, s := serve(t)
		s.Exec("postgres", "ALTER ROLE service SUPERUSER")
		conn := s.Connect(s.Secret("service"))
		defer conn.Close(context.Background())
		f, _ := request{fault: "db.exhaust", service: "b"}.prepared(t, w)
		e, err := f.Inject(soon(t))
		wantEffect(t, "inject", e, err, false, "superusers", "not refused")
		if got := try(t, s, "SELECT 1"); got != "" {
			t.Errorf("the service meets %q", got)
		}
		e, err = f.Check(soon(t))
		wantEffect(t, "check", e, err, false, "superusers", "not refused")
		wantReverted(t, f)
	})
}

// bothOf is a fault on a and b, armed, whose databases are these.
func bothOf(t *testing.T, name string, a, b string) (fault.Fault, []target.Undo) {
	t.Helper()
	w := upWith(t, func(of *spec.Service) {
		delete(of.Env, "DB")
		of.Databases = map[string]string{"orders": b}
	}, func(o *process.Options) {
		of := o.Spec.Services["a"]
		of.Databases = map[string]string{"orders": a}
		o.Spec.Services["a"] = of
		o.SecretVariables = map[string]string{"db": passwordEnv}
	})
	k := request{fault: name}.kind(t)
	params, problems := k.CheckParams(nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	f, err := k.New(fault.Request{ID: "the-step", Runtime: w.Environment, Targets: []target.Target{w.target(t, "a"), w.target(t, "b")}, Params: params})
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			_, _ = f.Revert(context.Background())
		}
	})
	undos, err := f.Prepare(soon(t))
	must(t, err)
	return f, undos
}

// A server is one, and so is a database of it, whoever comes to it and however.
func TestOneServerByTwoURLs(t *testing.T) {
	_, s := serve(t)
	s.Exec("postgres", "CREATE DATABASE more OWNER service")
	orders := strings.Replace(s.URL("chaos", "orders"), "chaos@", "chaos:${secret.db}@", 1)
	more := strings.Replace(orders, "/orders", "/more", 1)
	for name, c := range map[string]struct {
		fault, a string
		times    int
	}{
		"the server's connections":               {"db.exhaust", more, 1},
		"a database":                             {"db.terminate", orders + "?sslmode=disable", 1},
		"a database, as somebody else":           {"db.terminate", strings.Replace(orders, "chaos:", "service:", 1), 1},
		"two databases that each have their own": {"db.terminate", more, 2},
	} {
		t.Run(name, func(t *testing.T) {
			f, undos := bothOf(t, c.fault, c.a, orders)
			if len(undos) != c.times {
				t.Errorf("it is hit %d times, want %d", len(undos), c.times)
			}
			if c.fault == "db.exhaust" {
				e, err := f.Inject(soon(t))
				wantEffect(t, "inject", e, err, true)
			}
			_, err := f.Revert(soon(t))
			must(t, err)
			noneLeft(t, s)
		})
	}
	t.Run("a superuser on the other database", func(t *testing.T) {
		conn := s.Connect(s.URL("admin", "orders"))
		defer conn.Close(context.Background())
		f, _ := bothOf(t, "db.exhaust", more, orders)
		e, err := f.Inject(soon(t))
		wantEffect(t, "inject", e, err, false, "superusers")
		wantReverted(t, f)
	})
	t.Run("a limit that is a database's own is not felt on another", func(t *testing.T) {
		s.Exec("postgres", "ALTER DATABASE more CONNECTION LIMIT 5")
		f, _ := bothOf(t, "db.exhaust", more, orders)
		e, err := f.Inject(soon(t))
		wantEffect(t, "inject", e, err, false, "the database's own", "have 2 on the server")
		wantReverted(t, f)
	})
}
