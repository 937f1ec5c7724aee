package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/verdict"
)

func verdictCommand(sys system) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use: "verdict JOURNAL", Short: textVerdictShort, Long: textVerdictLong, Example: textVerdictExample, Args: oneArgument(textOneJournal),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := findJournal(sys, args[0])
			if err != nil {
				return err
			}
			return showVerdict(sys, path, format)
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

// findJournal answers the absolute path of a journal, given as it is or by the folder of its run.
func findJournal(sys system, arg string) (string, error) {
	path := sys.path(arg)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, journalFile)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", cannot(textJournalHint, textNoJournal, sys.shown(path))
	}
	return path, nil
}
