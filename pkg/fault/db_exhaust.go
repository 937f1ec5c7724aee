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
	d.touched = true
	if err := d.taken.Take(ctx); err != nil {
		return Effect{}, err
	}
	return d.measure(ctx)
}

// measure asks for one more connection, which is held as well if it is given, until the server refuses one; and reads back how many are held.
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
	spared, err := d.taken.Spared(ctx, eye)
	if err != nil {
		return Effect{}, err
	}
	e := Effect{Proven: held > 0 && lost == nil && spared == "", Readings: map[string]float64{"connections_held": float64(held)}}
	switch {
	case !d.touched:
		e.Proven = false
		e.Summary = d.label + ": none of the server's connections is taken"
	case lost != nil:
		e.Summary = fmt.Sprintf("%s: the server's connections are no longer held: %v", d.label, lost)
	case held == 0:
		e.Summary = d.label + ": the server had no connection that could have been taken"
	case spared != "":
		e.Summary = d.label + ": " + spared
	case d.leave > 0:
		e.Summary = fmt.Sprintf("%s: the server has refused a connection with too_many_connections; %s are held, and %d left", d.label, count(held, "connection"), d.leave)
	default:
		e.Summary = fmt.Sprintf("%s: the server refuses a new connection with too_many_connections; %s are held", d.label, count(held, "connection"))
	}
	return e, nil
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
