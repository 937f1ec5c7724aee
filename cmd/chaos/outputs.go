package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"chaosgate/pkg/report"
)

// output is one report to write.
type output struct {
	format string
	path   string // absolute; "-" is stdout; empty is the format's own name in the run's folder
}

// in is where the output goes when dir is the run's folder; not for stdout.
func (o output) in(dir string) string {
	if o.path != "" {
		return o.path
	}
	f, err := report.Find(o.format)
	if err != nil {
		return dir // parseOutputs has refused it
	}
	return filepath.Join(dir, f.File)
}

// parseOutputs reads --output FORMAT[=PATH]; none means all formats, to the run's folder.
func parseOutputs(sys system, given []string, formats []string) ([]output, error) {
	if len(given) == 0 {
		given = formats
	}
	var outputs []output
	onStdout := ""
	for _, text := range given {
		format, path, named := strings.Cut(text, "=")
		if !slices.Contains(formats, format) {
			return nil, unknownFormat(format, formats...)
		}
		switch {
		case named && path == "":
			return nil, usage(textOutputHint, textOutputNoPath, text)
		case path == "-" && onStdout != "":
			return nil, usage(textOutputHint, textOutputTwice, onStdout, format)
		case path == "-":
			onStdout = format
		case named:
			path = sys.path(path)
		}
		outputs = append(outputs, output{format: format, path: path})
	}
	return outputs, nil
}

// takesStdout says whether a report is written to stdout, where then nothing else may go.
func takesStdout(outputs []output) bool {
	for _, o := range outputs {
		if o.path == "-" {
			return true
		}
	}
	return false
}

// checkOutputs sees before the run whether the named paths can be written.
func checkOutputs(outputs []output) error {
	for _, o := range outputs {
		if o.path == "" || o.path == "-" {
			continue
		}
		dir := filepath.Dir(o.path)
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return cannot(textOutputFolderHint, textOutputFolder, o.format, dir)
		}
		if info, err := os.Stat(o.path); err == nil && info.IsDir() {
			return cannot(textOutputHint, textOutputIsFolder, o.format, o.path)
		}
	}
	return nil
}

func unknownFormat(format string, formats ...string) error {
	return usage("", textUnknownFormat, format, strings.Join(formats, ", "))
}
