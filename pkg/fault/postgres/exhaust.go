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
	client    Client
	leave     int      // so many are left free
	databases []string // that are to be hit

	mu      sync.Mutex
	held    []*Session
	touched time.Time
	met     limit   // the last that was met
	company company // so far
	refill  *again
}

// Exhaust readies taking all connections but so many, so that the users of these databases of the server get none; none is taken yet. A role that gets those which are kept for administrators is refused: nobody could look after
// the server, or take this back.
func (c Client) Exhaust(ctx context.Context, by *Session, leave int, databases ...string) (*Connections, error) {
	var reserved bool
	err := by.ask(ctx, `SELECT coalesce(bool_or(rolname = current_user AND rolsuper OR rolname = 'pg_use_reserved_connections' AND pg_has_role(oid, 'USAGE')), false) FROM pg_roles`, nil, &reserved)
	switch {
	case err != nil:
		return nil, fmt.Errorf("see what its role may do: %w", err)
	case reserved:
		return nil, errors.New("the role gets the connections that are kept for administrators as well, so nobody could take this back: name an ordinary role")
	}
	all := &Connections{client: c, leave: leave, databases: databases}
	return all, all.look(ctx, by) // who opens a session for each request has none while nobody gets one
}

// Take takes connections until the server refuses one more, gives back those that are left, and keeps it so: whatever somebody lets go of is taken.
func (c *Connections) Take(ctx context.Context) error {
	if err := c.takeAll(ctx); err != nil {
		return err
	}
	if err := c.giveBack(ctx); err != nil {
		return err
	}
	c.refill = every(ctx, refillEvery, c.keep)
	return nil
}

// takeAll fills, and touches what is held meanwhile: a server with many connections would end the first before it gave the last.
func (c *Connections) takeAll(ctx context.Context) error { return c.fill(ctx, c.touch) }

// Fill takes connections until the server refuses one more.
func (c *Connections) Fill(ctx context.Context) error {
	return c.fill(ctx, func(context.Context) error { return nil })
}

func (c *Connections) fill(ctx context.Context, before func(context.Context) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.held) < most {
		if err := before(ctx); err != nil {
			return err
		}
		s, err := c.client.lasting(ctx)
		if IsFull(err) {
			c.met = limitOf(err)
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
	if c.leave == 0 {
		return c.takeAll(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.touch(ctx)
}

// touchers is how many connections are touched at the same time: a server that is far away takes its time for each.
const touchers = 32

// touch lets the server hear of what is held, if it is time. The caller has c.mu.
func (c *Connections) touch(ctx context.Context) error {
	if time.Since(c.touched) < touchEvery {
		return nil
	}
	c.touched = time.Now()
	var busy sync.WaitGroup
	failures := make([]error, touchers)
	for n := range touchers {
		busy.Go(func() {
			for i := n; i < len(c.held) && failures[n] == nil; i += touchers {
				failures[n] = c.held[i].touch(ctx)
			}
		})
	}
	busy.Wait()
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("a connection that was held: %w", err)
	}
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
