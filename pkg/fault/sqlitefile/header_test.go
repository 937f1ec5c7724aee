package sqlitefile_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/target"
)

func dirOf(file string) string { return filepath.Dir(file) }

// openTimes is how many descriptors of this process are on a file.
func openTimes(t *testing.T, file string) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, file) {
			n++
		}
	}
	return n
}

func TestReadOnlyIsMetByEverybody(t *testing.T) {
	for _, journal := range []string{"DELETE", "TRUNCATE", "PERSIST", "MEMORY"} {
		t.Run(journal, func(t *testing.T) {
			file := database(t, "orders.db", journal)
			old := other(t, file)
			must(t, insert(old))
			before, err := os.ReadFile(file)
			must(t, err)
			must(t, sqlitefile.CheckMarkable(soon(t), file))
			must(t, sqlitefile.MarkReadOnly(soon(t), file))
			checkReadOnly(t, "an existing connection", old)
			checkReadOnly(t, "a new connection", other(t, file))
			if err := sqlitefile.TryWrite(soon(t), file); !sqlitefile.IsReadOnly(err) {
				t.Errorf("a try met %v", err)
			}
			wantError(t, sqlitefile.CheckMarkable(soon(t), file), "read-only already")
			wantError(t, sqlitefile.MarkReadOnly(soon(t), file), "read-only already")
			wantError(t, sqlitefile.CheckLockable(soon(t), file, sqlitefile.Write), "read-only already")
			for range 2 {
				must(t, sqlitefile.ClearReadOnly(soon(t), file))
			}
			checkOnlyCounted(t, before, file)
			must(t, sqlitefile.TryWrite(soon(t), file))
			must(t, insert(other(t, file)))
			wantError(t, insert(old), "readonly") // as documented: until it is opened anew
		})
	}
}

func checkReadOnly(t *testing.T, who string, db *sql.DB) {
	t.Helper()
	if err := insert(db); !sqlitefile.IsReadOnly(err) {
		t.Errorf("%s: a write met %v", who, err)
	}
	if n, err := count(db); n != 11 || err != nil {
		t.Errorf("%s: a read met %d rows, %v", who, n, err)
	}
}

// checkOnlyCounted compares a file byte for byte with what it was: only its change count may be another, and the count for which its size was written.
func checkOnlyCounted(t *testing.T, before []byte, file string) {
	t.Helper()
	after, err := os.ReadFile(file)
	must(t, err)
	if len(before) != len(after) {
		t.Fatalf("it had %d bytes and has %d", len(before), len(after))
	}
	for i := range before {
		if counts := i >= 24 && i < 28 || i >= 92 && i < 96; before[i] != after[i] && !counts {
			t.Errorf("byte %d was %d and is %d", i, before[i], after[i])
		}
	}
	if bytes.Equal(before[24:28], after[24:28]) || !bytes.Equal(after[24:28], after[92:96]) {
		t.Errorf("the change count was %v, is %v, and the size is that of %v", before[24:28], after[24:28], after[92:96])
	}
}

// What cannot be marked stays as it is, and the error says why.
func TestCannotBeMarked(t *testing.T) {
	cases := map[string]struct {
		make func(*testing.T) string
		want []string
	}{
		"WAL mode":   {func(t *testing.T) string { return database(t, "orders.db", "WAL") }, []string{"WAL mode", "journal_mode=DELETE"}},
		"a text":     {func(t *testing.T) string { return file(t, strings.Repeat("no database ", 20)) }, []string{"does not begin with the format's name"}},
		"a short":    {func(t *testing.T) string { return file(t, "SQLite format 3\x00") }, []string{"it has 16 bytes, the header alone has 100"}},
		"empty":      {func(t *testing.T) string { return file(t, "") }, []string{"nothing was written to yet", "it has 0 bytes"}},
		"a folder":   {func(t *testing.T) string { return t.TempDir() }, []string{"not a regular file"}},
		"a new kind": {newerVersion, []string{"has versions 4 and 4 in its header, expected 1 and 1"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := c.make(t)
			before, _ := os.ReadFile(path)
			wantError(t, sqlitefile.CheckMarkable(soon(t), path), c.want...)
			wantError(t, sqlitefile.MarkReadOnly(soon(t), path), c.want...)
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("it has changed")
			}
		})
	}
}

func file(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "some.db")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func newerVersion(t *testing.T) string {
	path := database(t, "orders.db", "DELETE")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte{4, 4}, 18)
	must(t, err)
	must(t, f.Close())
	return path
}

func TestMissingFileIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.db")
	for name, err := range map[string]error{
		"CheckMarkable": sqlitefile.CheckMarkable(soon(t), path), "CheckLockable": sqlitefile.CheckLockable(soon(t), path, sqlitefile.Write),
		"MarkReadOnly": sqlitefile.MarkReadOnly(soon(t), path), "ClearReadOnly": sqlitefile.ClearReadOnly(soon(t), path),
		"TryRead": sqlitefile.TryRead(soon(t), path), "TryWrite": sqlitefile.TryWrite(soon(t), path),
	} {
		if !errors.Is(err, target.ErrGone) || !strings.Contains(fmt.Sprint(err), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
}

func TestCheckLockable(t *testing.T) {
	plain, wal := database(t, "orders.db", "DELETE"), database(t, "orders.db", "WAL")
	must(t, sqlitefile.CheckLockable(soon(t), plain, sqlitefile.Write))
	must(t, sqlitefile.CheckLockable(soon(t), plain, sqlitefile.Exclusive))
	must(t, sqlitefile.CheckLockable(soon(t), wal, sqlitefile.Write))
	wantError(t, sqlitefile.CheckLockable(soon(t), wal, sqlitefile.Exclusive), "WAL mode", "use mode: write")
	wantError(t, sqlitefile.CheckLockable(soon(t), file(t, "text"), sqlitefile.Write), "no SQLite database")
}

// The name goes through a URL on its way to SQLite.
func TestOddFileNames(t *testing.T) {
	for _, name := range []string{"two words.db", "100%.db", "%41.db", "what?mode=ro.db", "a#b.db", `quo"te's.db`, "a&b=c.db", "ünïcode.db", "new\nline.db", "file:x.db"} {
		t.Run(name, func(t *testing.T) {
			path := database(t, name, "DELETE")
			lock, err := sqlitefile.Take(soon(t), path, sqlitefile.Exclusive)
			must(t, err)
			checkLocked(t, path, sqlitefile.Exclusive, true)
			must(t, lock.Release())
			must(t, sqlitefile.MarkReadOnly(soon(t), path))
			if err := sqlitefile.TryWrite(soon(t), path); !sqlitefile.IsReadOnly(err) {
				t.Errorf("got %v", err)
			}
			must(t, sqlitefile.ClearReadOnly(soon(t), path))
			must(t, sqlitefile.TryWrite(soon(t), path))
			if left, err := os.ReadDir(dirOf(path)); err != nil || len(left) != 1 {
				t.Errorf("in the folder: %v, %v", left, err)
			}
		})
	}
}

// A writer and a reader of another process are waited for, until the context ends; then nothing has changed and nothing is held.
func TestMarkWaitsForOthers(t *testing.T) {
	for name, begin := range map[string][]string{"a writer": {"BEGIN IMMEDIATE"}, "a reader": {"BEGIN", "SELECT count(*) FROM a"}} {
		t.Run(name, func(t *testing.T) {
			path := database(t, "orders.db", "DELETE")
			before, err := os.ReadFile(path)
			must(t, err)
			end := child(t, "holder", path, begin...)
			wantError(t, sqlitefile.MarkReadOnly(short(t), path), "lock the database", "others kept it locked", "time is over")
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
				t.Errorf("it has changed, %v", err)
			}
			must(t, sqlitefile.TryRead(soon(t), path)) // readers are let in again
			marked := make(chan error)
			go func() { marked <- sqlitefile.MarkReadOnly(soon(t), path) }()
			end()
			must(t, <-marked)
			wantError(t, insert(other(t, path)), "readonly")
		})
	}
}

// A header is not opened while a connection of this process is: closing the descriptor would drop the connection's locks.
func TestHeaderWaitsForConnectionsOfThisProcess(t *testing.T) {
	path := database(t, "orders.db", "DELETE")
	lock, err := sqlitefile.Take(soon(t), path, sqlitefile.Write)
	must(t, err)
	for name, err := range map[string]error{
		"CheckMarkable": sqlitefile.CheckMarkable(short(t), path), "MarkReadOnly": sqlitefile.MarkReadOnly(short(t), path), "ClearReadOnly": sqlitefile.ClearReadOnly(short(t), path),
	} {
		wantError(t, err, "this program was busy with it", "time is over")
		if t.Failed() {
			t.Fatal(name)
		}
	}
	if said := child(t, "writer", path)(); !strings.HasPrefix(said, "0 ") {
		t.Errorf("another process has written under the lock: %s", said)
	}
	must(t, lock.Release())
	must(t, sqlitefile.CheckMarkable(soon(t), path))
}

// A journal that SQLite would roll back is left to SQLite.
func TestHotJournalIsRefused(t *testing.T) {
	path := database(t, "orders.db", "DELETE")
	leaveHotJournal(t, path)
	wantError(t, sqlitefile.MarkReadOnly(soon(t), path), "journal of a writer that died", "let its service open it first")
	must(t, sqlitefile.ClearReadOnly(soon(t), path)) // there is nothing to take off
	checkIntact(t, path)                             // it rolls the journal back
	must(t, sqlitefile.MarkReadOnly(soon(t), path))
	must(t, sqlitefile.ClearReadOnly(soon(t), path))
	checkIntact(t, path)
}

// While the mark is set and taken off, another process that writes without pause sees nothing but SQLITE_BUSY and SQLITE_READONLY, and nothing is lost or torn.
func TestWriterOfAnotherProcessNeverSeesCorruption(t *testing.T) {
	for _, journal := range []string{"DELETE", "TRUNCATE", "PERSIST"} {
		t.Run(journal, func(t *testing.T) {
			path := database(t, "orders.db", journal)
			end := child(t, "writer", path)
			for range 200 {
				must(t, sqlitefile.MarkReadOnly(soon(t), path))
				if err := sqlitefile.TryWrite(soon(t), path); !sqlitefile.IsReadOnly(err) && !sqlitefile.IsBusy(err) {
					t.Fatalf("under the mark a try met %v", err)
				}
				must(t, sqlitefile.ClearReadOnly(soon(t), path))
			}
			var wrote, refused int
			_, err := fmt.Sscan(end(), &wrote, &refused)
			must(t, err)
			if refused == 0 {
				t.Errorf("the writer wrote %d times and was never refused", wrote)
			}
			checkIntact(t, path)
			if n, err := count(other(t, path)); err != nil || n != 10+wrote {
				t.Errorf("%d rows, %v, want %d", n, err, 10+wrote)
			}
		})
	}
}
