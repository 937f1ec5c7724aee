package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/target"
)

// dbLock is db.lock: another process holds the database's own lock.
type dbLock struct {
	hosted
	mode sqlitefile.Mode
	path string
	find func(target.Target) (string, error)
}

func newDBLock(r Request) (Fault, error) {
	dbs, err := able[target.Databaser](r.Runtime, target.CanDatabase)
	if err != nil {
		return nil, err
	}
	return eachInstance(r, func(i instance) (subject, error) {
		h, err := newHosted(r, i, "db.lock")
		find := func(t target.Target) (string, error) { return dbs.Database(t, r.Params.Text("database")) }
		return &dbLock{hosted: h, mode: sqlitefile.Mode(r.Params.Text("mode")), find: find}, err
	})
}

// Prepare implements Fault.
func (d *dbLock) Prepare(ctx context.Context) ([]target.Undo, error) {
	path, err := d.find(d.Target)
	if err != nil {
		return nil, err
	}
	d.path = path
	if err := sqlitefile.CheckLockable(ctx, path, d.mode); err != nil {
		return nil, err
	}
	return d.arm(ctx, agent.SQLiteLockJob, agent.SQLiteLockConfig{Path: path, Mode: d.mode}, helperUndo{Path: path})
}

// Inject implements Fault.
func (d *dbLock) Inject(ctx context.Context) (Effect, error) {
	if err := d.look(ctx); err != nil {
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
	locked, err := sqlitefile.Locked(ctx, d.path, d.mode)
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
		return d.untouched(), nil
	}
	return unlocked(ctx, d.Instance, d.path)
}

// unlocked is writable, but that db.readonly may be on the same file: then nobody can write, and the lock went with its holder.
func unlocked(ctx context.Context, instance, path string) (Effect, error) {
	if err := sqlitefile.TryWrite(ctx, path); sqlitefile.IsReadOnly(err) {
		return Effect{Proven: true, Summary: instance + ": the lock on its database is gone with its holder; the database is read-only now"}, nil
	}
	return writable(ctx, instance, path)
}

// writable waits until a write from this process succeeds: the service may be writing itself now.
func writable(ctx context.Context, instance, path string) (Effect, error) {
	var last error
	yes, err := until(ctx, calmLimit, func(ctx context.Context) (bool, error) {
		last = sqlitefile.TryWrite(ctx, path)
		if last != nil && !sqlitefile.IsBusy(last) {
			return false, last
		}
		return last == nil, nil
	})
	switch {
	case errors.Is(err, target.ErrGone):
		return Effect{Proven: true, Summary: instance + ": its database is gone, so there is nothing left to revert"}, nil
	case err != nil:
		return Effect{Summary: fmt.Sprintf("%s: its database cannot be written to: %v", instance, err)}, nil
	case !yes:
		return Effect{Summary: fmt.Sprintf("%s: its database is still locked by somebody after %v: %v", instance, calmLimit, last)}, nil
	}
	return Effect{Proven: true, Summary: instance + ": its database can be written to again"}, nil
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
	return asError(unlocked(ctx, ref.Instance, u.Path))
}

// asError is for undos, which are done or not.
func asError(e Effect, err error) error {
	if err == nil && !e.Proven {
		return errors.New(e.Summary)
	}
	return err
}
