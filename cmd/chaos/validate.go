package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"chaosgate/pkg/verdict"
)

func validateCommand(sys system) *cobra.Command {
	var s selection
	var format string
	c := &cobra.Command{
		Use: "validate FILES...", Short: textValidateShort, Long: textValidateLong, Example: textValidateExample, Args: someFiles(sys, "validate"),
		RunE: func(_ *cobra.Command, args []string) error { return validate(sys, s, format, args) },
	}
	s.flags(c, textPlanSeedFlag)
	c.Flags().StringVarP(&format, "output", "o", "text", textCheckOutputFlag)
	return c
}

// validate shows all problems of all files. Warnings are shown and make nothing invalid.
func validate(sys system, s selection, format string, args []string) error {
	show, ok := map[string]func(*input) error{
		"text":  func(in *input) error { return in.show(sys) },
		"json":  func(in *input) error { return in.problems.WriteJSON(sys.stdout) },
		"sarif": func(in *input) error { return in.problems.WriteSARIF(sys.stdout, version()) },
	}[format]
	if !ok {
		return unknownFormat(format, "text", "json", "sarif")
	}
	in, err := loadInput(sys, s, args)
	if err != nil {
		return err
	}
	if err := show(&in); err != nil {
		return err
	}
	if in.problems.Invalid() {
		return exitWith(verdict.ExitInvalid)
	}
	if format == "text" {
		fmt.Fprintf(sys.stdout, textAllValid, plural(len(in.files), "file"), plural(len(in.plans), "experiment"), in.environment)
	}
	return nil
}
