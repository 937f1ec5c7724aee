package sqlitefile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"chaosgate/pkg/target"
)

// Mode is which of SQLite's locks.
type Mode string

// The modes. In WAL mode there is no lock that keeps readers out, so Exclusive is refused there.
const (
	Write     Mode = "write"     // others read, nobody writes
	Exclusive Mode = "exclusive" // nobody reads or writes
)

// noExclusive says why there is no exclusive lock, and what there is instead.
const noExclusive = "is in WAL mode, where readers cannot be locked out; use mode: write"

// begins are the statements that take the locks.
var begins = map[Mode]string{Write: "BEGIN IMMEDIATE", Exclusive: "BEGIN EXCLUSIVE"}

// Lock is a lock on a database, held by a connection of this process. It is used by one goroutine.
type Lock struct {
	held *connection // nil once it is released
	path string
	file os.FileInfo // what was locked
}

// Take takes a lock as soon as the database is free for it, at the latest when ctx ends.
func Take(ctx context.Context, path string, mode Mode) (*Lock, error) {
	begin, ok := begins[mode]
	if !ok {
		return nil, fmt.Errorf("mode is %q, expected %s or %s", mode, Write, Exclusive)
	}
	file, err := exists(path)
	if err != nil {
		return nil, err
	}
	c, err := open(ctx, path)
	if err != nil {
		return nil, err
	}
	err = retry(ctx, func() error { return begun(ctx, c.Conn, mode, begin) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the database %s (%s): %w", path, begin, err), c.close())
	}
	return &Lock{held: &c, path: path, file: file}, nil
}

func begun(ctx context.Context, conn *sql.Conn, mode Mode, begin string) error {
	if mode == Exclusive {
		var journal string
		if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&journal); err != nil {
			return err
		}
		if journal == "wal" {
			return errors.New("it " + noExclusive)
		}
	}
	_, err := conn.ExecContext(ctx, begin)
	return err
}

// Held says whether the lock is held on the file that has the database's path now: one that was put in its place is not locked.
func (l *Lock) Held() (bool, error) {
	if l.held == nil {
		return false, nil
	}
	now, err := exists(l.path)
	if errors.Is(err, target.ErrGone) {
		return false, nil
	}
	return err == nil && os.SameFile(l.file, now), err
}

// Release gives the lock back, by closing the connection that holds it. It is idempotent.
func (l *Lock) Release() error {
	if l.held == nil {
		return nil
	}
	c := *l.held
	l.held = nil
	if err := c.close(); err != nil {
		return fmt.Errorf("give the lock back: %w", err)
	}
	return nil
}

// Locked says whether somebody, be it the service itself for a moment, holds a lock of this mode, as one meets it that does not wait. Proof of the contrary is
// false, also on a disk that is full; anything else is an error.
func Locked(ctx context.Context, path string, mode Mode) (bool, error) {
	probe := TryWrite
	if mode == Exclusive {
		probe = TryRead
	}
	err := probe(ctx, path)
	switch {
	case IsBusy(err):
		return true, nil
	case errors.Is(err, ErrFull):
		return false, nil
	}
	return false, err
}
