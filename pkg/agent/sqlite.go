package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/target"
)

// SQLiteJob looks at a database as another process than the service, where it can be reached from inside of an instance only, and can edit it.
const SQLiteJob = "sqlite"

// SQLiteConfig says which database, which lock is looked for, and which edit is made. An edit that this helper has made is taken back when it ends.
type SQLiteConfig struct {
	Path  string          `json:"path"`
	Mode  sqlitefile.Mode `json:"mode,omitempty"`  // of Locked and Lockable; empty looks for no lock
	Edit  sqlitefile.Edit `json:"edit,omitempty"`  // empty: inject only looks
	Table string          `json:"table,omitempty"` // that the edit is for; empty: all
	Undo  bool            `json:"undo,omitempty"`  // inject takes the edit back, whoever made it, and Met is then whether it is undone
}

// Outcome is what came of a try, so that it can be told from afar.
type Outcome string

// The outcomes.
const (
	Succeeded Outcome = "succeeded"
	Busy      Outcome = "busy"      // SQLITE_BUSY
	ReadOnly  Outcome = "read-only" // SQLITE_READONLY, or EROFS
	Corrupt   Outcome = "corrupt"   // SQLITE_CORRUPT
	Full      Outcome = "full"      // ENOSPC; of a database sqlitefile.ErrFull
	Denied    Outcome = "denied"    // this user may not
	Gone      Outcome = "gone"      // there is no such file
	Failed    Outcome = "failed"
)

// SQLiteStatus is what inject and status answer.
type SQLiteStatus struct {
	At       string `json:"at,omitempty"`       // where the file is, with links followed; empty if that cannot be seen
	Lockable string `json:"lockable,omitempty"` // why a lock cannot be taken; empty if it can
	Editable string `json:"editable,omitempty"` // why the edit cannot be made; empty if it can, or was
	// Locked says whether somebody holds a lock of the mode.
	Locked bool `json:"locked"`
	// Met is what came of a try of what the edit takes away, or without an edit of a write that was taken back, without waiting for locks, and Text the error.
	Met  Outcome `json:"met"`
	Text string  `json:"text,omitempty"`
}

type sqliteJob struct {
	config SQLiteConfig
	edited bool
}

func newSQLite(config json.RawMessage) (job, error) {
	j := &sqliteJob{}
	if err := decode(config, &j.config); err != nil {
		return nil, err
	}
	switch c := j.config; {
	case c.Path == "":
		return nil, errors.New("path is empty, expected a database file")
	case c.Mode != "" && c.Mode != sqlitefile.Write && c.Mode != sqlitefile.Exclusive:
		return nil, fmt.Errorf("mode is %q, expected %s or %s", c.Mode, sqlitefile.Write, sqlitefile.Exclusive)
	case c.Edit != "":
		return j, c.Edit.Known()
	}
	return j, nil
}

func (j *sqliteJob) inject(ctx context.Context) (any, error) {
	editing, cancel := context.WithTimeoutCause(ctx, lockTimeout, fmt.Errorf("it was in use for %v", lockTimeout))
	defer cancel()
	switch {
	case j.config.Edit == "":
	case j.config.Undo:
		if err := j.undo(editing); err != nil {
			return nil, err
		}
	case !j.edited:
		j.edited = true // or half of it
		if err := j.config.Edit.Make(editing, j.config.Path, j.config.Table); err != nil {
			return nil, err
		}
	}
	return j.status(ctx)
}

// undo takes the edit back; a file that is gone has none.
func (j *sqliteJob) undo(ctx context.Context) error {
	err := j.config.Edit.Undo(ctx, j.config.Path, j.config.Table)
	if errors.Is(err, target.ErrGone) {
		return nil
	}
	return err
}

func (j *sqliteJob) status(ctx context.Context) (any, error) {
	c := j.config
	var s SQLiteStatus
	s.At, _ = sqlitefile.Place(c.Path) // of a file that is not to be reached Met tells
	if c.Edit != "" && !c.Undo && !j.edited {
		s.Editable = said(c.Edit.Check(ctx, c.Path, c.Table))
	}
	if c.Mode != "" {
		s.Lockable = said(sqlitefile.CheckLockable(ctx, c.Path, c.Mode))
		locked, err := sqlitefile.Locked(ctx, c.Path, c.Mode)
		if err != nil && !errors.Is(err, target.ErrGone) && !sqlitefile.IsReadOnly(err) { // of those two Met tells
			return nil, err
		}
		s.Locked = locked
	}
	err := j.try(ctx)
	s.Met, s.Text = OutcomeOf(err), said(err)
	return s, nil
}

func (j *sqliteJob) try(ctx context.Context) error {
	switch c := j.config; {
	case c.Edit == "":
		return sqlitefile.TryWrite(ctx, c.Path)
	case c.Undo:
		return c.Edit.Undone(ctx, c.Path, c.Table)
	default:
		return c.Edit.Try(ctx, c.Path, c.Table)
	}
}

func said(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// OutcomeOf tells what came of a try on a database.
func OutcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Succeeded
	case sqlitefile.IsBusy(err):
		return Busy
	case sqlitefile.IsReadOnly(err):
		return ReadOnly
	case sqlitefile.IsCorrupt(err):
		return Corrupt
	case errors.Is(err, sqlitefile.ErrFull):
		return Full
	case errors.Is(err, target.ErrGone):
		return Gone
	}
	return Failed
}

func (j *sqliteJob) revert(ctx context.Context) error {
	if !j.edited {
		return nil
	}
	if err := j.undo(ctx); err != nil {
		return err
	}
	j.edited = false
	return nil
}
