package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// most bounds how many connections are taken: a server that gives more does not end by that.
const most = 10_000

// refillEvery is how soon a connection is taken that somebody has let go of.
const refillEvery = 50 * time.Millisecond

// Connections are those that are held, so that nobody else gets one.
type Connections struct {
	client Client
	leave  int // so many are left free

	mu      sync.Mutex
	held    []*Session
	touched time.Time
	refill  *again
}

// Exhaust readies taking all connections but so many; none is taken yet. A role that gets those which are kept for administrators is refused: nobody could look after
// the server, or take this back.
func (c Client) Exhaust(ctx context.Context, by *Session, leave int) (*Connections, error) {
	var reserved bool
	err := by.ask(ctx, `SELECT coalesce(bool_or(rolname = current_user AND rolsuper OR rolname = 'pg_use_reserved_connections' AND pg_has_role(oid, 'USAGE')), false) FROM pg_roles`, nil, &reserved)
	switch {
	case err != nil:
		return nil, fmt.Errorf("see what its role may do: %w", err)
	case reserved:
		return nil, errors.New("the role gets the connections that are kept for administrators as well, so nobody could take this back: name an ordinary role")
	}
	return &Connections{client: c, leave: leave}, nil
}

// Take takes connections until the server refuses one more, gives back those that are left, and keeps it so: whatever somebody lets go of is taken.
func (c *Connections) Take(ctx context.Context) error {
	if err := c.Fill(ctx); err != nil {
		return err
	}
	if err := c.giveBack(ctx); err != nil {
		return err
	}
	c.refill = every(ctx, refillEvery, c.keep)
	return nil
}

// Fill takes connections until the server refuses one more.
func (c *Connections) Fill(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.held) < most {
		s, err := c.client.lasting(ctx)
		if IsFull(err) {
			return nil
		}
		if err != nil {
			return err
		}
		c.held = append(c.held, s)
	}
	return fmt.Errorf("the server still gives connections after %d", most)
}

func (c *Connections) giveBack(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leave >= len(c.held) {
		return fmt.Errorf("the server has %d free connections only, and %d are to be left", len(c.held), c.leave)
	}
	for _, s := range c.held[len(c.held)-c.leave:] {
		if err := s.Close(ctx); err != nil {
			return err
		}
	}
	c.held = c.held[:len(c.held)-c.leave]
	return nil
}

// keep lets the server hear of what is held, and takes what somebody has let go of.
func (c *Connections) keep(ctx context.Context) error {
	if err := c.touch(ctx); err != nil {
		return err
	}
	if c.leave > 0 {
		return nil
	}
	return c.Fill(ctx)
}

func (c *Connections) touch(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.touched) < touchEvery {
		return nil
	}
	for _, s := range c.held {
		if err := s.touch(ctx); err != nil {
			return fmt.Errorf("a connection that was held: %w", err)
		}
	}
	c.touched = time.Now()
	return nil
}

// Held is how many connections the server shows as held, and what has ended the holding before its time.
func (c *Connections) Held(ctx context.Context, by *Session) (held int, lost, err error) {
	if c.refill == nil {
		return 0, nil, nil
	}
	err = by.ask(ctx, "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND usename = current_user AND pid <> pg_backend_pid()", []any{c.client.Name}, &held)
	if err != nil {
		err = fmt.Errorf("see its sessions: %w", err)
	}
	return held, c.refill.failed(), err
}

// Own says whether the limit that was met is the role's own, which others, who have another role, do not meet.
func (c *Connections) Own(ctx context.Context, by *Session) (own bool, err error) {
	err = by.ask(ctx, `SELECT r.rolconnlimit >= 0 AND (SELECT count(*) FROM pg_stat_activity WHERE usesysid = r.oid) >= r.rolconnlimit
		AND EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND usesysid <> r.oid AND pid <> pg_backend_pid())
		FROM pg_roles r WHERE r.rolname = current_user`, nil, &own)
	if err != nil {
		err = fmt.Errorf("see its role's limit: %w", err)
	}
	return own, err
}

// Release gives all connections back. It is idempotent.
func (c *Connections) Release(ctx context.Context) error {
	c.refill.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.held {
		if err := s.Close(ctx); err != nil {
			return err
		}
	}
	c.held = nil
	return nil
}
