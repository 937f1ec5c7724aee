package main

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"chaosgate/pkg/target/docker"
)

// envCommand starts, ends and shows an environment that experiments find as it is.
func envCommand(sys system) *cobra.Command {
	c := &cobra.Command{Use: "env", Short: textEnvShort, Long: textEnvLong, Example: textEnvExample, RunE: func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage(fmt.Sprintf(textSeeHelpOf, "env"), textNoCommand, "env "+args[0])
		}
		return c.Help()
	}}
	var s selection
	var volumes bool
	c.PersistentFlags().StringVar(&s.config, "config", "", textConfigFlag)
	c.PersistentFlags().StringVarP(&s.env, "env", "e", "", textEnvFlag)
	sub := func(use, short string, do func(context.Context, input, stack) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: noArguments(use), RunE: sure(func(c *cobra.Command, _ []string) error {
			in, of, err := stackOf(sys, s)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return do(ctx, in, of)
		})}
	}
	down := sub("down", textEnvDownShort, alone(sys, func(ctx context.Context, of stack) error {
		if volumes {
			return of.Down(ctx, sys.stderr, "--volumes")
		}
		return of.Down(ctx, sys.stderr)
	}))
	down.Flags().BoolVar(&volumes, "volumes", false, textVolumesFlag)
	c.AddCommand(
		sub("up", textEnvUpShort, alone(sys, func(ctx context.Context, of stack) error {
			if err := of.Up(ctx, sys.stderr); err != nil {
				return err
			}
			return showStatus(ctx, sys, of)
		})),
		down,
		sub("status", textEnvStatusShort, func(ctx context.Context, _ input, of stack) error { return showStatus(ctx, sys, of) }),
	)
	return c
}

// alone does something to an environment on which nobody else is at work, and keeps others away from it meanwhile: no run has its containers started or ended under it.
func alone(sys system, do func(context.Context, stack) error) func(context.Context, input, stack) error {
	return func(ctx context.Context, in input, of stack) error {
		free, err := in.kind.hold(ctx, sys, in)
		if err != nil {
			return err
		}
		defer free()
		return do(ctx, of)
	}
}

func noArguments(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage(fmt.Sprintf(textSeeHelpOf, "env "+name), textNoArguments, name, args[0])
		}
		return nil
	}
}

// stackOf finds the environment, which must be one that runs on its own.
func stackOf(sys system, s selection) (input, stack, error) {
	in, err := loadEnvironment(sys, s)
	if err != nil {
		return in, nil, err
	}
	if err := in.refuse(sys); err != nil {
		return in, nil, err
	}
	if in.kind.stack == nil {
		return in, nil, usage(textNoStackHint, textNoStack, in.environment)
	}
	of, err := in.kind.stack(sys, in)
	return in, of, err
}

// showStatus lists the instances. One that is not ready makes it a failure, so that a script can wait for it.
func showStatus(ctx context.Context, sys system, of stack) error {
	all, err := of.Status(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(sys.stdout, 0, 0, 2, ' ', 0)
	bad := 0
	for _, one := range all {
		says := textEnvReady
		if one.Problem != "" {
			says = one.Problem
			bad++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", single(one.Instance), one.Container, one.URL, protection(one), single(says))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if bad > 0 {
		return cannot("", textEnvNotReady, bad, len(all))
	}
	return nil
}

func protection(one docker.Standing) string {
	if one.Protected {
		return textEnvProtected
	}
	return ""
}
