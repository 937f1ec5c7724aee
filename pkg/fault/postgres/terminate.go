package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// sweepEvery is how soon a session is ended that comes while sessions are not let live.
const sweepEvery = 25 * time.Millisecond

// Sweep are sessions that were ended.
type Sweep struct {
	PIDs []int
	at   time.Time // by the server's clock: a session that began later has only got the number of another
}

// others are the sessions of the database but our own and, unless the role is one itself, those of superusers, which it may not end. Who may not see others' sessions is told
// nothing of what they are.
const others = `FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
	WHERE a.datname = current_database() AND a.application_name NOT LIKE 'chaos/%'
		AND (NOT r.rolsuper OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))`

// SweepOnce ends the other sessions of the database once, and does not wait for their end.
func SweepOnce(ctx context.Context, by *Session) (Sweep, error) {
	var hidden int
	if err := by.ask(ctx, "SELECT count(*) "+others+" AND a.backend_type IS NULL", nil, &hidden); err != nil {
		return Sweep{}, fmt.Errorf("see its sessions: %w", err)
	}
	if hidden > 0 {
		return Sweep{}, errors.New("the role may not see the sessions of others: grant it pg_read_all_stats and pg_signal_backend, or let it be that of the service")
	}
	var s Sweep
	err := by.ask(ctx, `SELECT coalesce(array_agg(pid), '{}'), clock_timestamp() FROM (SELECT a.pid, pg_terminate_backend(a.pid) AS sent `+others+` AND a.backend_type = 'client backend') AS ended WHERE sent`,
		nil, &s.PIDs, &s.at)
	if err != nil {
		err = fmt.Errorf("end its sessions (the role needs pg_signal_backend, unless it is that of the service): %w", err)
	}
	return s, err
}

// Gone says whether none of the sessions is left.
func (s Sweep) Gone(ctx context.Context, by *Session) (bool, error) {
	var left int
	err := by.ask(ctx, "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1::int[]) AND backend_start <= $2", []any{s.PIDs, s.at}, &left)
	if err != nil {
		return false, fmt.Errorf("see its sessions: %w", err)
	}
	return left == 0, nil
}

// Sweeping ends each new session of others.
type Sweeping struct {
	ended   atomic.Int64
	session *Session
	again   *again
}

// Sweep begins to end each new session.
func (c Client) Sweep(ctx context.Context) (*Sweeping, error) {
	s, err := c.lasting(ctx)
	if err != nil {
		return nil, err
	}
	w := &Sweeping{session: s}
	w.again = every(ctx, sweepEvery, func(ctx context.Context) error {
		found, err := SweepOnce(ctx, s)
		w.ended.Add(int64(len(found.PIDs)))
		return err
	})
	return w, nil
}

// Ended is how many sessions it has ended so far, and what has ended it before its time.
func (w *Sweeping) Ended() (int64, error) { return w.ended.Load(), w.again.failed() }

// End returns when no more sessions are ended. It is idempotent, also on nil.
func (w *Sweeping) End(ctx context.Context) error {
	if w == nil {
		return nil
	}
	w.again.end()
	return w.session.Close(ctx)
}
