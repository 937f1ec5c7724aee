package sqlitefile_test

import (
	"errors"
	"os"
	"testing"

	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/target"
)

// What another connection meets under a lock, and after it.
func TestLocksAreMetByOthers(t *testing.T) {
	cases := []struct {
		journal   string
		mode      sqlitefile.Mode
		readBusy  bool
		writeBusy bool
	}{
		{"DELETE", sqlitefile.Write, false, true},
		{"DELETE", sqlitefile.Exclusive, true, true},
		{"PERSIST", sqlitefile.Exclusive, true, true},
		{"WAL", sqlitefile.Write, false, true},
	}
	for _, c := range cases {
		t.Run(c.journal+" "+string(c.mode), func(t *testing.T) {
			file := database(t, "orders.db", c.journal)
			db := other(t, file)
			must(t, insert(db)) // it is open before the lock
			lock, err := sqlitefile.Take(soon(t), file, c.mode)
			must(t, err)
			_, readErr := count(db)
			if writeErr := insert(db); sqlitefile.IsBusy(readErr) != c.readBusy || sqlitefile.IsBusy(writeErr) != c.writeBusy {
				t.Errorf("a read met %v, a write met %v", readErr, writeErr)
			}
			checkLocked(t, file, c.mode, true)
			for range 2 {
				must(t, lock.Release())
				if held, err := lock.Held(); held || err != nil {
					t.Errorf("after the release: held %v, %v", held, err)
				}
			}
			checkLocked(t, file, c.mode, false)
			must(t, insert(db))
		})
	}
}

func checkLocked(t *testing.T, file string, mode sqlitefile.Mode, want bool) {
	t.Helper()
	if got, err := sqlitefile.Locked(soon(t), file, mode); got != want || err != nil {
		t.Errorf("locked: %v, %v, want %v", got, err, want)
	}
}

func TestLockCannotBeTaken(t *testing.T) {
	plain, wal := database(t, "a.db", "DELETE"), database(t, "b.db", "WAL")
	_, err := sqlitefile.Take(soon(t), wal, sqlitefile.Exclusive)
	wantError(t, err, "WAL mode", "use mode: write")
	_, err = sqlitefile.Take(soon(t), plain, "shared")
	wantError(t, err, `mode is "shared", expected write or exclusive`)
	if _, err = sqlitefile.Take(soon(t), plain+"x", sqlitefile.Write); !errors.Is(err, target.ErrGone) {
		t.Errorf("a file that is not there: %v", err)
	}
	must(t, os.WriteFile(plain+".txt", make([]byte, 4096), 0o600))
	_, err = sqlitefile.Take(soon(t), plain+".txt", sqlitefile.Write)
	wantError(t, err, "not a database")
	_, err = sqlitefile.Take(soon(t), t.TempDir(), sqlitefile.Write)
	wantError(t, err, "not a regular file")
}

// Somebody else's lock is waited for until the context ends, and the one that gave up holds nothing.
func TestTakeWaitsForOthers(t *testing.T) {
	file := database(t, "orders.db", "DELETE")
	first, err := sqlitefile.Take(soon(t), file, sqlitefile.Write)
	must(t, err)
	_, err = sqlitefile.Take(short(t), file, sqlitefile.Write)
	wantError(t, err, "BEGIN IMMEDIATE", "time is over", "SQLITE_BUSY")
	taken := make(chan error)
	go func() {
		second, err := sqlitefile.Take(soon(t), file, sqlitefile.Write)
		if err == nil {
			err = second.Release()
		}
		taken <- err
	}()
	must(t, first.Release())
	must(t, <-taken)
	must(t, insert(other(t, file)))
}

// A lock is on a file, not on a name.
func TestLockOnAFileThatWasReplaced(t *testing.T) {
	file, spare := database(t, "orders.db", "DELETE"), database(t, "orders.db", "DELETE")
	lock, err := sqlitefile.Take(soon(t), file, sqlitefile.Write)
	must(t, err)
	if held, err := lock.Held(); !held || err != nil {
		t.Errorf("held: %v, %v", held, err)
	}
	must(t, os.Rename(spare, file))
	if held, err := lock.Held(); held || err != nil {
		t.Errorf("the file was replaced, but it is held: %v, %v", held, err)
	}
	checkLocked(t, file, sqlitefile.Write, false)
	must(t, os.Remove(file))
	if held, err := lock.Held(); held || err != nil {
		t.Errorf("the file was removed, but it is held: %v, %v", held, err)
	}
	if _, err := sqlitefile.Locked(soon(t), file, sqlitefile.Write); !errors.Is(err, target.ErrGone) {
		t.Errorf("got %v", err)
	}
	must(t, lock.Release())
}

// Trying changes nothing and leaves nothing open, be the answer yes or no.
func TestTryingLeavesNothingBehind(t *testing.T) {
	file := database(t, "orders.db", "DELETE")
	before, err := os.ReadFile(file)
	must(t, err)
	lock, err := sqlitefile.Take(soon(t), file, sqlitefile.Exclusive)
	must(t, err)
	for range 20 {
		if err := sqlitefile.TryWrite(soon(t), file); !sqlitefile.IsBusy(err) {
			t.Fatalf("got %v", err)
		}
	}
	must(t, lock.Release())
	for range 20 {
		must(t, sqlitefile.TryWrite(soon(t), file))
		must(t, sqlitefile.TryRead(soon(t), file))
	}
	if n := openTimes(t, file); n != 0 {
		t.Errorf("it is still open %d times", n)
	}
	after, err := os.ReadFile(file)
	must(t, err)
	if string(before) != string(after) {
		t.Error("the file has changed")
	}
	if left, err := os.ReadDir(dirOf(file)); err != nil || len(left) != 1 {
		t.Errorf("in the folder: %v, %v", left, err)
	}
}
