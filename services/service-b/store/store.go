// Package store keeps orders in a SQLite database on disk, in rollback-journal mode, so that a lock or a read-only file is
// felt by readers and writers alike, or in a database of a PostgreSQL server.
//
// All operations go through one connection and so through one queue in memory; they never disturb each other, only other
// processes can make them busy. A connection that failed is thrown away, whatever the reason: SQLite keeps a transaction
// open after a failed commit and stays read-only once it saw a read-only file, a server may have ended the session, and a
// fresh connection costs a millisecond or a few.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// keep is how many orders are kept; older ones are deleted as new ones come, so that the file stays small.
const keep = 10_000

// recent is how many orders an answer lists.
const recent = 20

// dialect is what one kind of database is told in words of its own.
type dialect struct {
	setup                     []string // of a new connection, before it writes
	begin                     string
	insert, deleteOlder, list string
}

// Order is one row.
type Order struct {
	Seq  int64  `json:"seq"`
	ID   string `json:"id"`
	AtMS int64  `json:"at_ms"` // Unix time in milliseconds
}

// Store is safe for concurrent use; calls wait for each other in order of arrival.
type Store struct {
	db  *sql.DB
	say dialect
	// prepared says that the connection is set up and the table exists. Only the holder of the one connection touches it.
	prepared bool
}

// Options of the connection.
type Options struct {
	BusyTimeout time.Duration // how long the database waits for another process's lock; 0 not at all
	Synchronous string        // off, normal or full, as in SQLite's pragma
}

// Close closes the connection.
func (s *Store) Close() error { return s.db.Close() }

// Prepare makes the file and its table, which the first Place would do otherwise.
func (s *Store) Prepare(ctx context.Context) error {
	return s.withConn(ctx, func(c *sql.Conn) error { return s.prepare(ctx, c) })
}

// Place writes one order and reads the latest orders of its key, in one transaction. Placing the same id again writes
// nothing, so a caller may repeat a call whose answer was lost.
func (s *Store) Place(ctx context.Context, key, id string) (orders []Order, err error) {
	err = s.withConn(ctx, func(c *sql.Conn) error {
		if err := s.prepare(ctx, c); err != nil {
			return err
		}
		if err := exec(ctx, c, s.say.begin); err != nil {
			return err
		}
		if err := s.insert(ctx, c, key, id); err != nil {
			return err
		}
		if orders, err = s.list(ctx, c, key); err != nil {
			return err
		}
		return exec(ctx, c, "COMMIT")
	})
	return orders, err
}

// Recent reads the latest orders of the key, newest first; it needs no writable database. Its connection is not used
// again, because it may have become read-only for good.
func (s *Store) Recent(ctx context.Context, key string) (orders []Order, err error) {
	conn, err := s.conn(ctx)
	if err != nil {
		return nil, err
	}
	orders, err = s.list(ctx, conn, key)
	return orders, errors.Join(err, s.discard(conn))
}

// withConn lends the connection to do and throws it away when do failed; closing it rolls back what was not committed.
func (s *Store) withConn(ctx context.Context, do func(*sql.Conn) error) error {
	conn, err := s.conn(ctx)
	if err != nil {
		return err
	}
	if err := do(conn); err != nil {
		return errors.Join(err, s.discard(conn))
	}
	return conn.Close()
}

func (s *Store) conn(ctx context.Context) (*sql.Conn, error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("getting the database connection: %w", err)
	}
	return conn, nil
}

// discard closes the connection itself instead of handing it back for reuse.
func (s *Store) discard(conn *sql.Conn) error {
	s.prepared = false // the next connection is a new one, and perhaps the file too
	err := conn.Raw(func(any) error { return driver.ErrBadConn })
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return nil
	}
	return err
}

// prepare runs under ctx rather than at connecting, which would wait for a lock without one.
func (s *Store) prepare(ctx context.Context, c *sql.Conn) error {
	if s.prepared {
		return nil
	}
	for _, statement := range s.say.setup {
		if err := exec(ctx, c, statement); err != nil {
			return err
		}
	}
	s.prepared = true
	return nil
}

func exec(ctx context.Context, c *sql.Conn, statement string, args ...any) error {
	if _, err := c.ExecContext(ctx, statement, args...); err != nil {
		return fmt.Errorf("%.16s: %w", statement, err)
	}
	return nil
}

func (s *Store) insert(ctx context.Context, c *sql.Conn, key, id string) error {
	now := time.Now().UnixMilli()
	err := exec(ctx, c, s.say.insert, id, key, now)
	if err != nil {
		return err
	}
	return exec(ctx, c, s.say.deleteOlder, keep)
}

func (s *Store) list(ctx context.Context, c *sql.Conn, key string) ([]Order, error) {
	rows, err := c.QueryContext(ctx, s.say.list, key, recent)
	if err != nil {
		return nil, fmt.Errorf("reading orders: %w", err)
	}
	defer rows.Close()
	orders := []Order{}
	for rows.Next() {
		var o Order
		if err := rows.Scan(&o.Seq, &o.ID, &o.AtMS); err != nil {
			return nil, fmt.Errorf("reading orders: %w", err)
		}
		orders = append(orders, o)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading orders: %w", err)
	}
	return orders, nil
}

// Outcome is what an operation came to. Its text is the outcome label, the error kind and the db field of an answer.
type Outcome string

// The outcomes.
const (
	OK       Outcome = "ok"
	Busy     Outcome = "busy"     // another process holds the lock, or others all connections
	ReadOnly Outcome = "readonly" // the file, its folder or its header, or the server, forbids writing
	Full     Outcome = "full"     // no room on the disk
	Corrupt  Outcome = "corrupt"  // not a sound database
	Timeout  Outcome = "timeout"  // the deadline passed, most likely while waiting for the connection
	Canceled Outcome = "canceled" // the caller went away
	Failed   Outcome = "error"    // anything else
)

// Outcomes are all of them.
func Outcomes() []Outcome {
	return []Outcome{OK, Busy, ReadOnly, Full, Corrupt, Timeout, Canceled, Failed}
}

// OutcomeOf classifies an operation's error.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return OK
	}
	if o := cmp.Or(sqliteOutcome(err), postgresOutcome(err)); o != "" {
		return o
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Failed
}
