package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/target"
)

// editLimit bounds how long a database may be waited for that is to be edited.
const editLimit = 10 * time.Second

// edited is what the faults differ in that edit a database.
type edited struct {
	edit sqlitefile.Edit
	met  agent.Outcome // by whoever does what the edit takes away
	code string        // of that
	is   string        // what the database is then: "read-only"
	try  string        // "a write"
	able string        // "written to"
	// manual takes the edit back by hand, given the path as one word; nil: only `chaos rollback` does.
	manual func(path string) string
}

// dbEdit is a fault that edits a database. The edit is in the file itself, so where that can be reached from here there is no helper: the undo is all that is needed.
type dbEdit struct {
	instance
	edited
	kind  string
	table string
	at    target.Database
	db    database // nil before Prepare
	rt    target.Runtime
}

// noServerEdit is said where a plan has not: a server's setting for new transactions binds no session that exists, and any client can put it off; of its files nothing is changed.
const noServerEdit = "%s is for SQLite files: a PostgreSQL server has nothing by which that could be done to all of its clients, and be taken back"

func newDBEdit(r Request, name string, of edited) (Fault, error) {
	dbs, err := able[target.Databaser](r.Runtime, target.CanDatabase)
	if err != nil {
		return nil, err
	}
	return eachInstance(r, func(i instance) (subject, error) {
		at, err := dbs.Database(i.Target, r.Params.Text("database"))
		if err == nil && at.Server != nil {
			err = fmt.Errorf(noServerEdit, name)
		}
		return &dbEdit{instance: i, edited: of, kind: name, table: r.Params.Text("table"), at: at, rt: r.Runtime}, err
	})
}

// Prepare implements Fault.
func (d *dbEdit) Prepare(ctx context.Context) ([]target.Undo, error) {
	if err := d.look(ctx); err != nil {
		return nil, err
	}
	var err error
	if d.db, err = openDatabase(ctx, d.rt, d.Target, d.at, purpose{edit: d.edit, table: d.table}); err != nil {
		return nil, err
	}
	if err := d.db.editable(ctx); err != nil {
		return nil, err
	}
	if err := mayBeHit(ctx, d.rt, d.Target, d.db); err != nil {
		return nil, err
	}
	manual := rollback
	if !d.at.Inside && d.manual != nil {
		manual = d.manual(quote(d.at.Path))
	}
	return d.undo(d.kind, databaseUndo{Path: d.at.Path, Inside: d.at.Inside, Looker: d.db.id(), Table: d.table}, manual)
}

// Inject implements Fault. Who has the file is looked at again: it may be minutes since the fault was prepared.
func (d *dbEdit) Inject(ctx context.Context) (Effect, error) {
	if err := d.look(ctx); err != nil {
		return Effect{}, err
	}
	editing, cancel := context.WithTimeoutCause(ctx, editLimit, fmt.Errorf("it was in use for %v", editLimit))
	defer cancel()
	if err := mayBeHit(editing, d.rt, d.Target, d.db); err != nil {
		return Effect{}, err
	}
	d.touched = true
	if err := d.db.edit(editing); err != nil {
		return Effect{}, err
	}
	return d.measure(ctx)
}

// measure tries as another process. A service that is at work keeps the database busy for moments only.
func (d *dbEdit) measure(ctx context.Context) (Effect, error) {
	now, text, err := tried(ctx, d.db.try)
	if err != nil {
		return Effect{}, err
	}
	switch {
	case now == d.met:
		return Effect{Proven: true, Summary: fmt.Sprintf("%s: its database is %s: %s from another process meets %s", d.Instance, d.is, d.try, d.code)}, nil
	case now == agent.Succeeded && !d.touched:
		return Effect{Summary: fmt.Sprintf("%s: its database can be %s", d.Instance, d.able)}, nil
	case now == agent.Succeeded:
		return Effect{Summary: fmt.Sprintf("%s: its database can still be %s; the file may have been replaced", d.Instance, d.able)}, nil
	}
	return Effect{Summary: fmt.Sprintf("%s: %s to its database should meet %s, but met: %s", d.Instance, d.try, d.code, text)}, nil
}

// tried tries something on a database as soon as that is not busy.
func tried(ctx context.Context, try func(context.Context) (agent.Outcome, string, error)) (now agent.Outcome, text string, err error) {
	_, err = until(ctx, calmLimit, func(ctx context.Context) (_ bool, err error) {
		now, text, err = try(ctx)
		return now != agent.Busy, err
	})
	return now, text, err
}

// Check implements Fault.
func (d *dbEdit) Check(ctx context.Context) (Effect, error) {
	e, err := d.measure(ctx)
	if err != nil {
		return e, err
	}
	return d.withFate(ctx, e)
}

// Revert implements Fault.
func (d *dbEdit) Revert(ctx context.Context) (Effect, error) {
	if d.db == nil {
		return d.untouched(), nil
	}
	if !d.touched {
		return d.untouched(), d.db.close(ctx)
	}
	e, err := undoEdit(ctx, d.Instance, d.db, d.able)
	return e, errors.Join(err, d.db.close(ctx))
}

func undoEdit(ctx context.Context, instance string, db database, able string) (Effect, error) {
	editing, cancel := context.WithTimeoutCause(ctx, editLimit, fmt.Errorf("it was in use for %v", editLimit))
	defer cancel()
	if err := db.undo(editing); err != nil && !errors.Is(err, target.ErrGone) {
		return Effect{}, err
	}
	return usable(ctx, instance, db.undone, able)
}

// usable waits until another process can do again what it could not: the service may be at work itself now. A disk that is full, by db.full or by what the service writes, is no
// doing of this fault, and whoever has come as far as to want room has met nothing of it.
func usable(ctx context.Context, instance string, try func(context.Context) (agent.Outcome, string, error), able string) (Effect, error) {
	now, text, err := tried(ctx, try)
	if err != nil {
		return Effect{}, err
	}
	switch now {
	case agent.Succeeded:
		return Effect{Proven: true, Summary: fmt.Sprintf("%s: its database can be %s again", instance, able)}, nil
	case agent.Full:
		return Effect{Proven: true, Summary: fmt.Sprintf("%s: its database could be %s again, but its disk is full", instance, able)}, nil
	case agent.Gone:
		return Effect{Proven: true, Summary: instance + ": its database is gone, so there is nothing left to revert"}, nil
	case agent.Busy:
		return Effect{Summary: fmt.Sprintf("%s: its database is still locked by somebody after %v: %s", instance, calmLimit, text)}, nil
	}
	return Effect{Summary: fmt.Sprintf("%s: its database cannot be %s: %s", instance, able, text)}, nil
}

// revertEdit takes an edit back whose runner has died.
func (of edited) revertEdit(ctx context.Context, rt target.Runtime, data json.RawMessage, ref target.Ref) error {
	var u databaseUndo
	if err := json.Unmarshal(data, &u); err != nil {
		return fmt.Errorf("read the undo: %w", err)
	}
	db, err := u.reopen(ctx, rt, ref, purpose{edit: of.edit, table: u.Table})
	if err != nil {
		return err
	}
	return errors.Join(asError(undoEdit(ctx, ref.Instance, db, of.able)), db.close(ctx))
}

// quote makes a path one word of a shell's command.
func quote(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }
