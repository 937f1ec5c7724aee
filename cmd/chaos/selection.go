package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// selection says which experiments are meant, and where they are to run.
type selection struct {
	config   string
	env      string
	weakened string
	only     []string
	seed     uint64
	seeded   bool // the seed was given
}

func (s *selection) flags(c *cobra.Command, seedText string) {
	flags := c.Flags()
	flags.StringVar(&s.config, "config", "", textConfigFlag)
	flags.StringVarP(&s.env, "env", "e", "", textEnvFlag)
	flags.StringVar(&s.weakened, "weakened", "", textWeakenedFlag)
	flags.StringArrayVar(&s.only, "only", nil, textOnlyFlag)
	flags.Uint64Var(&s.seed, "seed", 0, seedText)
}

// wants says whether an experiment is meant. The name of a matrix, without its brackets, means all of its combinations.
func (s selection) wants(name string) bool {
	base, _, _ := strings.Cut(name, "[")
	return len(s.only) == 0 || slices.ContainsFunc(s.only, func(pattern string) bool {
		ofBase, _ := path.Match(pattern, base) // checked before
		ofAll, _ := path.Match(pattern, name)
		return ofBase || ofAll || pattern == name
	})
}

// check finds patterns that are none.
func (s selection) check() error {
	for _, pattern := range s.only {
		if _, err := path.Match(pattern, ""); err != nil {
			return usage("", textBadPattern, pattern)
		}
	}
	return nil
}

// someFiles wants at least one experiment on the command line.
func someFiles(sys system, command string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(fmt.Sprintf(textFilesHint, sys.name(), command), textFilesMissing)
		}
		return nil
	}
}
