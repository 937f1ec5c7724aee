package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// runMain runs one command line and answers the exit code.
func runMain(sys system) int {
	root := newRoot(sys)
	root.SetArgs(sys.args)
	root.SetIn(sys.stdin)
	root.SetOut(sys.stdout)
	root.SetErr(sys.stderr)
	return conclude(sys.stderr, root.ExecuteContext(context.Background()))
}

func newRoot(sys system) *cobra.Command {
	root := &cobra.Command{
		Use: "chaos", Short: textRootShort, Long: textRootLong, Example: textRootExample,
		SilenceErrors: true, SilenceUsage: true,
	}
	for _, c := range commands(sys) {
		c.RunE = sure(c.RunE)
		root.AddCommand(c)
	}
	return root
}

// sure makes an error of a command's own work tell itself from one in the command line, which cobra finds.
func sure(do func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		err := do(c, args)
		if err == nil || errors.As(err, new(*failure)) {
			return err
		}
		return cannot("", "%w", err)
	}
}

// plural is "1 experiment", "2 experiments".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
