package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/fault/postgres"
	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/target"
)

// dbLock is db.lock: another process holds the database's own lock.
type dbLock struct {
	hosted
	mode sqlitefile.Mode
	db   database // nil before Prepare
	find func(target.Target) (target.Database, error)
	rt   target.Runtime

	inside bool // the database is reached by helpers only
}

func newDBLock(r Request) (Fault, error) {
	dbs, err := able[target.Databaser](r.Runtime, target.CanDatabase)
	if err != nil {
		return nil, err
	}
	return eachDatabase(r, "db.lock", func(i instance) (subject, error) {
		h, err := newHosted(r, i, "db.lock")
		find := func(t target.Target) (target.Database, error) { return dbs.Database(t, r.Params.Text("database")) }
		return &dbLock{hosted: h, mode: sqlitefile.Mode(r.Params.Text("mode")), find: find, rt: r.Runtime}, err
	}, oneDatabase, func(o onServer) subject {
		return &serverLock{onServer: o, mode: postgres.Mode(r.Params.Text("mode")), table: r.Params.Text("table")}
	})
}

// Prepare implements Fault.
func (d *dbLock) Prepare(ctx context.Context) ([]target.Undo, error) {
	at, err := d.find(d.Target)
	if err != nil {
		return nil, err
	}
	d.inside = at.Inside
	if d.db, err = openDatabase(ctx, d.rt, d.Target, at, purpose{mode: d.mode}); err != nil {
		return nil, err
	}
	if err := d.db.lockable(ctx); err != nil {
		return nil, err
	}
	if err := mayBeHit(ctx, d.rt, d.Target, d.db); err != nil {
		return nil, err
	}
	more := helperUndo{databaseUndo: databaseUndo{Path: at.Path, Inside: at.Inside, Looker: d.db.id()}}
	return d.arm(ctx, agent.SQLiteLockJob, agent.SQLiteLockConfig{Path: at.Path, Mode: d.mode}, more)
}

// Inject implements Fault. Who has the file is looked at again: it may be minutes since the fault was prepared.
func (d *dbLock) Inject(ctx context.Context) (Effect, error) {
	if err := d.look(ctx); err != nil {
		return Effect{}, err
	}
	if err := mayBeHit(ctx, d.rt, d.Target, d.db); err != nil {
		return Effect{}, err
	}
	d.touched = true
	if _, err := call[agent.SQLiteLockStatus](ctx, &d.hosted, agent.Inject); err != nil {
		return Effect{}, err
	}
	return d.measure(ctx)
}

// measure asks the helper whether it holds the lock, and then tries from this process, which is neither the helper nor the service.
func (d *dbLock) measure(ctx context.Context) (Effect, error) {
	now, err := call[agent.SQLiteLockStatus](ctx, &d.hosted, agent.Status)
	if err != nil {
		return Effect{}, err
	}
	// The service's own writing looks the same for a moment, so both are asked.
	locked, err := d.db.locked(ctx)
	if err != nil {
		return Effect{}, err
	}
	what := map[sqlitefile.Mode]string{sqlitefile.Write: "a write", sqlitefile.Exclusive: "a read"}[d.mode]
	e := Effect{Proven: now.Held && locked}
	switch {
	case e.Proven:
		e.Summary = fmt.Sprintf("%s: its database is locked (%s): %s from another process meets SQLITE_BUSY", d.Instance, d.mode, what)
	case !d.touched:
		e.Summary = d.Instance + ": its database is not locked"
	case !now.Held:
		e.Summary = d.Instance + ": the lock on its database is not held: the file may have been replaced"
	default:
		e.Summary = fmt.Sprintf("%s: the lock on its database is held, but %s from another process succeeds", d.Instance, what)
	}
	return e, nil
}

// Check implements Fault.
func (d *dbLock) Check(ctx context.Context) (Effect, error) {
	e, err := d.measure(ctx)
	switch {
	case errors.Is(err, agent.ErrEnded):
		return d.withFate(ctx, Effect{Summary: d.Instance + ": the process that held the lock has ended before its time"})
	case errors.Is(err, target.ErrGone):
		return d.withFate(ctx, Effect{Summary: d.Instance + ": its database has been removed"})
	case err != nil:
		return e, err
	}
	return d.withFate(ctx, e)
}

// Revert implements Fault.
func (d *dbLock) Revert(ctx context.Context) (Effect, error) {
	if err := d.close(ctx); err != nil {
		return Effect{}, err
	}
	if !d.touched {
		return d.untouched(), d.shut(ctx)
	}
	if e, ok := lockDied(ctx, d.instance, d.inside); ok {
		return e, d.shut(ctx)
	}
	e, err := unlocked(ctx, d.Instance, d.db)
	return e, errors.Join(err, d.shut(ctx))
}

// lockDied says whether a lock that was held inside of an instance has gone with it: one that does not run has no process that could hold it, and cannot be entered.
func lockDied(ctx context.Context, i instance, inside bool) (Effect, bool) {
	if !inside {
		return Effect{}, false
	}
	now, err := i.inspect(ctx)
	gone := errors.Is(err, target.ErrGone) || err == nil && !now.Running
	return Effect{Proven: gone, Summary: i.Instance + ": it does not run, and the lock on its database has gone with who held it"}, gone
}

// shut lets go of the database.
func (d *dbLock) shut(ctx context.Context) error {
	if d.db == nil {
		return nil
	}
	return d.db.close(ctx)
}

// unlocked is usable, but that db.readonly may be on the same file: then nobody can write, and the lock went with its holder.
func unlocked(ctx context.Context, instance string, db database) (Effect, error) {
	if now, _, err := db.try(ctx); err != nil {
		return Effect{}, err
	} else if now == agent.ReadOnly {
		return Effect{Proven: true, Summary: instance + ": the lock on its database is gone with its holder; the database is read-only now"}, nil
	}
	return usable(ctx, instance, db.try, "written to")
}

// revertDBLock ends the holder of a lock whose runner has died.
func revertDBLock(ctx context.Context, rt target.Runtime, data json.RawMessage, ref target.Ref) error {
	u, err := readHelperUndo(data)
	if err != nil {
		return err
	}
	if err := endHelper(ctx, rt, u, ref); err != nil {
		return err
	}
	if i, err := newInstance(Request{Runtime: rt}, target.Target{Ref: ref}); err == nil {
		if _, ok := lockDied(ctx, i, u.Inside); ok {
			return nil
		}
	}
	db, err := u.reopen(ctx, rt, ref, purpose{})
	if err != nil {
		return err
	}
	return errors.Join(asError(unlocked(ctx, ref.Instance, db)), db.close(ctx))
}

// asError is for undos, which are done or not.
func asError(e Effect, err error) error {
	if err == nil && !e.Proven {
		return errors.New(e.Summary)
	}
	return err
}
