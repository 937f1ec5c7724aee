package main

import (
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"chaosgate/pkg/agent"
)

// agentCommand is the helper that works near a target. It is not for people.
func agentCommand(sys system) *cobra.Command {
	return &cobra.Command{
		Use: "agent", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			// The runner decides when a helper ends; a signal meant for it must not end the helper first.
			signal.Ignore(syscall.SIGINT, syscall.SIGHUP)
			return agent.Serve(c.Context(), sys.stdin, sys.stdout)
		},
	}
}
