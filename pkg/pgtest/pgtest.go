// Package pgtest starts PostgreSQL servers for tests: the real programs of the machine's own package, with data of their own, on a port of their own.
package pgtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Password is that of the roles service and chaos. Whoever comes as admin, a superuser, needs none.
const Password = "s3cret-of-the-test"

// Connections is how many connections a server takes, those that it keeps for superusers included.
const Connections = 20

// readyWithin is how long a server may take to be ready on a busy machine.
const readyWithin = 60 * time.Second

// Server is a server with the database orders, which belongs to the role service. The role chaos may read and change its tables, and see and end its sessions.
type Server struct {
	Port int

	t     testing.TB
	args  []string
	as    *syscall.Credential
	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd has ended
	dir   string
}

// Programs is the folder of the server's programs. Where they are not installed the test is skipped, in CI it fails.
func Programs(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the pattern is good
	if program, err := exec.LookPath("postgres"); err == nil {
		if program, err = filepath.EvalSymlinks(program); err == nil {
			found = append(found, program)
		}
	}
	for _, program := range slices.Backward(found) {
		if _, err := os.Stat(filepath.Join(filepath.Dir(program), "initdb")); err == nil {
			return filepath.Dir(program)
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("there is no PostgreSQL server here, and in CI there must be")
	}
	t.Skip("there is no PostgreSQL server here")
	return ""
}

// Start starts a server for one test, as an unprivileged user if the test is root: the server refuses to be. It ends with the test.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	bin := Programs(t)
	s := &Server{t: t, Port: freePort(t), as: credential(t), dir: Folder(t)}
	t.Cleanup(s.Kill)
	data := filepath.Join(s.dir, "data")
	if out, err := s.command(filepath.Join(bin, "initdb"), "-D", data, "-U", "admin", "--auth=trust", "--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	rules := "host all admin 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
	must(t, os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(rules), 0o600))
	s.args = []string{
		filepath.Join(bin, "postgres"), "-D", data, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", fmt.Sprintf("max_connections=%d", Connections), "-c", "shared_buffers=16MB",
	}
	for _, setting := range settings {
		s.args = append(s.args, "-c", setting)
	}
	const tries = 5 // somebody may take the port before the server does
	for n := 1; ; n++ {
		err := s.begin()
		if err == nil {
			break
		}
		if n == tries {
			t.Fatal(err)
		}
		s.Kill()
		s.Port = freePort(t)
	}
	s.Exec("postgres", fmt.Sprintf("CREATE ROLE service LOGIN PASSWORD '%[1]s'; CREATE ROLE chaos LOGIN PASSWORD '%[1]s'; GRANT pg_signal_backend, pg_read_all_stats TO chaos", Password))
	s.Exec("postgres", "CREATE DATABASE orders OWNER service")
	s.Exec("orders", "GRANT ALL ON SCHEMA public TO service; ALTER DEFAULT PRIVILEGES FOR ROLE service GRANT SELECT, UPDATE ON TABLES TO chaos")
	return s
}

// Run starts the server again after a Kill, and returns when it takes connections.
func (s *Server) Run() {
	s.t.Helper()
	must(s.t, s.begin())
}

// begin starts the server and waits until it takes connections, or has ended.
func (s *Server) begin() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := s.command(s.args[0], append(s.args[1:], "-p", strconv.Itoa(s.Port))...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	s.cmd, s.ended = cmd, ended
	go func() {
		_ = cmd.Wait() // its log says why
		close(ended)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.URL("admin", "postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ended:
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
			continue
		}
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("the server is not ready: %w\n%s", err, text)
	}
}

// Kill ends the server as a crash does, with all of its sessions. It is idempotent.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGQUIT) // it may have ended
	<-s.ended
	s.cmd = nil
}

// Pause stops the server's first process and every session, until Resume: connections stay open and nobody answers.
func (s *Server) Pause()  { s.signal(syscall.SIGSTOP) }
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(signal syscall.Signal) {
	s.t.Helper()
	must(s.t, s.cmd.Process.Signal(signal))
	children, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", s.cmd.Process.Pid))
	must(s.t, err)
	for _, text := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(text)
		must(s.t, err)
		_ = syscall.Kill(pid, signal) // it may have ended
	}
}

// URL is that of a database without a password, as a role.
func (s *Server) URL(role, database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s", role, s.Port, database)
}

// Secret is that of the database orders with the password, as a role.
func (s *Server) Secret(role string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, Password), Host: fmt.Sprintf("127.0.0.1:%d", s.Port), Path: "/orders"}
	return u.String()
}

// Exec does something as the superuser admin.
func (s *Server) Exec(database, statement string) {
	s.t.Helper()
	conn := s.Connect(s.URL("admin", database))
	defer conn.Close(context.Background())
	_, err := conn.Exec(context.Background(), statement)
	must(s.t, err)
}

// Ask answers one number, as the superuser admin in the database orders.
func (s *Server) Ask(query string, args ...any) (n int) {
	s.t.Helper()
	conn := s.Connect(s.URL("admin", "orders"))
	defer conn.Close(context.Background())
	must(s.t, conn.QueryRow(context.Background(), query, args...).Scan(&n))
	return n
}

// Sessions is how many sessions there are of a fault's own.
func (s *Server) Sessions() int {
	s.t.Helper()
	return s.Ask("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'chaos/%'")
}

// Connect opens a connection, which the caller closes.
func (s *Server) Connect(to string) *pgx.Conn {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	conn, err := pgx.Connect(ctx, to)
	must(s.t, err)
	return conn
}

func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true, Pdeathsig: syscall.SIGQUIT} // a test that is killed leaves no server
	return cmd
}

// credential is the user that a server runs as; nil is the test's own.
func credential(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	must(t, err)
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	must(t, err)
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	must(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// User begins a command that is to run as the user that a server needs; it is empty if that is the test's own.
func User(t testing.TB) []string {
	t.Helper()
	as := credential(t)
	if as == nil {
		return nil
	}
	return []string{"setpriv", fmt.Sprintf("--reuid=%d", as.Uid), fmt.Sprintf("--regid=%d", as.Gid), "--clear-groups"}
}

// Folder is a temporary one of the user that a server runs as.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgtest")
	must(t, err)
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if as := credential(t); as != nil {
		must(t, os.Chown(dir, int(as.Uid), int(as.Gid)))
	}
	return dir
}

// freePort is one below those that a kernel usually gives to outgoing connections, so that it is still free when the server comes back to it.
func freePort(t testing.TB) int {
	t.Helper()
	const first, span = 15_000, 12_000
	for range 50 {
		port := first + rand.IntN(span)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			must(t, l.Close())
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
