package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/target"
)

// SQLiteJob looks at a database as another process than the service, where it can be reached from inside of an instance only, and can make it read-only.
const SQLiteJob = "sqlite"

// The edits of a SQLiteConfig. A mark that this helper has made is taken off when it ends.
const (
	EditMark  = "mark"  // inject makes the database read-only
	EditClear = "clear" // inject takes that back, whoever did it
)

// SQLiteConfig says which database, and which lock is looked for.
type SQLiteConfig struct {
	Path string          `json:"path"`
	Mode sqlitefile.Mode `json:"mode,omitempty"` // of Locked and Lockable; empty looks for no lock
	Edit string          `json:"edit,omitempty"` // empty: inject only looks
}

// Outcome is what came of a try, so that it can be told from afar.
type Outcome string

// The outcomes.
const (
	Succeeded Outcome = "succeeded"
	Busy      Outcome = "busy"      // SQLITE_BUSY
	ReadOnly  Outcome = "read-only" // SQLITE_READONLY
	Gone      Outcome = "gone"      // there is no such file
	Failed    Outcome = "failed"
)

// SQLiteStatus is what inject and status answer.
type SQLiteStatus struct {
	Lockable string `json:"lockable,omitempty"` // why a lock cannot be taken; empty if it can
	Markable string `json:"markable,omitempty"` // why it cannot be made read-only; empty if it can
	// Locked says whether somebody holds a lock of the mode.
	Locked bool `json:"locked"`
	// Write is what came of a write that was taken back, without waiting for locks, and Text the error.
	Write Outcome `json:"write"`
	Text  string  `json:"text,omitempty"`
}

type sqliteJob struct {
	config SQLiteConfig
	marked bool
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
	case c.Edit != "" && c.Edit != EditMark && c.Edit != EditClear:
		return nil, fmt.Errorf("edit is %q, expected %s or %s", c.Edit, EditMark, EditClear)
	}
	return j, nil
}

func (j *sqliteJob) inject(ctx context.Context) (any, error) {
	editing, cancel := context.WithTimeoutCause(ctx, lockTimeout, fmt.Errorf("it was in use for %v", lockTimeout))
	defer cancel()
	switch j.config.Edit {
	case EditMark:
		if j.marked {
			break
		}
		j.marked = true // or half of it
		if err := sqlitefile.MarkReadOnly(editing, j.config.Path); err != nil {
			return nil, err
		}
	case EditClear:
		if err := clearMark(editing, j.config.Path); err != nil {
			return nil, err
		}
	}
	return j.status(ctx)
}

// clearMark takes a mark off; a file that is gone has none.
func clearMark(ctx context.Context, path string) error {
	err := sqlitefile.ClearReadOnly(ctx, path)
	if errors.Is(err, target.ErrGone) {
		return nil
	}
	return err
}

func (j *sqliteJob) status(ctx context.Context) (any, error) {
	s := SQLiteStatus{Markable: said(sqlitefile.CheckMarkable(ctx, j.config.Path))}
	if j.config.Mode != "" {
		s.Lockable = said(sqlitefile.CheckLockable(ctx, j.config.Path, j.config.Mode))
		locked, err := sqlitefile.Locked(ctx, j.config.Path, j.config.Mode)
		if err != nil && !errors.Is(err, target.ErrGone) && !sqlitefile.IsReadOnly(err) { // of those two Write tells
			return nil, err
		}
		s.Locked = locked
	}
	err := sqlitefile.TryWrite(ctx, j.config.Path)
	s.Write, s.Text = OutcomeOf(err), said(err)
	return s, nil
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
	case errors.Is(err, target.ErrGone):
		return Gone
	}
	return Failed
}

func (j *sqliteJob) revert(ctx context.Context) error {
	if !j.marked {
		return nil
	}
	if err := clearMark(ctx, j.config.Path); err != nil {
		return err
	}
	j.marked = false
	return nil
}
