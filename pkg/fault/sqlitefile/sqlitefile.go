// Package sqlitefile does to a SQLite database from outside what faults need: it locks it, makes it read-only or damaged for every process, and looks at that with a
// connection of its own. The database's rows are never touched, and nothing is written without SQLite's own locks.
//
// The file format is described in https://sqlite.org/fileformat2.html, the locks in https://sqlite.org/lockingv3.html.
package sqlitefile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"chaosgate/pkg/target"
)

// retryEvery is how often something that is locked is tried again.
const retryEvery = time.Millisecond

// connection is one connection to an existing database that waits for no lock.
type connection struct {
	db *sql.DB
	*sql.Conn
	free func()
}

func open(ctx context.Context, path string) (connection, error) {
	var c connection
	info, err := exists(path)
	if err != nil {
		return c, err
	}
	if c.free, err = share(ctx, info); err != nil {
		return c, fmt.Errorf("open the database %s: %w", path, err)
	}
	name := (&url.URL{Path: filepath.Clean(path)}).EscapedPath()
	if c.db, err = sql.Open("sqlite", "file:"+name+"?mode=rw&_pragma=busy_timeout(0)"); err == nil {
		c.Conn, err = c.db.Conn(ctx)
	}
	if err != nil {
		return c, errors.Join(fmt.Errorf("open the database %s: %w", path, err), c.close())
	}
	return c, nil
}

// close ends the connection and with it what it has begun. Closing the pool alone would not: it leaves a connection open that is in use.
func (c connection) close() error {
	var err error
	if c.Conn != nil {
		err = c.Close()
	}
	if c.db != nil {
		err = errors.Join(err, c.db.Close())
	}
	c.free()
	return err
}

// exists answers target.ErrGone for a file that is not there: SQLite would make an empty one, or a folder would be in the way.
func exists(path string) (os.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no database file %s: %w", path, target.ErrGone)
	case err != nil:
		return nil, fmt.Errorf("the database %s: %w", path, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("the database %s is not a regular file", path)
	}
	return info, nil
}

// Place answers where the file of a database is: SQLite follows links, and has the journal beside what it finds at their end. target.ErrGone if there is no such file.
func Place(path string) (string, error) {
	if _, err := exists(path); err != nil {
		return "", err
	}
	at, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("the database %s: %w", path, err)
	}
	return at, nil
}

// is says whether an error has a primary result code of SQLite.
func is(err error, code int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == code
}

// IsBusy says whether an error is SQLITE_BUSY: another connection holds a lock.
func IsBusy(err error) bool { return is(err, lib.SQLITE_BUSY) }

// IsReadOnly says whether an error is SQLITE_READONLY.
func IsReadOnly(err error) bool { return is(err, lib.SQLITE_READONLY) }

// TryRead reads the schema through a fresh connection, without waiting for locks.
func TryRead(ctx context.Context, path string) error {
	return with(ctx, path, func(c connection) error { return c.run(ctx, "SELECT count(*) FROM sqlite_master") })
}

// ErrFull is the error of TryWrite where there is all that a write needs but the room for it.
var ErrFull = errors.New("there is no room for a write")

// TryWrite writes through a fresh connection, without waiting for locks, and takes it back: nothing is changed. It says what a service that wants to write
// now meets. (Beginning to write is not enough: SQLite lets that pass on a file that it could only open for reading.) SQLite looks for room last, so SQLITE_FULL in the write
// itself is ErrFull. At the beginning it is not: there a journal that somebody has left may want the room, and SQLite has looked at nothing else yet.
func TryWrite(ctx context.Context, path string) error {
	return with(ctx, path, func(c connection) error {
		if err := c.run(ctx, "BEGIN IMMEDIATE"); err != nil {
			return err
		}
		err := c.run(ctx, "PRAGMA user_version = 1")
		switch {
		case is(err, lib.SQLITE_FULL):
			return fmt.Errorf("%w: %w", ErrFull, err) // with which SQLite has rolled back
		case err != nil:
			return err
		}
		return c.run(ctx, "ROLLBACK")
	})
}

func with(ctx context.Context, path string, do func(connection) error) error {
	c, err := open(ctx, path)
	if err != nil {
		return err
	}
	return errors.Join(do(c), c.close())
}

func (c connection) run(ctx context.Context, statement string) error {
	if _, err := c.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// retry tries again while the answer is SQLITE_BUSY, until ctx ends.
func retry(ctx context.Context, try func() error) error {
	var busy error
	for {
		err := try()
		switch {
		case err == nil:
			return nil
		case IsBusy(err):
			busy = err
		case ctx.Err() == nil || busy == nil: // else the driver was interrupted, and says so instead of why
			return err
		}
		if waited := pause(ctx); waited != nil {
			return fmt.Errorf("%w; the last answer: %w", waited, busy)
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(retryEvery):
		return nil
	}
}
