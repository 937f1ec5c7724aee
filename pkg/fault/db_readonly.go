package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/target"
)

// editLimit bounds how long the database's header may be waited for.
const editLimit = 10 * time.Second

// dbReadonly is db.readonly. The mark is in the file itself, so there is no helper: the undo is all that is needed.
type dbReadonly struct {
	instance
	path string
	find func(target.Target) (string, error)
}

// fileUndo is enough to take the mark off.
type fileUndo struct {
	Path string `json:"path"`
}

func newDBReadonly(r Request) (Fault, error) {
	dbs, err := able[target.Databaser](r.Runtime, target.CanDatabase)
	if err != nil {
		return nil, err
	}
	return eachInstance(r, func(i instance) (subject, error) {
		find := func(t target.Target) (string, error) { return dbs.Database(t, r.Params.Text("database")) }
		return &dbReadonly{instance: i, find: find}, nil
	})
}

// Prepare implements Fault.
func (d *dbReadonly) Prepare(ctx context.Context) ([]target.Undo, error) {
	if err := d.look(ctx); err != nil {
		return nil, err
	}
	path, err := d.find(d.Target)
	if err != nil {
		return nil, err
	}
	if err := sqlitefile.CheckMarkable(ctx, path); err != nil {
		return nil, err
	}
	d.path = path
	manual := fmt.Sprintf(`test ! -e %[1]s || printf '\001' | dd of=%[1]s bs=1 seek=18 conv=notrunc`, quote(path)) // dd would make a file that is gone
	return d.undo("db.readonly", fileUndo{Path: path}, manual)
}

// Inject implements Fault.
func (d *dbReadonly) Inject(ctx context.Context) (Effect, error) {
	if err := d.look(ctx); err != nil {
		return Effect{}, err
	}
	d.touched = true
	editing, cancel := context.WithTimeoutCause(ctx, editLimit, fmt.Errorf("it was in use for %v", editLimit))
	defer cancel()
	if err := sqlitefile.MarkReadOnly(editing, d.path); err != nil {
		return Effect{}, err
	}
	return d.measure(ctx)
}

// measure tries to write from this process. A service that is reading keeps it busy for moments only.
func (d *dbReadonly) measure(ctx context.Context) (Effect, error) {
	var last error
	if _, err := until(ctx, calmLimit, func(ctx context.Context) (bool, error) {
		last = sqlitefile.TryWrite(ctx, d.path)
		return !sqlitefile.IsBusy(last), nil
	}); err != nil {
		return Effect{}, err
	}
	switch {
	case sqlitefile.IsReadOnly(last):
		return Effect{Proven: true, Summary: d.Instance + ": its database is read-only: a write from another process meets SQLITE_READONLY"}, nil
	case last == nil && !d.touched:
		return Effect{Summary: d.Instance + ": its database can be written to"}, nil
	case last == nil:
		return Effect{Summary: d.Instance + ": its database can still be written to; the file may have been replaced"}, nil
	}
	return Effect{Summary: fmt.Sprintf("%s: a write to its database should meet SQLITE_READONLY, but met: %v", d.Instance, last)}, nil
}

// Check implements Fault.
func (d *dbReadonly) Check(ctx context.Context) (Effect, error) {
	e, err := d.measure(ctx)
	if err != nil {
		return e, err
	}
	return d.withFate(ctx, e)
}

// Revert implements Fault.
func (d *dbReadonly) Revert(ctx context.Context) (Effect, error) {
	if !d.touched {
		return d.untouched(), nil
	}
	return makeWritable(ctx, d.Instance, d.path)
}

func makeWritable(ctx context.Context, instance, path string) (Effect, error) {
	editing, cancel := context.WithTimeoutCause(ctx, editLimit, fmt.Errorf("it was in use for %v", editLimit))
	defer cancel()
	if err := sqlitefile.ClearReadOnly(editing, path); err != nil && !errors.Is(err, target.ErrGone) {
		return Effect{}, err
	}
	return writable(ctx, instance, path)
}

// revertDBReadonly takes the mark off whose runner has died.
func revertDBReadonly(ctx context.Context, _ target.Runtime, data json.RawMessage, ref target.Ref) error {
	var u fileUndo
	if err := json.Unmarshal(data, &u); err != nil {
		return fmt.Errorf("read the undo: %w", err)
	}
	return asError(makeWritable(ctx, ref.Instance, u.Path))
}

// quote makes a path one word of a shell's command.
func quote(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }
