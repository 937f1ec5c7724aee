package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"chaosgate/pkg/report"
)

func reportCommand(sys system) *cobra.Command {
	var given []string
	c := &cobra.Command{
		Use: "report JOURNAL", Short: textReportShort, Long: textReportLong, Example: textReportExample, Args: oneArgument(textOneJournal),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := findJournal(sys, args[0])
			if err != nil {
				return err
			}
			return reportAgain(sys, path, given)
		},
	}
	c.Flags().StringArrayVarP(&given, "output", "o", nil, fmt.Sprintf(textOutputFlag, strings.Join(formatNames(), ", ")))
	return c
}

// reportAgain writes the reports of a run from its journal alone. It succeeds whatever the run came to: `chaos verdict` is for that.
func reportAgain(sys system, path string, given []string) error {
	outputs, err := parseOutputs(sys, given, formatNames())
	if err != nil {
		return err
	}
	if err := checkOutputs(outputs); err != nil {
		return err
	}
	v, events, err := judge(path)
	if err != nil {
		return err
	}
	m, err := report.NewModel(events, v)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := writeReports(sys, m, dir, outputs); err != nil {
		return err
	}
	for _, o := range outputs {
		if o.path != "-" {
			sys.say(fmt.Sprintf(textWrote, o.format, sys.shown(o.in(dir))))
		}
	}
	return nil
}
