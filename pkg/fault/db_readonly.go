package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/target"
)

// editLimit bounds how long the database's header may be waited for.
const editLimit = 10 * time.Second

// dbReadonly is db.readonly. The mark is in the file itself, so where that can be reached from here there is no helper: the undo is all that is needed.
type dbReadonly struct {
	instance
	db   database // nil before Prepare
	find func(target.Target) (target.Database, error)
	rt   target.Runtime
}

func newDBReadonly(r Request) (Fault, error) {
	dbs, err := able[target.Databaser](r.Runtime, target.CanDatabase)
	if err != nil {
		return nil, err
	}
	return eachInstance(r, func(i instance) (subject, error) {
		find := func(t target.Target) (target.Database, error) { return dbs.Database(t, r.Params.Text("database")) }
		return &dbReadonly{instance: i, find: find, rt: r.Runtime}, nil
	})
}

// Prepare implements Fault.
func (d *dbReadonly) Prepare(ctx context.Context) ([]target.Undo, error) {
	if err := d.look(ctx); err != nil {
		return nil, err
	}
	at, err := d.find(d.Target)
	if err != nil {
		return nil, err
	}
	if d.db, err = openDatabase(ctx, d.rt, d.Target, at, "", agent.EditMark); err != nil {
		return nil, err
	}
	if err := d.db.markable(ctx); err != nil {
		return nil, err
	}
	manual := rollback
	if !at.Inside {
		manual = fmt.Sprintf(`test ! -e %[1]s || printf '\001' | dd of=%[1]s bs=1 seek=18 conv=notrunc`, quote(at.Path)) // dd would make a file that is gone
	}
	return d.undo("db.readonly", databaseUndo{Path: at.Path, Inside: at.Inside, Looker: d.db.id()}, manual)
}

// Inject implements Fault.
func (d *dbReadonly) Inject(ctx context.Context) (Effect, error) {
	if err := d.look(ctx); err != nil {
		return Effect{}, err
	}
	d.touched = true
	editing, cancel := context.WithTimeoutCause(ctx, editLimit, fmt.Errorf("it was in use for %v", editLimit))
	defer cancel()
	if err := d.db.mark(editing); err != nil {
		return Effect{}, err
	}
	return d.measure(ctx)
}

// measure tries to write as another process. A service that is reading keeps it busy for moments only.
func (d *dbReadonly) measure(ctx context.Context) (Effect, error) {
	var now agent.Outcome
	var text string
	if _, err := until(ctx, calmLimit, func(ctx context.Context) (_ bool, err error) {
		now, text, err = d.db.write(ctx)
		return now != agent.Busy, err
	}); err != nil {
		return Effect{}, err
	}
	switch {
	case now == agent.ReadOnly:
		return Effect{Proven: true, Summary: d.Instance + ": its database is read-only: a write from another process meets SQLITE_READONLY"}, nil
	case now == agent.Succeeded && !d.touched:
		return Effect{Summary: d.Instance + ": its database can be written to"}, nil
	case now == agent.Succeeded:
		return Effect{Summary: d.Instance + ": its database can still be written to; the file may have been replaced"}, nil
	}
	return Effect{Summary: fmt.Sprintf("%s: a write to its database should meet SQLITE_READONLY, but met: %s", d.Instance, text)}, nil
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
	if d.db == nil {
		return d.untouched(), nil
	}
	if !d.touched {
		return d.untouched(), d.db.close(ctx)
	}
	e, err := makeWritable(ctx, d.Instance, d.db)
	return e, errors.Join(err, d.db.close(ctx))
}

func makeWritable(ctx context.Context, instance string, db database) (Effect, error) {
	editing, cancel := context.WithTimeoutCause(ctx, editLimit, fmt.Errorf("it was in use for %v", editLimit))
	defer cancel()
	if err := db.clear(editing); err != nil && !errors.Is(err, target.ErrGone) {
		return Effect{}, err
	}
	return writable(ctx, instance, db)
}

// revertDBReadonly takes the mark off whose runner has died.
func revertDBReadonly(ctx context.Context, rt target.Runtime, data json.RawMessage, ref target.Ref) error {
	var u databaseUndo
	if err := json.Unmarshal(data, &u); err != nil {
		return fmt.Errorf("read the undo: %w", err)
	}
	db, err := u.reopen(ctx, rt, ref, agent.EditClear)
	if err != nil {
		return err
	}
	return errors.Join(asError(makeWritable(ctx, ref.Instance, db)), db.close(ctx))
}

// quote makes a path one word of a shell's command.
func quote(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }
