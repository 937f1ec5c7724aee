package fault

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"chaosgate/pkg/fault/postgres"
	"chaosgate/pkg/target"
)

// dbExhaust is db.exhaust: all connections of a server are taken.
type dbExhaust struct {
	onServer
	leave int
	taken *postgres.Connections // nil before Prepare
}

func newDBExhaust(r Request) (Fault, error) {
	return eachDatabase(r, "db.exhaust", nil, wholeServer, func(o onServer) subject { return &dbExhaust{onServer: o, leave: r.Params.Int("leave")} })
}

// Prepare implements Fault.
func (d *dbExhaust) Prepare(ctx context.Context) ([]target.Undo, error) {
	undos, err := d.begin(ctx)
	if err != nil {
		return nil, err
	}
	d.taken, err = d.client.Exhaust(ctx, d.looker, d.leave, slices.Sorted(maps.Keys(d.databases))...)
	return undos, err
}

// Inject implements Fault.
func (d *dbExhaust) Inject(ctx context.Context) (Effect, error) {
	if err := d.look(ctx); err != nil {
		return Effect{}, err
	}
	eye, err := d.eye(ctx)
	if err != nil {
		return Effect{}, err
	}
	d.touched = true
	if err := d.taken.Take(ctx, eye); err != nil {
		return Effect{}, err
	}
	return d.measure(ctx)
}

// measure asks for one more connection than others are to have, which is held as well if none is to be left, until the server refuses one; and reads back how many are held.
func (d *dbExhaust) measure(ctx context.Context) (Effect, error) {
	if d.leave == 0 && d.touched {
		if err := d.taken.Fill(ctx); err != nil {
			return Effect{}, err
		}
	}
	eye, err := d.eye(ctx)
	if err != nil {
		return Effect{}, err
	}
	held, lost, err := d.taken.Held(ctx, eye)
	if err != nil {
		return Effect{}, err
	}
	readings, free := map[string]float64{"connections_held": float64(held)}, 0
	if d.leave > 0 && held > 0 && lost == nil {
		if free, err = d.taken.Free(ctx, eye); err != nil {
			return Effect{}, err
		}
		readings["connections_free"] = float64(free)
	}
	spared, err := d.taken.Spared(ctx, eye)
	if err != nil {
		return Effect{}, err
	}
	proven := d.touched && held > 0 && lost == nil && spared == "" && free <= d.leave
	return Effect{Proven: proven, Readings: readings, Summary: d.label + ": " + d.found(held, free, lost, spared)}, nil
}

// found says what a measurement came to.
func (d *dbExhaust) found(held, free int, lost error, spared string) string {
	switch {
	case !d.touched:
		return "none of the server's connections is taken"
	case lost != nil:
		return fmt.Sprintf("the server's connections are no longer held: %v", lost)
	case held == 0:
		return "the server had no connection that could have been taken"
	case free > d.leave:
		return fmt.Sprintf("%s are held, and of the others at least %d are free, expected at most the %d that were left: somebody has let go of more since", count(held, "connection"), free, d.leave)
	case spared != "":
		return spared
	case d.leave > 0:
		return fmt.Sprintf("%s are held, and %d of the %d that were left are free: the server refuses one more with too_many_connections", count(held, "connection"), free, d.leave)
	}
	return fmt.Sprintf("the server refuses a new connection with too_many_connections; %s are held", count(held, "connection"))
}

// Check implements Fault.
func (d *dbExhaust) Check(ctx context.Context) (Effect, error) {
	e, err := d.measure(ctx)
	if err != nil {
		return e, err
	}
	return d.withFate(ctx, e)
}

// Revert implements Fault.
func (d *dbExhaust) Revert(ctx context.Context) (Effect, error) {
	var released error
	if d.taken != nil {
		released = d.taken.Release(ctx)
	}
	return d.reverted(ctx, released, "the server's connections are given back")
}
