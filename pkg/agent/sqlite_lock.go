package agent

import (
	"context"
	"encoding/json"
	"fmt"

	"chaosgate/pkg/fault/sqlitefile"
)

// SQLiteLockJob holds SQLite's own lock on a database.
const SQLiteLockJob = "sqlite-lock"

// SQLiteLockConfig says which lock.
type SQLiteLockConfig struct {
	Path string          `json:"path"`
	Mode sqlitefile.Mode `json:"mode"`
}

// SQLiteLockStatus is what status and inject answer.
type SQLiteLockStatus struct {
	// Held is false also if another file has been put in the place of the one that was locked.
	Held bool `json:"held"`
}

type sqliteLock struct {
	config SQLiteLockConfig
	lock   *sqlitefile.Lock // nil while nothing is injected
}

func newSQLiteLock(config json.RawMessage) (job, error) {
	l := &sqliteLock{}
	if err := decode(config, &l.config); err != nil {
		return nil, err
	}
	if l.config.Path == "" {
		return nil, fmt.Errorf("path is empty, expected a database file")
	}
	if l.config.Mode != sqlitefile.Write && l.config.Mode != sqlitefile.Exclusive {
		return nil, fmt.Errorf("mode is %q, expected %s or %s", l.config.Mode, sqlitefile.Write, sqlitefile.Exclusive)
	}
	return l, nil
}

func (l *sqliteLock) inject(ctx context.Context) (any, error) {
	if l.lock == nil {
		lock, err := take(ctx, l.config)
		if err != nil {
			return nil, err
		}
		l.lock = lock
	}
	return l.status(ctx)
}

func take(ctx context.Context, c SQLiteLockConfig) (*sqlitefile.Lock, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lockTimeout, fmt.Errorf("others kept it locked for %v", lockTimeout))
	defer cancel()
	return sqlitefile.Take(ctx, c.Path, c.Mode)
}

func (l *sqliteLock) status(context.Context) (any, error) {
	if l.lock == nil {
		return SQLiteLockStatus{}, nil
	}
	held, err := l.lock.Held()
	return SQLiteLockStatus{Held: held}, err
}

func (l *sqliteLock) revert(context.Context) error {
	if l.lock == nil {
		return nil
	}
	lock := l.lock
	l.lock = nil
	return lock.Release()
}
