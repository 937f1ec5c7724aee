// Command service-a is the API of the system under test; see services/README.md for its settings.
package main

import (
	"log/slog"
	"os"

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
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil)).With("service", name)
	return server.Run(name, settings.Host, settings.Port, api.Handler(settings, log), log, os.Stderr)
}
