package fault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/fault/postgres"
	"chaosgate/pkg/pgtest"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
	"chaosgate/pkg/target/process"
)

// passwordEnv holds the password of the test's servers.
const passwordEnv = "CHAOS_TEST_DB_PASSWORD"

// serve starts a server with two tables of the service, and one that its role chaos may not change; b's database is on it.
func serve(t *testing.T, settings ...string) (*world, *pgtest.Server) {
	t.Helper()
	s := pgtest.Start(t, settings...)
	s.Exec("orders", `SET ROLE service; CREATE TABLE a (v int); CREATE TABLE "It's b" (v int)`)
	t.Setenv(passwordEnv, pgtest.Password)
	return onServer(t, strings.Replace(s.URL("chaos", "orders"), "chaos@", "chaos:${secret.db}@", 1)), s
}

func onServer(t *testing.T, url string) *world {
	t.Helper()
	return upWith(t, func(b *spec.Service) {
		delete(b.Env, "DB")
		b.Databases = map[string]string{"orders": url}
	}, func(o *process.Options) { o.SecretVariables = map[string]string{"db": passwordEnv} })
}

// try does something as the service on a new connection that waits a tenth of a second for locks, and answers the server's code, "" if it went well.
func try(t *testing.T, s *pgtest.Server, statement string) string {
	t.Helper()
	conn, err := pgx.Connect(soon(t), s.Secret("service"))
	if err == nil {
		defer conn.Close(context.Background())
		_, err = conn.Exec(soon(t), "SET lock_timeout = 100; "+statement)
	}
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		t.Fatal(err)
	}
	return e.Code
}

// noneLeft waits until no session of a fault is left: one that has just been closed is there for a moment.
func noneLeft(t *testing.T, s *pgtest.Server) {
	t.Helper()
	eventually(t, "no session of ours is left", func() bool { return s.Sessions() == 0 })
}

// What the service meets.
const (
	lockedOut = "55P03"
	full      = "53300"
)

func TestLockOnAServer(t *testing.T) {
	w, s := serve(t)
	for mode, reading := range map[string]string{"write": "", "exclusive": lockedOut} {
		t.Run(mode, func(t *testing.T) {
			f, undos := request{fault: "db.lock", service: "b", with: map[string]string{"mode": mode}}.prepared(t, w)
			wantNoSecret(t, undos)
			if got := try(t, s, "INSERT INTO a VALUES (1)"); got != "" {
				t.Errorf("before: a write meets %s", got)
			}
			e, err := f.Check(soon(t))
			wantEffect(t, "check before", e, err, false, "not locked")
			e, err = f.Inject(soon(t))
			wantEffect(t, "inject", e, err, true, "2 tables are locked ("+mode+")", "lock_not_available")
			for _, table := range []string{"a", `"It's b"`} {
				if got := try(t, s, "INSERT INTO "+table+" VALUES (1)"); got != lockedOut {
					t.Errorf("a write of %s meets %q", table, got)
				}
				if got := try(t, s, "SELECT * FROM "+table); got != reading {
					t.Errorf("a read of %s meets %q, want %q", table, got, reading)
				}
			}
			e, err = f.Check(soon(t))
			wantEffect(t, "check", e, err, true)
			wantReverted(t, f)
			noneLeft(t, s)
			if got := try(t, s, "INSERT INTO a VALUES (1)"); got != "" {
				t.Errorf("after: a write meets %s", got)
			}
		})
	}
	t.Run("one table", func(t *testing.T) {
		f, _ := request{fault: "db.lock", service: "b", with: map[string]string{"table": `"It's b"`}}.injected(t, w)
		if got := try(t, s, "INSERT INTO a VALUES (1)"); got != "" {
			t.Errorf("a write of the other meets %s", got)
		}
		if got := try(t, s, `INSERT INTO "It's b" VALUES (1)`); got != lockedOut {
			t.Errorf("a write meets %q", got)
		}
		wantReverted(t, f)
	})
	t.Run("those in use are waited for", func(t *testing.T) {
		conn := s.Connect(s.Secret("service"))
		_, err := conn.Exec(soon(t), "BEGIN; INSERT INTO a VALUES (1)")
		must(t, err)
		f, _ := request{fault: "db.lock", service: "b"}.prepared(t, w)
		time.AfterFunc(200*time.Millisecond, func() { conn.Close(context.Background()) })
		e, err := f.Inject(soon(t))
		wantEffect(t, "inject", e, err, true)
		wantReverted(t, f)
	})
	t.Run("the session is ended by somebody", func(t *testing.T) {
		f, _ := request{fault: "db.lock", service: "b"}.injected(t, w)
		if n := s.Ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'chaos/%'"); n < 1 {
			t.Fatal("it has no session")
		}
		eventually(t, "it is gone", func() bool {
			return s.Ask("SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND locktype = 'relation'") == 0
		})
		e, err := f.Check(soon(t))
		if err != nil { // the session that looks has gone as well, which is noticed once
			e, err = f.Check(soon(t))
		}
		wantEffect(t, "check", e, err, false, "has ended before its time")
		wantReverted(t, f)
	})
	t.Run("tables that the role may not lock are told of", func(t *testing.T) {
		s.Exec("orders", "REVOKE ALL ON a FROM chaos")
		f, _ := request{fault: "db.lock", service: "b"}.prepared(t, w)
		e, err := f.Inject(soon(t))
		wantEffect(t, "inject", e, err, true, "of 2 tables 1 are locked")
		wantReverted(t, f)
		s.Exec("orders", `REVOKE ALL ON "It's b" FROM chaos`)
		_, err = request{fault: "db.lock", service: "b"}.build(t, w).Prepare(soon(t))
		wantError(t, err, "the role may lock none of 2 tables")
		_, err = request{fault: "db.lock", service: "b", with: map[string]string{"table": "nowhere"}}.build(t, w).Prepare(soon(t))
		wantError(t, err, "has no table nowhere")
		noneLeft(t, s)
	})
}

func TestTerminate(t *testing.T) {
	w, s := serve(t)
	admin := s.Connect(s.URL("admin", "orders")) // a superuser
	defer admin.Close(context.Background())
	elsewhere := s.Connect(strings.Replace(s.Secret("service"), "/orders", "/postgres", 1))
	defer elsewhere.Close(context.Background())
	spared := func() {
		t.Helper()
		for name, conn := range map[string]*pgx.Conn{"a superuser": admin, "another database": elsewhere} {
			if err := conn.Ping(soon(t)); err != nil {
				t.Errorf("the session of %s: %v", name, err)
			}
		}
	}
	t.Run("nobody is there", func(t *testing.T) {
		f, _ := request{fault: "db.terminate", service: "b", oneShot: true}.prepared(t, w)
		e, err := f.Inject(soon(t))
		wantEffect(t, "inject", e, err, false, "nobody had a session")
		wantReverted(t, f)
	})
	t.Run("once", func(t *testing.T) {
		conn := s.Connect(s.Secret("service"))
		f, undos := request{fault: "db.terminate", service: "b", oneShot: true}.prepared(t, w)
		wantNoSecret(t, undos)
		e, err := f.Inject(soon(t))
		wantEffect(t, "inject", e, err, true, "1 session that others had ended")
		if err := conn.Ping(soon(t)); err == nil {
			t.Error("the session lives")
		}
		if got := try(t, s, "SELECT 1"); got != "" {
			t.Errorf("a new session meets %s", got)
		}
		spared()
		wantReverted(t, f)
	})
	t.Run("again and again", func(t *testing.T) {
		conn := s.Connect(s.Secret("service"))
		defer conn.Close(context.Background())
		f, _ := request{fault: "db.terminate", service: "b"}.injected(t, w)
		for range 3 {
			conn, err := pgx.Connect(soon(t), s.Secret("service"))
			if err != nil {
				continue // it was ended before it could be used
			}
			eventually(t, "a new session ends", func() bool { return conn.Ping(soon(t)) != nil })
		}
		e, err := f.Check(soon(t))
		wantEffect(t, "check", e, err, true, "of the new ones have ended since")
		if e.Readings["sessions_ended"] < 3 {
			t.Errorf("readings: %v", e.Readings)
		}
		spared()
		wantReverted(t, f)
		noneLeft(t, s)
		if got := try(t, s, "SELECT pg_sleep(0.2)"); got != "" {
			t.Errorf("after: a session meets %s", got)
		}
	})
	t.Run("a role that may not see others' sessions says so", func(t *testing.T) {
		s.Exec("postgres", "REVOKE pg_read_all_stats FROM chaos")
		defer s.Exec("postgres", "GRANT pg_read_all_stats TO chaos")
		conn := s.Connect(s.Secret("service"))
		defer conn.Close(context.Background())
		f, _ := request{fault: "db.terminate", service: "b", oneShot: true}.prepared(t, w)
		_, err := f.Inject(soon(t))
		wantError(t, err, "grant it pg_read_all_stats")
		must(t, conn.Ping(soon(t)))
		wantReverted(t, f)
	})
}

// The undo finds and ends the sessions from a fresh process, whoever does not know them; also if nothing was done, and again.
func TestUndoOnAServer(t *testing.T) {
	w, s := serve(t)
	other, _ := request{fault: "db.lock", service: "b", with: map[string]string{"table": "a"}}.injected(t, w)
	for _, name := range []string{"db.lock", "db.terminate"} {
		t.Run(name, func(t *testing.T) {
			r := request{fault: name, service: "b"}
			if name == "db.lock" {
				r.with = map[string]string{"table": `"It's b"`}
			}
			if name == "db.terminate" {
				conn := s.Connect(s.Secret("service"))
				defer conn.Close(context.Background())
			}
			_, undos := r.prepared(t, w)
			undone := func() {
				for range 2 {
					must(t, r.kind(t).Revert(soon(t), process.Attach(undos[0].Target), undos[0].Data, undos[0].Target))
				}
			}
			undone()
			f, undos := r.injected(t, w)
			undone()
			if n := s.Ask("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'chaos/%the-step%'"); n != 2 { // those of the other fault
				t.Errorf("%d sessions are left, want the two of the other fault", n)
			}
			_, _ = f.Revert(soon(t))
		})
	}
	e, err := other.Check(soon(t))
	wantEffect(t, "the other fault", e, err, true)
	wantReverted(t, other)
	noneLeft(t, s)
}

// By hand, as the journal says it.
func TestManualUndoOnAServer(t *testing.T) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("there is no psql here")
	}
	w, s := serve(t)
	f, undos := request{fault: "db.lock", service: "b"}.injected(t, w)
	cmd := exec.Command("sh", "-c", undos[0].Manual)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+pgtest.Password)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s, %s: %v\n%s", psql, undos[0].Manual, err, out)
	}
	noneLeft(t, s)
	_, _ = f.Revert(soon(t))
}

// A server that is gone has nothing left of a fault, and the runner says what it met.
func TestAServerThatIsGone(t *testing.T) {
	w, s := serve(t)
	f, undos := request{fault: "db.lock", service: "b"}.injected(t, w)
	s.Kill()
	if e, err := f.Check(soon(t)); err == nil && e.Proven {
		t.Errorf("got %+v", e)
	}
	_, err := f.Revert(t.Context())
	wantError(t, err, "is not known", "connect to")
	s.Run()
	wantReverted(t, f)
	on := undos[0]
	var u struct {
		Server   target.Server `json:"server"`
		Sessions string        `json:"sessions"`
	}
	must(t, json.Unmarshal(on.Data, &u))
	u.Server.On = &target.Ref{Runtime: "process", Service: "db"} // it would have been a service of the run's
	data, err := json.Marshal(u)
	must(t, err)
	k, _ := fault.Find("db.lock")
	must(t, k.Revert(soon(t), process.Attach(on.Target), data, on.Target))
}

// A server that is a service of the environment goes with its sessions, and what they held with them, whatever ends it.
func TestAServiceThatIsGoneWithItsSessions(t *testing.T) {
	bin, data, as := pgtest.Programs(t), pgtest.Folder(t), pgtest.User(t)
	w := upWith(t, func(b *spec.Service) {
		delete(b.Env, "DB")
		b.Databases = map[string]string{"orders": "postgres://admin@db:5432/postgres"}
	}, func(o *process.Options) {
		o.Spec.Services["db"] = spec.Service{
			Command: append(as, "sh", "-c", fmt.Sprintf("test -e %[1]s/data || %[2]s/initdb -D %[1]s/data -U admin --auth=trust --no-sync -E UTF8 --locale=C; "+
				"exec %[2]s/postgres -D %[1]s/data -p ${port.sql} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off", data, bin)),
			Ports: map[string]string{"sql": "5432"}, Ready: spec.Readiness{Within: "60s"}, Stop: "2s",
		}
	})
	d, err := w.Database(w.target(t, "b"), "")
	must(t, err)
	at, err := w.FindServer(t.Context(), *d.Server)
	must(t, err)
	var conn *pgx.Conn
	eventually(t, "it takes connections", func() bool {
		conn, err = pgx.Connect(soon(t), "postgres://admin@"+at+"/postgres")
		return err == nil
	})
	_, err = conn.Exec(soon(t), "CREATE TABLE a (v int)")
	must(t, err)
	must(t, conn.Close(soon(t)))
	f, _ := request{fault: "db.lock", service: "b"}.injected(t, w)
	db := w.target(t, "db")
	must(t, w.Hold(t.Context(), db))
	must(t, w.Kill(soon(t), db, "SIGKILL"))
	wantReverted(t, f)
}

// A server that has just been started is no reason to give up.
func TestAServerThatStartsIsWaitedFor(t *testing.T) {
	s := pgtest.Start(t)
	t.Setenv(passwordEnv, pgtest.Password)
	s.Kill()
	c := clientAt(s.URL("chaos", "orders"))
	find, tries := c.Find, make(chan struct{}, 1_000)
	c.Find = func(ctx context.Context) (string, error) {
		tries <- struct{}{}
		return find(ctx)
	}
	done := make(chan error, 1)
	go func() { done <- c.EndSessions(soon(t), nil) }()
	for range 2 {
		select {
		case <-tries:
		case err := <-done:
			t.Fatalf("it has given up: %v", err)
		}
	}
	s.Run()
	must(t, <-done)
}

// Whatever variables psql would read, a session is with the server that is named, whether it is in a cluster or not, and as its URL says.
func TestVariablesNameNoServer(t *testing.T) {
	s := pgtest.Start(t)
	t.Setenv(passwordEnv, pgtest.Password)
	for name, value := range map[string]string{
		"PGSSLMODE": "require", "PGTARGETSESSIONATTRS": "standby", "PGHOST": "nowhere.invalid", "PGPORT": "1", "PGUSER": "nobody", "PGDATABASE": "nowhere", "PGPASSWORD": "wrong", "PGOPTIONS": "-c search_path=x",
		"PGAPPNAME": "psql",
	} {
		t.Setenv(name, value)
	}
	session, err := clientAt(s.URL("chaos", "orders")).Open(soon(t))
	must(t, err)
	must(t, session.Close(soon(t)))
	_, err = clientAt(s.URL("chaos", "orders") + "?sslmode=require").Open(soon(t))
	wantError(t, err, "refused TLS")
}

// holder is a process that does something to a server until it is killed.
func startHolder(t *testing.T, s *pgtest.Server, what string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ROLE=holder", "WHAT="+what, passwordEnv+"="+pgtest.Password, "URL="+s.URL("chaos", "orders"))
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	return cmd
}

// holder locks all tables, or takes all connections.
func holder() error {
	c := clientAt(os.Getenv("URL"))
	ctx := context.Background()
	s, err := c.Open(ctx)
	if err != nil {
		return err
	}
	if os.Getenv("WHAT") == "db.exhaust" {
		all, err := c.Exhaust(ctx, s, 0, "orders")
		if err == nil {
			err = all.Take(ctx, s)
		}
		if err != nil {
			return err
		}
		select {}
	}
	l, err := c.Lockable(ctx, s, "", postgres.Write)
	if err == nil {
		err = l.Take(ctx)
	}
	if err != nil {
		return err
	}
	select {}
}

func clientAt(url string) postgres.Client {
	address, _, _ := strings.Cut(strings.SplitN(url, "@", 2)[1], "/")
	return postgres.Client{
		Server: target.Server{URL: url, PasswordEnv: passwordEnv}, Name: "chaos/held",
		Find: func(context.Context) (string, error) { return address, nil },
	}
}

// A killed runner's sessions end with it, and whoever takes them back from outside sees that.
func TestAKilledRunnerLeavesNoSession(t *testing.T) {
	s := pgtest.Start(t)
	s.Exec("orders", "SET ROLE service; CREATE TABLE a (v int)")
	t.Setenv(passwordEnv, pgtest.Password)
	for what, meets := range map[string]string{"db.lock": lockedOut, "db.exhaust": full} {
		t.Run(what, func(t *testing.T) {
			cmd := startHolder(t, s, what)
			eventually(t, "it is felt", func() bool { return try(t, s, "INSERT INTO a VALUES (1)") == meets })
			must(t, cmd.Process.Kill())
			_ = cmd.Wait()
			must(t, clientAt(s.URL("chaos", "orders")).EndSessions(soon(t), nil))
			if got := try(t, s, "INSERT INTO a VALUES (1)"); got != "" {
				t.Errorf("a write meets %s", got)
			}
			noneLeft(t, s)
		})
	}
}

func TestNoPasswordThere(t *testing.T) {
	w, _ := serve(t)
	t.Setenv(passwordEnv, "")
	_, err := request{fault: "db.lock", service: "b"}.build(t, w).Prepare(soon(t))
	wantError(t, err, passwordEnv, "is not set")
	t.Setenv(passwordEnv, "wrong-and-secret")
	_, err = request{fault: "db.lock", service: "b"}.build(t, w).Prepare(soon(t))
	wantError(t, err, "connect to postgres://chaos@")
	if strings.Contains(err.Error(), "wrong-and-secret") {
		t.Errorf("the password is in %v", err)
	}
}

// wantNoSecret fails if the password is in what is written down.
func wantNoSecret(t *testing.T, undos []target.Undo) {
	t.Helper()
	text, err := json.Marshal(undos)
	must(t, err)
	if strings.Contains(string(text), pgtest.Password) {
		t.Errorf("the password is in %s", text)
	}
}
