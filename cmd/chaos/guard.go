package main

import (
	"context"
	"errors"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"chaosgate/pkg/guard"
)

// guardCommand is the process that a run starts to outlive it. It is not for people.
func guardCommand(sys system) *cobra.Command {
	return &cobra.Command{
		Use: "guard JOURNAL", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			// Nothing but its own work ends a guard that is asked politely.
			signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			if err := serveGuard(c.Context(), sys, args[0]); err != nil {
				return cannot("", "%w", err)
			}
			return nil
		},
	}
}

// serveGuard waits for the runner's end. If it was killed and nothing is left, the run is forgotten: there is nothing to refuse over.
func serveGuard(ctx context.Context, sys system, path string) error {
	result, err := guard.Serve(ctx, sys.stdin, path, revert)
	if err != nil || len(result.Pending) > 0 || result.Released {
		return err
	}
	l, err := leftoverOf(path)
	if err != nil {
		return err
	}
	return errors.Join(forget(l.Run), removeIfEmpty(filepath.Join(filepath.Dir(path), guardLog)))
}
