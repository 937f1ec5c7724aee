package main

import (
	"strings"

	"chaosgate/pkg/diag"
)

// What others have chosen, experiments or services, is said as text: nothing in it steers a terminal, and no line is a command for the CI system whose log it goes
// to. GitHub's runner takes for one what begins with ::, after white space, and whatever contains ##[.

// foreign is a text of several lines.
func foreign(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = diag.Printable(line)
	}
	return noCommand(strings.Join(lines, "\n"))
}

// single is a part of a line that does not begin it.
func single(text string) string { return noCommand(diag.Printable(text)) }

// noCommand is a text that is printable already, and may be painted.
func noCommand(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "##[", "## ["), "\n")
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimSpace(line), "::") {
			lines[i] = "| " + line
		}
	}
	return strings.Join(lines, "\n")
}
