package main

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/verdict"
)

func verdictCommand(sys system) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use: "verdict JOURNAL", Short: textVerdictShort, Long: textVerdictLong, Example: textVerdictExample, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return showVerdict(sys, journalPath(sys, args[0]), format)
		},
	}
	c.Flags().StringVarP(&format, "output", "o", "text", textVerdictOutputFlag)
	return c
}

// showVerdict judges a journal again and ends as the run did.
func showVerdict(sys system, path, format string) error {
	if format != "text" && format != "json" {
		return unknownFormat(format, "text", "json")
	}
	v, _, err := judge(path)
	if err != nil {
		return err
	}
	if format == "json" {
		out := json.NewEncoder(sys.stdout)
		out.SetIndent("", "  ")
		err = out.Encode(v)
	} else {
		closing(sys.stdout, sys.style(sys.stdout), v)
	}
	if err != nil {
		return cannot("", "%w", err)
	}
	return exitWith(v.ExitCode())
}

// judge reads a journal and decides.
func judge(path string) (verdict.Verdict, []journal.Event, error) {
	events, err := journal.ReadFile(path)
	if err != nil {
		return verdict.Verdict{}, nil, cannot(textJournalHint, "%w", err)
	}
	v, err := verdict.Decide(events)
	if err != nil {
		return verdict.Verdict{}, nil, cannot(textJournalHint, "%s: %w", path, err)
	}
	return v, events, nil
}

// journalPath takes a journal, or the folder of a run.
func journalPath(sys system, arg string) string {
	path := sys.path(arg)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return filepath.Join(path, journalFile)
	}
	return path
}
