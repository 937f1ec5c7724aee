// Package store keeps orders in a SQLite database on disk, in rollback-journal mode, so that a lock or a read-only file is
// felt by readers and writers alike.
//
// All operations go through one connection and so through one queue in memory; they never disturb each other, only other
// processes can make them busy. A connection that failed is thrown away, whatever the reason: SQLite keeps a transaction
// open after a failed commit and stays read-only once it saw a read-only file, and a fresh connection costs about a millisecond.
package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"time"

	sqlite "modernc.org/sqlite"
)

// keep is how many orders are kept; older ones are deleted as new ones come, so that the file stays small.
const keep = 10_000

// recent is how many orders an answer lists.
const recent = 20

const schema = `
CREATE TABLE IF NOT EXISTS orders (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, key TEXT NOT NULL, at_ms INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS orders_by_key ON orders (key, seq);`

// Order is one row.
type Order struct {
	Seq  int64  `json:"seq"`
	ID   string `json:"id"`
	AtMS int64  `json:"at_ms"` // Unix time in milliseconds
}

// Store is safe for concurrent use; calls wait for each other in order of arrival.
type Store struct {
	db          *sql.DB
	synchronous string
	// prepared says that the connection is set up and the table exists. Only the holder of the one connection touches it.
	prepared bool
}

// Options of the connection.
type Options struct {
	BusyTimeout time.Duration // how long SQLite waits for another process's lock; 0 not at all
	Synchronous string        // off, normal or full, as in SQLite's pragma
}

// Open prepares a store on the file without touching it; the file and its table are made by the first operation.
func Open(path string, o Options) (*Store, error) {
	query := url.Values{"_busy_timeout": {fmt.Sprint(o.BusyTimeout.Milliseconds())}}
	name := (&url.URL{Path: path}).EscapedPath()
	db, err := sql.Open("sqlite", "file:"+name+"?"+query.Encode())
	if err != nil {
		return nil, fmt.Errorf("opening the database %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	return &Store{db: db, synchronous: o.Synchronous}, nil
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
		if err := exec(ctx, c, "BEGIN IMMEDIATE"); err != nil {
			return err
		}
		if err := insert(ctx, c, key, id); err != nil {
			return err
		}
		if orders, err = list(ctx, c, key); err != nil {
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
	orders, err = list(ctx, conn, key)
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
	for _, statement := range []string{
		"PRAGMA journal_mode = DELETE", // a file left in WAL mode by someone else would hide locks from readers
		"PRAGMA synchronous = " + s.synchronous,
		schema,
	} {
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

func insert(ctx context.Context, c *sql.Conn, key, id string) error {
	now := time.Now().UnixMilli()
	err := exec(ctx, c, "INSERT INTO orders (id, key, at_ms) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING", id, key, now)
	if err != nil {
		return err
	}
	return exec(ctx, c, "DELETE FROM orders WHERE seq <= (SELECT max(seq) FROM orders) - ?", keep)
}

func list(ctx context.Context, c *sql.Conn, key string) ([]Order, error) {
	rows, err := c.QueryContext(ctx, "SELECT seq, id, at_ms FROM orders WHERE key = ? ORDER BY seq DESC LIMIT ?", key, recent)
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
	Busy     Outcome = "busy"     // another process holds the lock
	ReadOnly Outcome = "readonly" // the file, its folder or its header forbids writing
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

// SQLite's primary result codes, https://www.sqlite.org/rescode.html; the extended codes add bits above the low eight.
var outcomes = map[int]Outcome{5: Busy, 6: Busy, 8: ReadOnly, 11: Corrupt, 13: Full, 26: Corrupt}

// OutcomeOf classifies an operation's error.
func OutcomeOf(err error) Outcome {
	var e *sqlite.Error
	switch {
	case err == nil:
		return OK
	case errors.As(err, &e) && outcomes[e.Code()&0xff] != "":
		return outcomes[e.Code()&0xff]
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Failed
}
