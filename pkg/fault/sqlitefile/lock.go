package sqlitefile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Mode is which of SQLite's locks.
type Mode string

// The modes. In WAL mode there is no lock that keeps readers out, so Exclusive is refused there.
const (
	Write     Mode = "write"     // others read, nobody writes
	Exclusive Mode = "exclusive" // nobody reads or writes
)

// begins are the statements that take the locks.
var begins = map[Mode]string{Write: "BEGIN IMMEDIATE", Exclusive: "BEGIN EXCLUSIVE"}

// Lock is a lock on a database, held by a connection of this process. It is used by one goroutine.
type Lock struct {
	db   *sql.DB
	conn *sql.Conn
}

// Take takes a lock as soon as the database is free for it, at the latest when ctx ends.
func Take(ctx context.Context, path string, mode Mode) (*Lock, error) {
	begin, ok := begins[mode]
	if !ok {
		return nil, fmt.Errorf("mode is %q, expected %s or %s", mode, Write, Exclusive)
	}
	db, conn, err := open(ctx, path)
	if err != nil {
		return nil, err
	}
	err = retry(ctx, func() error { return begun(ctx, conn, mode, begin) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the database %s (%s): %w", path, begin, err), db.Close())
	}
	return &Lock{db: db, conn: conn}, nil
}

func begun(ctx context.Context, conn *sql.Conn, mode Mode, begin string) error {
	if mode == Exclusive {
		var journal string
		if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&journal); err != nil {
			return err
		}
		if journal == "wal" {
			return errors.New("it is in WAL mode, where readers cannot be locked out; use mode: write")
		}
	}
	_, err := conn.ExecContext(ctx, begin)
	return err
}

// Release gives the lock back. It is idempotent.
func (l *Lock) Release(ctx context.Context) error {
	if l.db == nil {
		return nil
	}
	_, err := l.conn.ExecContext(ctx, "ROLLBACK")
	err = errors.Join(err, l.conn.Close(), l.db.Close())
	if err != nil {
		return fmt.Errorf("give the lock back: %w", err)
	}
	l.db, l.conn = nil, nil
	return nil
}

// Locked says whether somebody holds a lock of this mode, as a service meets it that does not wait. Proof of the contrary is false; anything else is an error.
func Locked(ctx context.Context, path string, mode Mode) (bool, error) {
	probe := TryWrite
	if mode == Exclusive {
		probe = TryRead
	}
	err := probe(ctx, path)
	if IsBusy(err) {
		return true, nil
	}
	return false, err
}
