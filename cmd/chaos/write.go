package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/report"
	"chaosgate/pkg/verdict"
)

func formatNames() []string {
	var names []string
	for _, f := range report.Formats() {
		names = append(names, f.Name)
	}
	return names
}

// write writes the reports of a run, and tells GitHub if it is GitHub that runs us. One that cannot be written does not stop the others.
func (r running) write(s *session, v verdict.Verdict, events []journal.Event) error {
	m, err := report.NewModel(events, v)
	if err != nil {
		return err
	}
	return errors.Join(writeReports(r.sys, m, s.dir, r.outputs), tellGitHub(r.sys, m, r.closingTo()))
}

// writeReports writes each report to its place; dir is where those go that name none.
func writeReports(sys system, m report.Model, dir string, outputs []output) error {
	var errs []error
	for _, o := range outputs {
		f, err := report.Find(o.format)
		if err != nil {
			return err
		}
		if o.path == "-" {
			err = f.Write(sys.stdout, m)
		} else {
			err = report.WriteFile(o.in(dir), f, m)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// tellGitHub annotates the pull request and adds to the step's summary, where there is one.
func tellGitHub(sys system, m report.Model, out io.Writer) error {
	if sys.env("GITHUB_ACTIONS") != "true" {
		return nil
	}
	err := report.WriteGitHub(out, m)
	if path := sys.env("GITHUB_STEP_SUMMARY"); path != "" {
		err = errors.Join(err, appendSummary(path, m))
	}
	return err
}

func appendSummary(path string, m report.Model) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("add to the step's summary: %w", err)
	}
	return errors.Join(report.WriteSummary(f, m), f.Close())
}
