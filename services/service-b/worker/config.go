package worker

import (
	"os"
	"path/filepath"
	"time"

	"chaosgate/services/internal/config"
	"chaosgate/services/service-b/store"
)

// Config of service-b. A zero duration or count is a protection switched off.
type Config struct {
	Host             string
	Port             int
	DatabasePath     string // of a SQLite file; empty if there is a DatabaseURL
	DatabaseURL      string // of a PostgreSQL server's database
	Synchronous      string
	BusyTimeout      time.Duration
	DBTimeout        time.Duration
	MaxInflight      int
	ReadOnlyFallback bool
	ReceiptRounds    int
	WarmUp           time.Duration
}

// ReadConfig reads every setting; its error names all the bad ones, one a line.
func ReadConfig(lookup func(string) (string, bool)) (Config, error) {
	env := config.New(lookup)
	c := Config{
		Host:             env.String("HOST", "0.0.0.0"),
		Port:             env.Port("PORT", 5001),
		DatabasePath:     env.String("DATABASE_PATH", ""),
		DatabaseURL:      env.String("DATABASE_URL", ""),
		Synchronous:      env.OneOf("DB_SYNCHRONOUS", "off", "off", "normal", "full"),
		BusyTimeout:      env.Duration("DB_BUSY_TIMEOUT", 200*time.Millisecond),
		DBTimeout:        env.Duration("DB_TIMEOUT", 500*time.Millisecond),
		MaxInflight:      env.Count("MAX_INFLIGHT", 64),
		ReadOnlyFallback: env.Switch("DB_READONLY_FALLBACK"),
		ReceiptRounds:    env.Count("RECEIPT_ROUNDS", 10_000),
		WarmUp:           env.Duration("WARMUP", 0),
	}
	c.database(env)
	return c, env.Err()
}

// database checks where the orders are to be. What is wrong with an address does not repeat it: there may be a password in it.
func (c *Config) database(env *config.Env) {
	if c.DatabaseURL != "" {
		if c.DatabasePath != "" {
			env.Reject("DATABASE_PATH", c.DatabasePath, "want either a file or, in DATABASE_URL, a server, and both are given")
		}
		if err := store.CheckServer(c.DatabaseURL); err != nil {
			env.Reject("DATABASE_URL", "...", err.Error())
		}
		return
	}
	if c.DatabasePath == "" {
		c.DatabasePath = "./service-b.db"
	}
	folder := filepath.Dir(c.DatabasePath)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		env.Reject("DATABASE_PATH", c.DatabasePath, "want a file in a folder that exists; there is no folder "+folder)
	}
}
