package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

func open(t *testing.T, path string, busy time.Duration) *Store {
	t.Helper()
	s, err := Open(path, Options{BusyTimeout: busy, Synchronous: "off"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func place(t *testing.T, s *Store, key, id string) []Order {
	t.Helper()
	orders, err := s.Place(t.Context(), key, id)
	if err != nil {
		t.Fatal(err)
	}
	return orders
}

// lock takes SQLite's exclusive lock through a connection of its own and returns its release.
func lock(t *testing.T, path string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(context.Background(), "BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() {
		conn.ExecContext(context.Background(), "ROLLBACK")
		conn.Close()
		db.Close()
	})
	t.Cleanup(release)
	return release
}

// setWriteVersion changes the file's write version, byte 18 of its header: above 2 SQLite takes the file as read-only.
// It bumps the change counter at byte 24, so that open connections notice. https://www.sqlite.org/fileformat.html
func setWriteVersion(t *testing.T, path string, version byte) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	header := make([]byte, 28)
	if _, err := file.ReadAt(header, 0); err != nil {
		t.Fatal(err)
	}
	header[18] = version
	binary.BigEndian.PutUint32(header[24:], binary.BigEndian.Uint32(header[24:])+1)
	if _, err := file.WriteAt(header, 0); err != nil {
		t.Fatal(err)
	}
}

func TestPlaceWritesAndReads(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "b.db"), 0)
	place(t, s, "tea", "1")
	place(t, s, "coffee", "2")
	orders := place(t, s, "tea", "3")
	if len(orders) != 2 || orders[0].ID != "3" || orders[1].ID != "1" || orders[0].Seq != 3 {
		t.Errorf("orders %+v", orders)
	}
	if age := time.Since(time.UnixMilli(orders[0].AtMS)); age < 0 || age > time.Minute {
		t.Errorf("the order is %v old", age)
	}
}

func TestPlaceTwiceWritesOnce(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "b.db"), 0)
	place(t, s, "tea", "1")
	if orders := place(t, s, "tea", "1"); len(orders) != 1 {
		t.Errorf("orders %+v", orders)
	}
}

func TestOldOrdersAreDeleted(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "b.db"), 0)
	for n := range recent + 5 {
		place(t, s, "tea", strconv.Itoa(n))
	}
	if _, err := s.db.Exec("INSERT INTO orders (seq, id, key, at_ms) VALUES (?, 'far', 'tea', 0)", keep+10); err != nil {
		t.Fatal(err)
	}
	if orders := place(t, s, "tea", "last"); len(orders) != 16 || orders[15].Seq != 12 {
		t.Errorf("%d orders are left, the oldest %+v", len(orders), orders[len(orders)-1])
	}
}

func TestOrdersSurviveAndThePathMayHoldAnything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b?a=1 %41#.db")
	s := open(t, path, 0)
	place(t, s, "tea", "1")
	s.Close()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if orders, err := open(t, path, 0).Recent(t.Context(), "tea"); err != nil || len(orders) != 1 {
		t.Errorf("orders %+v, %v", orders, err)
	}
}

func TestRollbackJournalEvenIfTheFileWasLeftInWAL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.db")
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA journal_mode = WAL; CREATE TABLE x (y)"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	s := open(t, path, 0)
	place(t, s, "tea", "1")
	var mode string
	if err := s.db.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil || mode != "delete" {
		t.Errorf("journal mode %q, %v", mode, err)
	}
}

func TestLockIsBusyForWritersAndReaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.db")
	s := open(t, path, 0)
	place(t, s, "tea", "1")
	release := lock(t, path)
	if _, err := s.Place(t.Context(), "tea", "2"); OutcomeOf(err) != Busy {
		t.Errorf("writing: %s, %v", OutcomeOf(err), err)
	}
	if _, err := s.Recent(t.Context(), "tea"); OutcomeOf(err) != Busy {
		t.Errorf("reading: %s, %v", OutcomeOf(err), err)
	}
	release()
	if orders := place(t, s, "tea", "3"); len(orders) != 2 {
		t.Errorf("after the lock: %+v", orders)
	}
}

// A lock shorter than the busy timeout is waited for; without a busy timeout it is an error.
func TestBusyTimeout(t *testing.T) {
	for busy, want := range map[time.Duration]Outcome{0: Busy, 2 * time.Second: OK} {
		path := filepath.Join(t.TempDir(), "b.db")
		s := open(t, path, busy)
		place(t, s, "tea", "1")
		release := lock(t, path)
		if want == OK { // the other one must meet the lock, however late it comes
			time.AfterFunc(50*time.Millisecond, release)
		}
		if _, err := s.Place(t.Context(), "tea", "2"); OutcomeOf(err) != want {
			t.Errorf("busy timeout %v: %s, %v; want %s", busy, OutcomeOf(err), err, want)
		}
	}
}

func TestBusyTimeoutIsTheLongestWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.db")
	s := open(t, path, 100*time.Millisecond)
	place(t, s, "tea", "1")
	lock(t, path)
	start := time.Now()
	_, err := s.Place(t.Context(), "tea", "2")
	if took := time.Since(start); OutcomeOf(err) != Busy || took < 90*time.Millisecond || took > time.Second {
		t.Errorf("%s after %v: %v", OutcomeOf(err), took, err)
	}
}

func TestDeadlineAndCancelEndTheWaitForALock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.db")
	s := open(t, path, time.Minute)
	place(t, s, "tea", "1")
	release := lock(t, path)
	for _, want := range []Outcome{Timeout, Canceled} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if want == Canceled {
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
		}
		start := time.Now()
		_, err := s.Place(ctx, "tea", "2")
		if took := time.Since(start); OutcomeOf(err) != want || took > 5*time.Second {
			t.Errorf("%s after %v, want %s: %v", OutcomeOf(err), took, want, err)
		}
		cancel()
	}
	release()
	place(t, s, "tea", "3")
}

func TestDeadlineEndsTheWaitInTheQueue(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "b.db"), 0)
	held, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Place(ctx, "tea", "1"); OutcomeOf(err) != Timeout {
		t.Errorf("%s: %v", OutcomeOf(err), err)
	}
}

func TestReadOnlyHeader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.db")
	s := open(t, path, 0)
	place(t, s, "tea", "1")
	setWriteVersion(t, path, 3)
	for range 3 {
		if _, err := s.Place(t.Context(), "tea", "2"); OutcomeOf(err) != ReadOnly {
			t.Errorf("writing: %s, %v", OutcomeOf(err), err)
		}
		if orders, err := s.Recent(t.Context(), "tea"); err != nil || len(orders) != 1 {
			t.Errorf("reading: %+v, %v", orders, err)
		}
	}
	setWriteVersion(t, path, 1)
	if orders := place(t, s, "tea", "3"); len(orders) != 2 {
		t.Errorf("writable again: %+v", orders)
	}
}

func TestReadOnlyFile(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write to any file")
	}
	path := filepath.Join(t.TempDir(), "b.db")
	s := open(t, path, 0)
	place(t, s, "tea", "1")
	s.Close()
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, 0)
	if _, err := s.Place(t.Context(), "tea", "2"); OutcomeOf(err) != ReadOnly {
		t.Errorf("%s: %v", OutcomeOf(err), err)
	}
}

func TestReplacedAndCorruptFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.db")
	s := open(t, path, 0)
	place(t, s, "tea", "1")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Place(t.Context(), "tea", "2"); OutcomeOf(err) != ReadOnly {
		t.Errorf("removed: %s, %v", OutcomeOf(err), err)
	}
	if orders := place(t, s, "tea", "3"); len(orders) != 1 {
		t.Errorf("made anew: %+v", orders)
	}
	s.Close()
	if err := os.WriteFile(path, make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, path, 0).Place(t.Context(), "tea", "4"); OutcomeOf(err) != Corrupt {
		t.Errorf("corrupt: %s, %v", OutcomeOf(err), err)
	}
}

func TestFullDatabase(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "b.db"), 0)
	place(t, s, "tea", "0")
	if _, err := s.db.Exec("PRAGMA max_page_count = 5"); err != nil { // of the one connection, for as long as it lives
		t.Fatal(err)
	}
	var err error
	for n := 1; err == nil && n < 2000; n++ {
		_, err = s.Place(t.Context(), "tea", strconv.Itoa(n))
	}
	if OutcomeOf(err) != Full {
		t.Errorf("%s: %v", OutcomeOf(err), err)
	}
	place(t, s, "tea", "room again")
}

func TestConcurrentPlaces(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "b.db"), 0)
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			if _, err := s.Place(t.Context(), "tea", strconv.Itoa(n)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if orders := place(t, s, "tea", "last"); orders[0].Seq != 51 || len(orders) != recent {
		t.Errorf("the last of 51: %+v", orders[0])
	}
}

func TestOutcomeOf(t *testing.T) {
	for want, err := range map[Outcome]error{
		OK: nil, Failed: errors.New("odd"),
		Timeout: fmt.Errorf("x: %w", context.DeadlineExceeded), Canceled: fmt.Errorf("x: %w", context.Canceled),
	} {
		if got := OutcomeOf(err); got != want {
			t.Errorf("%v is %s, want %s", err, got, want)
		}
	}
}
