package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// limit is whose limit a refused connection has met.
type limit int

const (
	serverLimit limit = iota
	roleLimit
	databaseLimit
)

// limitOf reads it from the server's routine that has refused: the code is the same for all, and the words are in the server's language.
func limitOf(refused error) limit {
	if e, ok := errors.AsType[*pgconn.PgError](refused); ok {
		return map[string]limit{"InitializeSessionUserId": roleLimit, "CheckMyDatabase": databaseLimit}[e.Routine]
	}
	return serverLimit
}

// company is who has been seen with a session on the databases that is not a fault's.
type company struct {
	same   bool // as the role that a fault comes as
	differ bool // as another role
	above  bool // as one that gets connections which are kept for administrators
}

// look adds who is there now.
func (c *Connections) look(ctx context.Context, by *Session) error {
	now, err := c.whoIsThere(ctx, by)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.company.add(now)
	return nil
}

func (seen *company) add(now company) {
	seen.same, seen.differ, seen.above = seen.same || now.same, seen.differ || now.differ, seen.above || now.above
}

// whoIsThere looks a second time at those with another role: a session that only asks whether the server is ready, as health checks do, is gone by then.
func (c *Connections) whoIsThere(ctx context.Context, by *Session) (company, error) {
	first, err := c.whoIsSeen(ctx, by)
	if err != nil || !first.differ {
		return first, err
	}
	if err := pause(ctx); err != nil {
		return first, err
	}
	second, err := c.whoIsSeen(ctx, by)
	return company{same: first.same || second.same, differ: first.differ && second.differ, above: first.above && second.above}, err
}

// whoIsSeen: since PostgreSQL 16 connections can be kept for members of a role as well. Who may not see others' sessions sees whose they are.
func (c *Connections) whoIsSeen(ctx context.Context, by *Session) (seen company, err error) {
	err = by.ask(ctx, `SELECT coalesce(bool_or(r.rolname = current_user), false), coalesce(bool_or(r.rolname <> current_user), false), coalesce(bool_or(r.rolsuper OR EXISTS (
			SELECT FROM pg_roles kept WHERE kept.rolname = 'pg_use_reserved_connections' AND pg_has_role(r.oid, kept.oid, 'USAGE') AND current_setting('reserved_connections', true)::int > 0)), false)
		FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
		WHERE a.datname = ANY($1::text[]) AND a.application_name NOT LIKE 'chaos/%' AND coalesce(a.backend_type, 'client backend') = 'client backend'`,
		[]any{c.databases}, &seen.same, &seen.differ, &seen.above)
	if err != nil {
		err = fmt.Errorf("see whose sessions there are: %w", err)
	}
	return seen, err
}

// Spared says why others may get a connection although this role gets none; empty if they do not. A limit that is the role's own counts only if somebody else was seen with
// that role, and nobody with another. One of the database counts unless more databases of the server are to be hit.
func (c *Connections) Spared(ctx context.Context, by *Session) (string, error) {
	if err := c.look(ctx, by); err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch seen := c.company; {
	case c.met == roleLimit && seen.differ:
		return "the limit that was met is the role's own, and others of the database have another role, so they do not meet it", nil
	case c.met == roleLimit && !seen.same:
		return "the limit that was met is the role's own, and nobody else was seen with that role, so nobody is known to meet it", nil
	case c.met == databaseLimit && len(c.databases) > 1:
		return fmt.Sprintf("the limit that was met is the database's own, and the targets have %d on the server: the others do not meet it", len(c.databases)), nil
	case seen.above:
		return "others of the database are superusers, or have a role that gets the connections which are kept for administrators, so they are not refused", nil
	}
	return "", nil
}
