// Command gen writes those parts of the documentation that can be made from the code: what stands in the project's Markdown files between
//
//	<!-- generated: NAME -->
//	<!-- /generated -->
//
// Everything else is written by hand. The same code gives the same text.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// files are those with generated parts, below the project's folder.
var files = []string{
	"README.md", "reports/README.md", "docs/architecture.md", "docs/format.md", "docs/rules.md", "docs/faults.md", "docs/probes.md", "docs/verdict.md",
}

func main() { os.Exit(run(os.Stderr, os.Args[1:])) }

func run(stderr io.Writer, args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(stderr, "usage: gen FOLDER, the project's")
		return 2
	}
	if err := update(args[0]); err != nil {
		fmt.Fprintln(stderr, "gen:", err)
		return 1
	}
	return 0
}

// update writes the files that are not current.
func update(root string) error {
	parts, err := generate(root)
	if err != nil {
		return err
	}
	for _, name := range files {
		path := filepath.Join(root, name)
		old, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text, err := fill(string(old), parts)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if bytes.Equal(old, []byte(text)) {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
