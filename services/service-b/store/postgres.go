package store

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// connectWithin bounds how long a server that does not answer is waited for where no deadline does.
const connectWithin = 2 * time.Second

// synchronousCommits are the server's words for those of SQLite.
var synchronousCommits = map[string]string{"off": "off", "normal": "local", "full": "on"}

// OpenServer prepares a store in a database of a PostgreSQL server, postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE, without connecting; its table is made by the first
// operation. A session that the server has ended is replaced by the operation after the one that met its end.
func OpenServer(address string, o Options) (*Store, error) {
	config, err := parseServer(address)
	if err != nil {
		return nil, err
	}
	config.ConnectTimeout = connectWithin
	config.RuntimeParams["application_name"] = "service-b"
	config.RuntimeParams["lock_timeout"] = fmt.Sprint(max(1, o.BusyTimeout.Milliseconds())) // 0 would be without end
	config.RuntimeParams["synchronous_commit"] = synchronousCommits[o.Synchronous]
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // in one round trip, and nothing of a session that a pooler could mix up
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(1)
	return &Store{db: db, say: dialect{
		// CREATE INDEX IF NOT EXISTS locks the table also if there is nothing to create.
		setup: []string{`DO $$ BEGIN
IF to_regclass('orders_by_key') IS NULL THEN
CREATE TABLE IF NOT EXISTS orders (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id TEXT NOT NULL UNIQUE, key TEXT NOT NULL, at_ms BIGINT NOT NULL);
CREATE INDEX IF NOT EXISTS orders_by_key ON orders (key, seq);
END IF; END $$`},
		begin:       "BEGIN",
		insert:      "INSERT INTO orders (id, key, at_ms) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
		deleteOlder: "DELETE FROM orders WHERE seq <= (SELECT max(seq) FROM orders) - $1",
		list:        "SELECT seq, id, at_ms FROM orders WHERE key = $1 ORDER BY seq DESC LIMIT $2",
	}}, nil
}

// CheckServer says what is wrong with the address of a database, without repeating it: there may be a password in it.
func CheckServer(address string) error {
	_, err := parseServer(address)
	return err
}

func parseServer(address string) (*pgx.ConnConfig, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Hostname() == "" || u.User.Username() == "" || len(u.Path) < 2 {
		return nil, errors.New("want an address such as postgres://USER:PASSWORD@HOST:5432/DATABASE")
	}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, errors.New("want an address such as postgres://USER:PASSWORD@HOST:5432/DATABASE; what follows the database cannot be read")
	}
	return config, nil
}

// The server's codes, https://www.postgresql.org/docs/current/errcodes-appendix.html.
var postgresOutcomes = map[string]Outcome{
	"55P03": Busy, "40P01": Busy, "40001": Busy, // not locked in time, a deadlock, two at once
	"53300": Busy, // no connection is free
	"25006": ReadOnly, "53100": Full, "XX001": Corrupt, "XX002": Corrupt, "57014": Timeout,
}

// postgresOutcome is empty for what no server has said, or what nothing is known about.
func postgresOutcome(err error) Outcome {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return postgresOutcomes[e.Code]
	}
	return ""
}
