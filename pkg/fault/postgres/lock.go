package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Mode is how much a lock forbids to everybody else.
type Mode string

// The modes.
const (
	Write     Mode = "write"     // nobody else can write; everybody can read
	Exclusive Mode = "exclusive" // nobody else can do either
)

// modes are the server's words: what is held, how its list of locks calls that, and what another session tries in order to see it.
var modes = map[Mode]struct{ hold, listed, try string }{
	Write:     {"EXCLUSIVE", "ExclusiveLock", "ROW EXCLUSIVE"},
	Exclusive: {"ACCESS EXCLUSIVE", "AccessExclusiveLock", "ACCESS SHARE"},
}

// lockWithin bounds how long those are waited for who use the tables, and lockTry one try: whoever comes meanwhile waits behind it.
const (
	lockWithin = 10 * time.Second
	lockTry    = 2 * time.Second
)

// Lock is a lock on tables, held by a session of its own.
type Lock struct {
	Tables []string // as the server writes them
	Others int      // tables of the database that the role may not lock

	oids    []uint32
	mode    Mode
	client  Client
	session *Session
	touches *again
}

// Lockable finds what a lock would be on: a table, or all ordinary ones that the role may lock. Nothing is locked yet.
func (c Client) Lockable(ctx context.Context, s *Session, table string, mode Mode) (*Lock, error) {
	l := &Lock{mode: mode, client: c}
	if err := l.find(ctx, s, table); err != nil {
		return nil, fmt.Errorf("find its tables: %w", err)
	}
	switch {
	case len(l.Tables) > 0:
		return l, nil
	case table != "" && l.Others == 0:
		return nil, fmt.Errorf("the database has no table %s", table)
	case l.Others == 0:
		return nil, errors.New("the database has no table that could be locked")
	}
	return nil, fmt.Errorf("the role may lock none of %d tables: it needs SELECT and UPDATE on them", l.Others)
}

func (l *Lock) find(ctx context.Context, s *Session, table string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	rows, err := s.conn.Query(ctx, `SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname),
			has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
			AND ($1 = '' OR c.oid = to_regclass($1)) ORDER BY c.oid`, table)
	if err != nil {
		return err
	}
	var oid uint32
	var name string
	var may bool
	_, err = pgx.ForEachRow(rows, []any{&oid, &name, &may}, func() error {
		if !may {
			l.Others++
			return nil
		}
		l.oids, l.Tables = append(l.oids, oid), append(l.Tables, name)
		return nil
	})
	return err
}

// Take waits for those who use the tables, and locks them.
func (l *Lock) Take(ctx context.Context) error {
	s, err := l.client.lasting(ctx)
	if err != nil {
		return err
	}
	l.session = s
	ctx, cancel := context.WithTimeoutCause(ctx, lockWithin, fmt.Errorf("others kept it locked for %v", lockWithin))
	defer cancel()
	for {
		err := s.exec(ctx, fmt.Sprintf("BEGIN; SET LOCAL lock_timeout = %d; LOCK TABLE %s IN %s MODE", lockTry.Milliseconds(), strings.Join(l.Tables, ", "), modes[l.mode].hold))
		if err == nil {
			l.touches = every(ctx, touchEvery, s.touch)
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("lock its tables: %w", context.Cause(ctx))
		}
		if c := code(err); c != lockNotAvailable && c != deadlockDetected {
			return fmt.Errorf("lock its tables: %w", err)
		}
		if err := s.exec(ctx, "ROLLBACK"); err != nil {
			return fmt.Errorf("lock its tables: %w", err)
		}
	}
}

// Held reads back whether the server shows the lock on all of the tables, and how many sessions wait for it.
func (l *Lock) Held(ctx context.Context, by *Session) (held bool, waiting int, err error) {
	if l.session == nil || l.touches == nil || l.touches.failed() != nil {
		return false, 0, nil
	}
	var locked int
	err = by.ask(ctx, `SELECT (SELECT count(DISTINCT relation) FROM pg_locks WHERE pid = $1 AND locktype = 'relation' AND granted AND mode = $2 AND relation = ANY($3::oid[])
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
		(SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND $1 = ANY(pg_blocking_pids(pid)))`,
		[]any{l.session.pid(), modes[l.mode].listed, l.oids}, &locked, &waiting)
	if err != nil {
		return false, 0, fmt.Errorf("read its locks: %w", err)
	}
	return locked == len(l.oids), waiting, nil
}

// Met tries what the lock forbids, without waiting, and takes that back: true if somebody's lock is in the way.
func (l *Lock) Met(ctx context.Context, by *Session) (bool, error) {
	err := by.exec(ctx, fmt.Sprintf("BEGIN; LOCK TABLE %s IN %s MODE NOWAIT", l.Tables[0], modes[l.mode].try))
	back := by.exec(ctx, "ROLLBACK")
	if code(err) == lockNotAvailable {
		return true, back
	}
	return false, errors.Join(err, back)
}

// Release ends the session that holds the lock. It is idempotent.
func (l *Lock) Release(ctx context.Context) error {
	l.touches.end()
	return l.session.Close(ctx)
}
