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

// Take takes connections until the server refuses one more, gives back those that are left, and keeps it so: whatever somebody lets go of is taken. By is a session to ask with.
func (c *Connections) Take(ctx context.Context, by *Session) error {
	taken, err := c.takeAll(ctx)
	if err != nil {
		return err
	}
	if c.leave >= taken {
		return fmt.Errorf("the server has %d free connections only, and %d are to be left", taken, c.leave)
	}
	if err := c.giveBack(ctx, c.leave); err != nil {
		return err
	}
	for range c.rounds() {
		if err := c.settle(ctx, by); err != nil {
			return err
		}
	}
	c.refill = every(ctx, refillEvery, c.keep)
	return nil
}

// looks is how often it is looked how many connections are free, where some are left. A service that opens one for each request has more at one moment than at the next.
const looks = 5

func (c *Connections) rounds() int {
	if c.leave == 0 {
		return 0
	}
	return looks
}

// settle keeps what others have let go of since those that are left were given back: they would have it beside those.
func (c *Connections) settle(ctx context.Context, by *Session) error {
	if err := c.awaitGone(ctx, by); err != nil {
		return err
	}
	taken, err := c.takeAll(ctx)
	return errors.Join(err, c.giveBack(ctx, min(taken, c.leave)))
}

// Free is how many connections the server gives beyond those that are held, or one more than are to be left if it gives at least so many: all of them are tried at once,
// and given back. It is the least of several looks: that more are free at one moment is what others do with those that are left.
func (c *Connections) Free(ctx context.Context, by *Session) (free int, err error) {
	for range looks {
		free, err = c.fill(ctx, c.leave+1, c.touch)
		err = errors.Join(err, c.giveBack(ctx, free))
		if err == nil {
			err = c.awaitGone(ctx, by)
		}
		if err != nil || free <= c.leave {
			break
		}
	}
	return free, err
}

// awaitGone waits until the server shows none of ours but those that are held: one that was given back is free a moment later only, and taken for in use until then.
func (c *Connections) awaitGone(ctx context.Context, by *Session) error {
	ctx, cancel := context.WithTimeoutCause(ctx, goneWithin, fmt.Errorf("not after %v", goneWithin))
	defer cancel()
	for {
		if err := pause(ctx); err != nil {
			return fmt.Errorf("connections that were given back are still there: %w", err)
		}
		shown, err := c.shown(ctx, by)
		if err != nil || shown <= c.count() {
			return err
		}
	}
}

func (c *Connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.held)
}

// takeAll fills, and touches what is held meanwhile: a server with many connections would end the first before it gave the last.
func (c *Connections) takeAll(ctx context.Context) (taken int, err error) {
	return c.fill(ctx, most, c.touch)
}

// Fill takes connections until the server refuses one more.
func (c *Connections) Fill(ctx context.Context) error {
	_, err := c.fill(ctx, most, func(context.Context) error { return nil })
	return err
}

// fill takes connections until the server refuses one more, or until it has taken so many, and answers how many it has taken.
func (c *Connections) fill(ctx context.Context, atMost int, before func(context.Context) error) (taken int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; taken < atMost && len(c.held) < most; taken++ {
		if err := before(ctx); err != nil {
			return taken, err
		}
		s, err := c.client.lasting(ctx)
		if IsFull(err) {
			c.met = limitOf(err)
			return taken, nil
		}
		if err != nil {
			return taken, err
		}
		c.held = append(c.held, s)
	}
	if len(c.held) >= most {
		err = fmt.Errorf("the server still gives connections after %d", most)
	}
	return taken, err
}

// giveBack lets go of the last that were taken.
func (c *Connections) giveBack(ctx context.Context, many int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	keep := len(c.held) - many
	for _, s := range c.held[keep:] {
		if err := s.Close(ctx); err != nil {
			return err
		}
	}
	c.held = c.held[:keep]
	return nil
}

// keep lets the server hear of what is held, and takes what somebody has let go of.
func (c *Connections) keep(ctx context.Context) error {
	if c.leave == 0 {
		_, err := c.takeAll(ctx)
		return err
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
	held, err = c.shown(ctx, by)
	return held, c.refill.failed(), err
}

// shown is how many sessions of ours the server shows, but for the one that asks.
func (c *Connections) shown(ctx context.Context, by *Session) (many int, err error) {
	err = by.ask(ctx, "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND usename = current_user AND pid <> pg_backend_pid()", []any{c.client.Name}, &many)
	if err != nil {
		err = fmt.Errorf("see its sessions: %w", err)
	}
	return many, err
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
