package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"chaosgate/pkg/diag"
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
		SilenceErrors: true, SilenceUsage: true, Version: version(),
	}
	root.SetVersionTemplate("chaos {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return flagError(c, err) })
	root.SetHelpCommand(helpCommand(root))
	for _, c := range commands(sys) {
		c.RunE = sure(c.RunE)
		root.AddCommand(c)
	}
	return root
}

// helpCommand is cobra's, but for a command that is not there.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: textHelpShort,
		RunE: func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				var names []string
				for _, known := range root.Commands() {
					names = append(names, known.Name())
				}
				return usage(diag.DidYouMean(strings.Join(args, " "), names), textNoCommand, strings.Join(args, " "))
			}
			return c.Help()
		},
	}
}

// badValue is how the flag library says that a value does not fit.
var badValue = regexp.MustCompile(`^invalid argument "(.*)" for "(?:-., )?(--[a-z-]+)" flag`)

func flagError(c *cobra.Command, err error) error {
	if m := badValue.FindStringSubmatch(err.Error()); m != nil {
		return usage(fmt.Sprintf(textSeeHelpOf, c.Name()), textBadFlag, m[2], m[1])
	}
	return usage(fmt.Sprintf(textSeeHelpOf, c.Name()), "%w", err)
}

// oneArgument wants exactly one argument; missing says which.
func oneArgument(missing string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usage(fmt.Sprintf(textSeeHelpOf, c.Name()), "%s", missing)
		}
		return nil
	}
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
