package store

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	sqlite "modernc.org/sqlite"
)

// Open prepares a store on the file without touching it; the file and its table are made by the first operation.
func Open(path string, o Options) (*Store, error) {
	query := url.Values{"_busy_timeout": {fmt.Sprint(o.BusyTimeout.Milliseconds())}}
	name := (&url.URL{Path: path}).EscapedPath()
	db, err := sql.Open("sqlite", "file:"+name+"?"+query.Encode())
	if err != nil {
		return nil, fmt.Errorf("opening the database %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	return &Store{db: db, say: dialect{
		setup: []string{
			"PRAGMA journal_mode = DELETE", // a file left in WAL mode by someone else would hide locks from readers
			"PRAGMA synchronous = " + o.Synchronous,
			`
CREATE TABLE IF NOT EXISTS orders (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, key TEXT NOT NULL, at_ms INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS orders_by_key ON orders (key, seq);`,
		},
		begin:       "BEGIN IMMEDIATE",
		insert:      "INSERT INTO orders (id, key, at_ms) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
		deleteOlder: "DELETE FROM orders WHERE seq <= (SELECT max(seq) FROM orders) - ?",
		list:        "SELECT seq, id, at_ms FROM orders WHERE key = ? ORDER BY seq DESC LIMIT ?",
	}}, nil
}

// SQLite's primary result codes, https://www.sqlite.org/rescode.html; the extended codes add bits above the low eight.
var sqliteOutcomes = map[int]Outcome{5: Busy, 6: Busy, 8: ReadOnly, 11: Corrupt, 13: Full, 26: Corrupt}

// sqliteOutcome is empty for what SQLite has not said, or says nothing about.
func sqliteOutcome(err error) Outcome {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return sqliteOutcomes[e.Code()&0xff]
	}
	return ""
}
