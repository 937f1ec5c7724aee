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
		Use: "report JOURNAL", Short: textReportShort, Long: textReportLong, Example: textReportExample, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return reportAgain(sys, journalPath(sys, args[0]), given) },
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
	return writeReports(sys, m, filepath.Dir(path), outputs)
}
