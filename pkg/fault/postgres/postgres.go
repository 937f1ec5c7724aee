// Package postgres has what faults do to a PostgreSQL server: as one more client of it, by sessions that carry a name of their own, by which any other process finds
// and ends exactly them.
package postgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"chaosgate/pkg/target"
)

// Prefix begins the name of every session of ours.
const Prefix = "chaos/"

// nameSize is how much of a session's name a server keeps, in bytes.
const nameSize = 63

// Name is a new name for the sessions of one fault: origin is the run and the experiment, step the fault's own name. What a server would cut off is cut off here.
func Name(origin, step string) string {
	plain := func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_' // as a server would, with another character
		}
		return r
	}
	name := Prefix + rand.Text()[:8] + "/" + strings.Map(plain, step+"/"+origin)
	return name[:min(len(name), nameSize)]
}

// The limits of what a server is asked.
const (
	connectWithin = 5 * time.Second
	askWithin     = 10 * time.Second
)

// The server ends a session of ours from which it has heard nothing for silentFor, as that of a runner that was stopped. Who holds one is heard every touchEvery.
const (
	silentFor  = 15 * time.Second
	touchEvery = 3 * time.Second
)

// Client reaches one database of a server. It is safe for concurrent use.
type Client struct {
	Server target.Server
	Name   string // of its sessions
	// Find answers where the server is now, host:port.
	Find func(context.Context) (string, error)
}

// Session is a connection of ours. It is safe for concurrent use; calls wait for each other.
type Session struct {
	mu   sync.Mutex
	conn *pgx.Conn
}

// Open connects. An error that IsFull means that the server has no connection to give.
func (c Client) Open(ctx context.Context) (*Session, error) {
	config, err := c.config(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.Server.URL, err)
	}
	return &Session{conn: conn}, nil
}

func (c Client) config(ctx context.Context) (*pgx.ConnConfig, error) {
	text, err := stated(c.Server.URL)
	if err != nil {
		return nil, fmt.Errorf("%s is not the URL of a PostgreSQL database: %w", c.Server.URL, err)
	}
	config, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("%s is not the URL of a PostgreSQL database, or a variable PG... of this process is wrong: %w", c.Server.URL, err)
	}
	at, err := c.Find(ctx)
	if err != nil {
		return nil, err
	}
	config.Password = ""
	if variable := c.Server.PasswordEnv; variable != "" {
		if config.Password = strings.TrimSpace(os.Getenv(variable)); config.Password == "" {
			return nil, fmt.Errorf("%s: its password should be in the environment variable %s, which is not set", c.Server.URL, variable)
		}
	}
	// Whatever the variables PG... of the process say: this server only, whatever it is in a cluster, under this name. What they say of certificates and of how a server may ask
	// for the password is kept.
	config.ValidateConnect = nil
	config.RuntimeParams = map[string]string{"application_name": c.Name}
	config.ConnectTimeout = connectWithin
	config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", at)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	return config, nil
}

// stated is a URL that says itself what variables of the process would say otherwise.
func stated(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", err
	}
	query := u.Query()
	query.Set("sslmode", cmp.Or(query.Get("sslmode"), "prefer"))
	query.Set("target_session_attrs", "any")
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// lasting connects with a session that the server ends when it is no longer heard of. Servers before 14 do not know all of that, and end it with its connection only.
func (c Client) lasting(ctx context.Context) (*Session, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	err = s.exec(ctx, `SELECT set_config(name, value, false) FROM pg_settings JOIN (VALUES
		('idle_session_timeout', $1), ('idle_in_transaction_session_timeout', $1), ('client_connection_check_interval', '1s')) AS wanted (name, value) USING (name)`,
		fmt.Sprintf("%dms", silentFor.Milliseconds()))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bound its session: %w", err), s.Close(ctx))
	}
	return s, nil
}

// Close ends the session. It is idempotent.
func (s *Session) Close(ctx context.Context) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectWithin)
	defer cancel()
	_ = s.conn.Close(ctx) // whether the server has ended it, only the server can tell, and is asked
	return nil
}

// Alive says whether the connection is open, as far as is known without asking.
func (s *Session) Alive() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.conn.IsClosed()
}

// pid is the server's process for this session.
func (s *Session) pid() int { return int(s.conn.PgConn().PID()) }

// touch lets the server hear of the session.
func (s *Session) touch(ctx context.Context) error { return s.exec(ctx, "SELECT 1") }

func (s *Session) exec(ctx context.Context, statement string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	_, err := s.conn.Exec(ctx, statement, args...)
	return err
}

// ask reads one row.
func (s *Session) ask(ctx context.Context, query string, args []any, into ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return s.conn.QueryRow(ctx, query, args...).Scan(into...)
}

// The server's codes for errors.
const (
	tooManyConnections = "53300"
	adminShutdown      = "57P01"
	crashShutdown      = "57P02"
	cannotConnectNow   = "57P03" // it starts, or ends
	lockNotAvailable   = "55P03"
	deadlockDetected   = "40P01"
)

func code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// IsFull says whether the server has refused a connection because it has no more to give.
func IsFull(err error) bool { return code(err) == tooManyConnections }

// again does something again and again in the background. Its methods are called by one goroutine.
type again struct {
	quit, done chan struct{}
	stop       sync.Once
	err        error // that has ended it; valid after done
}

// every does something at once and then in every period, until it fails or is ended. What it is doing is never cut off by that.
func every(ctx context.Context, period time.Duration, do func(context.Context) error) *again {
	a := &again{quit: make(chan struct{}), done: make(chan struct{})}
	ctx = context.WithoutCancel(ctx)
	go func() {
		defer close(a.done)
		for {
			if a.err = do(ctx); a.err != nil {
				return
			}
			select {
			case <-a.quit:
				return
			case <-time.After(period):
			}
		}
	}()
	return a
}

// failed is what has ended it before its time; nil while it is at work.
func (a *again) failed() error {
	select {
	case <-a.done:
		return cmp.Or(a.err, errors.New("it was ended"))
	default:
		return nil
	}
}

// end returns when nothing is done any more. It is idempotent, also on nil.
func (a *again) end() {
	if a == nil {
		return
	}
	a.stop.Do(func() { close(a.quit) })
	<-a.done
}
