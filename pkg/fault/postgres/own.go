package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"chaosgate/pkg/target"
)

// goneWithin is how long sessions of ours may take to end.
const goneWithin = 10 * time.Second

// undoName is that of sessions that only take something back.
const undoName = Prefix + "undo"

// EndSessions ends the sessions of this name but the one that asks, and returns when the server shows none of them and so nothing that they held: locks and connections go
// before a session does. By is a session to ask with; nil, or one that has ended: a new one, for which a server that is full, down or starting is asked again. It is
// idempotent.
func (c Client) EndSessions(ctx context.Context, by *Session) error {
	ctx, cancel := context.WithTimeoutCause(ctx, goneWithin, fmt.Errorf("not after %v", goneWithin))
	defer cancel()
	for {
		left, err := c.endOnce(ctx, by)
		switch {
		case errors.Is(err, target.ErrGone):
			return nil // the server, with its sessions
		case err != nil && !passes(err) && ctx.Err() == nil:
			return err
		case err == nil && left == 0:
			return nil
		}
		waited := pause(ctx)
		switch {
		case waited != nil && err != nil:
			return fmt.Errorf("%s: whether its sessions named %s are gone is not known: %w", c.Server.URL, c.Name, errors.Join(waited, err))
		case waited != nil:
			return fmt.Errorf("%s: its sessions named %s are still there: %w", c.Server.URL, c.Name, waited)
		}
	}
}

// Reach is Open for what takes something back: a server that is full, down or starting is asked again.
func (c Client) Reach(ctx context.Context) (*Session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, goneWithin, fmt.Errorf("not after %v", goneWithin))
	defer cancel()
	c.Name = undoName
	for {
		s, err := c.Open(ctx)
		if err == nil || !passes(err) {
			return s, err
		}
		if waited := pause(ctx); waited != nil {
			return nil, errors.Join(waited, err)
		}
	}
}

// passes says whether an error is that of a server which has no connection to give for now: it is full, it ends, it is down, it starts or it does not answer. The time
// of a caller may end a moment before its context says so, and is waited for as well.
func passes(err error) bool {
	switch code(err) {
	case tooManyConnections, adminShutdown, crashShutdown, cannotConnectNow:
		return true
	}
	for _, cut := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF, context.DeadlineExceeded, os.ErrDeadlineExceeded} {
		if errors.Is(err, cut) {
			return true
		}
	}
	return false
}

// endOnce ends the sessions and answers how many there were.
func (c Client) endOnce(ctx context.Context, by *Session) (left int, err error) {
	const end = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1 AND usename = current_user AND pid <> pg_backend_pid()`
	if by.Alive() {
		if err := by.ask(ctx, end, []any{c.Name}, &left); err == nil || by.Alive() {
			return left, err
		}
	}
	name := c.Name
	c.Name = undoName
	s, err := c.Open(ctx)
	if err != nil {
		return 0, err
	}
	defer s.Close(ctx)
	if err := s.ask(ctx, end, []any{name}, &left); err != nil {
		return 0, fmt.Errorf("%s: end the sessions named %s: %w", c.Server.URL, name, err)
	}
	return left, nil
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(20 * time.Millisecond):
		return nil
	}
}
