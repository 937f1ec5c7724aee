package fault

import (
	"context"
	"errors"
	"fmt"

	"chaosgate/pkg/fault/postgres"
	"chaosgate/pkg/target"
)

// serverLock is db.lock on a server: a session holds a lock on tables.
type serverLock struct {
	onServer
	mode  postgres.Mode
	table string         // empty: all
	lock  *postgres.Lock // nil before Prepare
}

// Prepare implements Fault.
func (l *serverLock) Prepare(ctx context.Context) ([]target.Undo, error) {
	undos, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	l.lock, err = l.client.Lockable(ctx, l.looker, l.table, l.mode)
	return undos, err
}

// Inject implements Fault.
func (l *serverLock) Inject(ctx context.Context) (Effect, error) {
	if err := l.look(ctx); err != nil {
		return Effect{}, err
	}
	l.touched = true
	if err := l.lock.Take(ctx); err != nil {
		return Effect{}, err
	}
	return l.measure(ctx)
}

// measure reads the lock back from the server's own list, and meets it as another session does.
func (l *serverLock) measure(ctx context.Context) (Effect, error) {
	eye, err := l.eye(ctx)
	if err != nil {
		return Effect{}, err
	}
	held, waiting, err := l.lock.Held(ctx, eye)
	if err != nil {
		return Effect{}, err
	}
	met, err := l.lock.Met(ctx, eye)
	if err != nil {
		return Effect{}, err
	}
	what := map[postgres.Mode]string{postgres.Write: "a write", postgres.Exclusive: "a read"}[l.mode]
	e := Effect{Proven: held && met, Readings: map[string]float64{"tables": float64(len(l.lock.Tables)), "sessions_waiting": float64(waiting)}}
	switch {
	case e.Proven:
		e.Summary = fmt.Sprintf("%s: %s locked (%s): %s by another session meets lock_not_available", l.label, l.tables(), l.mode, what)
	case !l.touched:
		e.Summary = l.label + ": it is not locked"
	case !held:
		e.Summary = l.label + ": the session that held the lock has ended before its time"
	default:
		e.Summary = fmt.Sprintf("%s: the lock is held, but %s by another session succeeds", l.label, what)
	}
	return e, nil
}

func (l *serverLock) tables() string {
	text := count(len(l.lock.Tables), "table") + " " + map[bool]string{true: "is", false: "are"}[len(l.lock.Tables) == 1]
	if l.lock.Others > 0 {
		text = fmt.Sprintf("of %s %d are", count(len(l.lock.Tables)+l.lock.Others, "table"), len(l.lock.Tables))
	}
	return text
}

// Check implements Fault.
func (l *serverLock) Check(ctx context.Context) (Effect, error) {
	e, err := l.measure(ctx)
	if err != nil {
		return e, err
	}
	return l.withFate(ctx, e)
}

// Revert implements Fault.
func (l *serverLock) Revert(ctx context.Context) (Effect, error) {
	var released error
	if l.lock != nil {
		released = l.lock.Release(ctx)
	}
	e, err := l.reverted(ctx, released, "the lock is gone with the session that held it")
	if err != nil || !l.touched {
		return e, err
	}
	free, err := l.free(ctx)
	if err == nil && !free {
		return Effect{Summary: fmt.Sprintf("%s: it is still locked by somebody after %v", l.label, calmLimit)}, nil
	}
	return e, err
}

// free waits until another session can do what the lock forbade; one that has gone, with the server, is in nobody's way.
func (l *serverLock) free(ctx context.Context) (bool, error) {
	eye, err := l.client.Reach(ctx)
	if errors.Is(err, target.ErrGone) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer eye.Close(ctx)
	return until(ctx, calmLimit, func(ctx context.Context) (bool, error) {
		met, err := l.lock.Met(ctx, eye)
		return !met, err
	})
}
