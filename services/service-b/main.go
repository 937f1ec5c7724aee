// Command service-b is the worker of the system under test; see services/README.md for its settings.
package main

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"chaosgate/services/internal/config"
	"chaosgate/services/internal/server"
	"chaosgate/services/service-b/store"
	"chaosgate/services/service-b/worker"
)

const name = "service-b"

func main() { os.Exit(run()) }

func run() int {
	settings, err := worker.ReadConfig(os.LookupEnv)
	if err != nil {
		config.Explain(os.Stderr, name, err)
		return server.ExitUsage
	}
	if slices.Equal(os.Args[1:], []string{server.HealthCommand}) {
		return server.CheckHealth(name, settings.Host, settings.Port, os.Stderr)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil)).With("service", name)
	db, err := openStore(settings)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return server.ExitError
	}
	handler := worker.Handler(settings, db, log)
	time.Sleep(settings.WarmUp) // nobody is answered meanwhile; a signal ends it as it ends any process that has not begun to serve
	code := server.Run(name, settings.Host, settings.Port, handler, log, os.Stderr)
	if err := db.Close(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: closing the database: %v\n", name, err)
		return server.ExitError
	}
	return code
}

func openStore(c worker.Config) (*store.Store, error) {
	options := store.Options{BusyTimeout: c.BusyTimeout, Synchronous: c.Synchronous}
	if c.DatabaseURL != "" {
		return store.OpenServer(c.DatabaseURL, options)
	}
	return store.Open(c.DatabasePath, options)
}
