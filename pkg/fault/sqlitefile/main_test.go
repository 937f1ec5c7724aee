package sqlitefile_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/internal/testkit"
)

var (
	soon      = testkit.Soon
	must      = testkit.Must
	wantError = testkit.WantError
)

// The test binary is also another process that uses a database: ROLE says how, FILE which.
func TestMain(m *testing.M) {
	roles := map[string]func(string) error{"writer": writer, "holder": holder, "dies": diesWriting}
	role, ok := roles[os.Getenv("ROLE")]
	if !ok {
		os.Exit(m.Run())
	}
	if err := role(os.Getenv("FILE")); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// writer adds a row to each of two tables in one transaction, again and again on a fresh connection, until its input ends. Only a lock or an edit may stop it.
func writer(file string) error {
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	fmt.Println("ready")
	var wrote, refused int
	for {
		select {
		case <-ended:
			fmt.Println(wrote, refused)
			return nil
		default:
		}
		switch err := write(file); {
		case err == nil:
			wrote++
		case sqlitefile.IsBusy(err), sqlitefile.IsReadOnly(err), sqlitefile.IsCorrupt(err):
			refused++
		default:
			return err
		}
	}
}

func write(file string) error {
	db, err := connect(file)
	if err != nil {
		return err
	}
	_, err = db.Exec("BEGIN; INSERT INTO a VALUES (hex(randomblob(900))); INSERT INTO b VALUES (hex(randomblob(900))); COMMIT")
	if err != nil {
		_, _ = db.Exec("ROLLBACK") // it may have none to roll back
	}
	return errors.Join(err, db.Close())
}

// holder begins a transaction with the statements in BEGIN and keeps it until its input ends.
func holder(file string) error {
	db, err := connect(file)
	if err != nil {
		return err
	}
	for s := range strings.SplitSeq(os.Getenv("BEGIN"), ";") {
		if _, err := db.Exec(s); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// diesWriting leaves a journal that has to be rolled back: it is killed by itself when its pages are in the file already.
func diesWriting(file string) error {
	db, err := connect(file)
	if err != nil {
		return err
	}
	for _, s := range []string{"PRAGMA cache_size = 1", "BEGIN IMMEDIATE", "UPDATE a SET v = hex(randomblob(900))"} {
		if _, err := db.Exec(s); err != nil {
			return err
		}
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	return self.Kill()
}

// connect answers one connection with no busy timeout, as an impatient service has it.
func connect(file string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?mode=rw")
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// database makes one with two tables and ten rows in each, in a journal mode.
func database(t *testing.T, name, journal string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath())
	must(t, err)
	defer db.Close()
	_, err = db.Exec("PRAGMA journal_mode = " + journal + "; CREATE TABLE a (v); CREATE TABLE b (v); PRAGMA user_version = 42")
	must(t, err)
	for range 10 {
		_, err = db.Exec("INSERT INTO a VALUES (hex(randomblob(900))); INSERT INTO b VALUES (hex(randomblob(900)))")
		must(t, err)
	}
	return file
}

// other is a connection of another user of the database.
func other(t *testing.T, file string) *sql.DB {
	t.Helper()
	db, err := connect(file)
	must(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

func count(db *sql.DB) (n int, err error) {
	return n, db.QueryRow("SELECT count(*) FROM a").Scan(&n)
}

func insert(db *sql.DB) error {
	_, err := db.Exec("INSERT INTO a VALUES ('x')")
	return err
}

// checkIntact asks SQLite whether the file is sound, and that no transaction was torn.
func checkIntact(t *testing.T, file string) {
	t.Helper()
	db := other(t, file)
	var said string
	var a, b int
	must(t, db.QueryRow("PRAGMA integrity_check").Scan(&said))
	must(t, db.QueryRow("SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)").Scan(&a, &b))
	if said != "ok" || a != b || a < 10 {
		t.Errorf("integrity check: %s; rows: %d and %d", said, a, b)
	}
}

// child starts this binary in a role and waits until it is ready. end closes its input and answers what it said last.
func child(t *testing.T, role, file string, begin ...string) (end func() string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ROLE="+role, "FILE="+file, "BEGIN="+strings.Join(begin, ";"))
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	said := bufio.NewReader(out)
	line, err := said.ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return func() string {
		must(t, in.Close())
		rest, err := io.ReadAll(said)
		must(t, err)
		must(t, cmd.Wait())
		return strings.TrimSpace(string(rest))
	}
}

func leaveHotJournal(t *testing.T, file string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ROLE=dies", "FILE="+file)
	if out, err := cmd.CombinedOutput(); err == nil || len(out) > 0 {
		t.Fatalf("the writer did not die as it should: %v, %s", err, out)
	}
	if info, err := os.Stat(file + "-journal"); err != nil || info.Size() < 512 {
		t.Fatalf("it left no journal: %v", err)
	}
}

// short is a context for what is expected to be waited for in vain.
func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errors.New("time is over"))
	t.Cleanup(cancel)
	return ctx
}
