package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Format is a row of the formats: how a run is shown, and the name of its file in the run's folder.
type Format struct {
	Name  string
	File  string
	Doc   string
	Write func(io.Writer, Model) error
}

// Formats lists the formats that are files.
func Formats() []Format {
	return []Format{
		{"json", "report.json", "everything, for programs", WriteJSON},
		{"html", "report.html", "one page for people, with charts", WriteHTML},
		{"junit", "junit.xml", "for CI systems that show test results", WriteJUnit},
		{"summary", "summary.md", "Markdown, for a step summary or a comment", WriteSummary},
		{"github", "annotations.txt", "workflow commands that annotate a pull request on GitHub", WriteGitHub},
		{"text", "report.txt", "what the terminal shows at the end", WriteText},
	}
}

// Find answers a format by its name.
func Find(name string) (Format, error) {
	var names []string
	for _, f := range Formats() {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Format{}, fmt.Errorf("there is no format %q; there are %s", name, strings.Join(names, ", "))
}

// WriteFile writes a report to its place, whole or not at all.
func WriteFile(path string, f Format, m Model) error {
	if err := replace(path, func(w io.Writer) error { return f.Write(w, m) }); err != nil {
		return fmt.Errorf("write the %s report %s: %w", f.Name, path, err)
	}
	return nil
}

// replace writes a file under a temporary name, syncs it and renames it: there is never half a file.
func replace(path string, write func(io.Writer) error) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	err = errors.Join(write(file), file.Chmod(0o644), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
