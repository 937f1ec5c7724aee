package fault

import (
	"context"
	"fmt"
	"time"

	"chaosgate/pkg/fault/postgres"
	"chaosgate/pkg/target"
)

// sessionLimit bounds how long a session to end is waited for, and then its end.
const sessionLimit = 5 * time.Second

// dbTerminate is db.terminate: the sessions of others on a database end, once or as long as the fault lasts.
type dbTerminate struct {
	onServer
	once     bool
	ended    postgres.Sweep
	sweeping *postgres.Sweeping // nil if it happens once, and before Inject
}

func newDBTerminate(r Request) (Fault, error) {
	return eachDatabase(r, "db.terminate", nil, oneDatabase, func(o onServer) subject { return &dbTerminate{onServer: o, once: r.OneShot} })
}

// Prepare implements Fault.
func (d *dbTerminate) Prepare(ctx context.Context) ([]target.Undo, error) { return d.begin(ctx) }

// Inject implements Fault.
func (d *dbTerminate) Inject(ctx context.Context) (Effect, error) {
	if err := d.look(ctx); err != nil {
		return Effect{}, err
	}
	eye, err := d.eye(ctx)
	if err != nil {
		return Effect{}, err
	}
	d.touched = true
	if _, err := until(ctx, sessionLimit, func(ctx context.Context) (bool, error) {
		d.ended, err = postgres.SweepOnce(ctx, eye)
		return len(d.ended.PIDs) > 0, err
	}); err != nil {
		return Effect{}, err
	}
	if !d.once {
		if d.sweeping, err = d.client.Sweep(ctx); err != nil {
			return Effect{}, err
		}
	}
	return d.measure(ctx)
}

// measure reads back whether the sessions that were there are gone.
func (d *dbTerminate) measure(ctx context.Context) (Effect, error) {
	eye, err := d.eye(ctx)
	if err != nil {
		return Effect{}, err
	}
	n := len(d.ended.PIDs)
	if n == 0 {
		return Effect{Summary: d.label + ": nobody had a session that could have been ended"}, nil
	}
	gone, err := until(ctx, sessionLimit, func(ctx context.Context) (bool, error) { return d.ended.Gone(ctx, eye) })
	if err != nil {
		return Effect{}, err
	}
	e := Effect{Proven: gone, Summary: fmt.Sprintf("%s: %s that others had ended, and none of them is left", d.label, count(n, "session")), Readings: map[string]float64{"sessions_ended": float64(n)}}
	if !gone {
		e.Summary = fmt.Sprintf("%s: of %s that others had, some are still there after %v", d.label, count(n, "session"), sessionLimit)
	}
	return e, nil
}

// Check implements Fault.
func (d *dbTerminate) Check(ctx context.Context) (Effect, error) {
	e, err := d.measure(ctx)
	if err != nil || d.sweeping == nil {
		return e, err
	}
	more, lost := d.sweeping.Ended()
	e.Readings["sessions_ended"] += float64(more)
	e.Summary += fmt.Sprintf("; %d of the new ones have ended since", more)
	if lost != nil {
		e.Proven = false
		e.Summary += fmt.Sprintf("; new ones are no longer ended: %v", lost)
	}
	return d.withFate(ctx, e)
}

// Revert implements Fault.
func (d *dbTerminate) Revert(ctx context.Context) (Effect, error) {
	ended := d.sweeping.End(ctx)
	if d.once {
		return d.reverted(ctx, ended, "nothing to revert: who has lost a session may have another")
	}
	return d.reverted(ctx, ended, "sessions are let live again")
}
