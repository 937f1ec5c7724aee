package sqlitefile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// The header, of which only these bytes matter here.
const (
	headerSize   = 100
	writeVersion = 18 // 1 rollback journal, 2 WAL, more: this file may be read but not written
	readVersion  = 19
	changeCount  = 24 // connections that see another value forget what they have cached
	validFor     = 92 // the change count for which the size in the header is right
)

var magic = []byte("SQLite format 3\x00")

// readOnlyVersion is the write version that makes a file read-only.
const readOnlyVersion = 3

// CheckDatabase says why a file is no database that this user could write to. Nothing is locked for that.
func CheckDatabase(ctx context.Context, path string) error {
	return withHeader(ctx, path, func(*os.File, []byte) error { return nil })
}

// CheckMarkable says why a database cannot be made read-only: it is in WAL mode (whose header is in the WAL), it is read-only already, or it is no database.
// Nothing is locked for that.
func CheckMarkable(ctx context.Context, path string) error {
	return withHeader(ctx, path, func(_ *os.File, h []byte) error { return markable(path, h) })
}

// CheckLockable says why a lock of this mode cannot be taken on a database: it is read-only, it is in WAL mode and the lock is to keep readers out, or it is no
// database. Nothing is locked for that.
func CheckLockable(ctx context.Context, path string, mode Mode) error {
	return withHeader(ctx, path, func(_ *os.File, h []byte) error {
		switch {
		case h[writeVersion] == 2 && mode == Exclusive:
			return fmt.Errorf("the database %s %s", path, noExclusive)
		case h[writeVersion] == readOnlyVersion:
			return fmt.Errorf("the database %s is read-only already", path)
		}
		return nil
	})
}

func markable(path string, h []byte) error {
	switch {
	case h[writeVersion] == 1 && h[readVersion] == 1:
		return nil
	case h[writeVersion] == 2 && h[readVersion] == 2:
		return fmt.Errorf("the database %s is in WAL mode; only one with a rollback journal (PRAGMA journal_mode=DELETE) can be made read-only from outside", path)
	case h[writeVersion] == readOnlyVersion:
		return fmt.Errorf("the database %s is read-only already", path)
	}
	return fmt.Errorf("the database %s has versions %d and %d in its header, expected 1 and 1", path, h[writeVersion], h[readVersion])
}

// MarkReadOnly makes a database read-only for every process: the next transaction of any connection reads the header, and SQLite then answers SQLITE_READONLY
// to writes. A connection that has seen it stays read-only until it is closed, also when the mark is taken off; SQLite does not look twice.
func MarkReadOnly(ctx context.Context, path string) error {
	return edit(ctx, path, func(h []byte) error {
		if err := markable(path, h); err != nil {
			return err
		}
		h[writeVersion] = readOnlyVersion
		return nil
	})
}

// ClearReadOnly takes MarkReadOnly back. It is idempotent; target.ErrGone if there is no such file any more. A file that has been begun anew, and is empty or in WAL mode, has no
// mark, and is not waited for.
func ClearReadOnly(ctx context.Context, path string) error {
	wal := false
	err := withHeader(ctx, path, func(_ *os.File, h []byte) error {
		wal = h[writeVersion] == 2
		return nil
	})
	switch {
	case errors.Is(err, errNoHeader):
		return nil
	case err != nil || wal: // else it is locked before it is looked at: somebody may be about to mark it
		return err
	}
	return edit(ctx, path, func(h []byte) error {
		if h[writeVersion] == readOnlyVersion {
			h[writeVersion] = 1
		}
		return nil
	})
}

// edit changes the header while no other process reads or writes the database.
func edit(ctx context.Context, path string, change func(header []byte) error) error {
	return withHeader(ctx, path, func(f *os.File, _ []byte) error {
		if err := lockWhole(ctx, f); err != nil {
			return fmt.Errorf("lock the database %s: %w", path, err)
		}
		h, err := readHeader(f) // again: it is locked only now
		if err != nil {
			return fmt.Errorf("the database %s: %w", path, err)
		}
		before := bytes.Clone(h)
		if err := change(h); err != nil || bytes.Equal(before, h) {
			return err
		}
		if err := noHotJournal(path); err != nil {
			return err
		}
		return store(f, h)
	})
}

// withHeader opens the database itself, always for writing: one that we may not write to is found out here.
func withHeader(ctx context.Context, path string, do func(*os.File, []byte) error) (err error) {
	info, err := exists(path)
	if err != nil {
		return err
	}
	free, err := alone(ctx, info)
	if err != nil {
		return fmt.Errorf("open the database %s: %w", path, err)
	}
	defer free()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("the database %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }() // this gives the locks back
	h, err := readHeader(f)
	if err != nil {
		return fmt.Errorf("the database %s: %w", path, err)
	}
	return do(f, h)
}

var errNoHeader = errors.New("it is no SQLite database, or one that nothing was written to yet")

func readHeader(f *os.File) ([]byte, error) {
	h := make([]byte, headerSize)
	n, err := f.ReadAt(h, 0)
	switch {
	case n < headerSize && errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%w: it has %d bytes, the header alone has %d", errNoHeader, n, headerSize)
	case n < headerSize:
		return nil, fmt.Errorf("read the header: %w", err)
	}
	if !bytes.HasPrefix(h, magic) {
		return nil, errors.New("it is no SQLite database: it does not begin with the format's name")
	}
	return h, nil
}

// store writes the header with a new change count and brings it to the disk.
func store(f *os.File, h []byte) error {
	count := binary.BigEndian.Uint32(h[changeCount:])
	sized := binary.BigEndian.Uint32(h[validFor:]) == count
	binary.BigEndian.PutUint32(h[changeCount:], count+1)
	if sized {
		binary.BigEndian.PutUint32(h[validFor:], count+1)
	}
	if _, err := f.WriteAt(h, 0); err != nil {
		return fmt.Errorf("write the header: %w", err)
	}
	return f.Sync()
}

// noHotJournal refuses a database whose last writer died in the middle: whoever opens it next rolls back what it finds in the journal, the header as well.
// A journal that was left empty or with a cleared header is not hot.
func noHotJournal(path string) error {
	f, err := os.Open(path + "-journal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the journal: %w", err)
	}
	defer f.Close()
	first := make([]byte, 1)
	_, err = f.ReadAt(first, 0)
	switch {
	case errors.Is(err, io.EOF) || err == nil && first[0] == 0:
		return nil
	case err != nil:
		return fmt.Errorf("look at the journal: %w", err)
	}
	return fmt.Errorf("the database %s has the journal of a writer that died: let its service open it first", path)
}

// SQLite's locks are on bytes of the file that hold no data.
const (
	pendingByte  = 0x40000000
	reservedByte = pendingByte + 1
	sharedFirst  = pendingByte + 2
	sharedSize   = 510
)

// lockWhole takes SQLite's exclusive lock the way SQLite does: writers are kept out first, then new readers, then the last readers are waited for. The locks
// belong to the open file, so that they exclude other connections of this process as well.
func lockWhole(ctx context.Context, f *os.File) error {
	for _, part := range []struct{ start, size int64 }{{reservedByte, 1}, {pendingByte, 1}, {sharedFirst, sharedSize}} {
		for {
			err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: part.start, Len: part.size})
			if err == nil {
				break
			}
			if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
				return err
			}
			if waited := pause(ctx); waited != nil {
				return fmt.Errorf("others kept it locked: %w", waited)
			}
		}
	}
	return nil
}
