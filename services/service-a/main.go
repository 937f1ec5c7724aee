// Command service-a is the API of the system under test; see services/README.md for its settings.
package main

import (
	"log/slog"
	"os"
	"slices"

	"chaosgate/services/internal/config"
	"chaosgate/services/internal/server"
	"chaosgate/services/service-a/api"
)

const name = "service-a"

func main() { os.Exit(run()) }

func run() int {
	settings, err := api.ReadConfig(os.LookupEnv)
	if err != nil {
		config.Explain(os.Stderr, name, err)
		return server.ExitUsage
	}
	if slices.Equal(os.Args[1:], []string{server.HealthCommand}) {
		return server.CheckHealth(name, settings.Host, settings.Port, os.Stderr)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil)).With("service", name)
	return server.Run(name, settings.Host, settings.Port, api.Handler(settings, log), log, os.Stderr)
}
