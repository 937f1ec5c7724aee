package main

import (
	"fmt"
	"regexp"
	"strings"
)

const closing = "<!-- /generated -->"

var opening = regexp.MustCompile(`^<!-- generated: ([a-z-]+) -->$`)

// fill puts the parts between their markers. A marker that is not closed, or that names no part, is an error with its line.
func fill(text string, parts map[string]string) (string, error) {
	var out strings.Builder
	inside := 0 // line of the marker that is open
	for i, line := range strings.SplitAfter(text, "\n") {
		bare := strings.TrimRight(line, "\n")
		marker := opening.FindStringSubmatch(bare)
		switch {
		case marker != nil && inside > 0:
			return "", fmt.Errorf("line %d: the marker of line %d is still open", i+1, inside)
		case marker != nil:
			part, ok := parts[marker[1]]
			if !ok {
				return "", fmt.Errorf("line %d: no part is called %q", i+1, marker[1])
			}
			inside = i + 1
			out.WriteString(bare + "\n" + strings.TrimRight(part, "\n") + "\n")
		case bare == closing && inside == 0:
			return "", fmt.Errorf("line %d: nothing is open here", i+1)
		case bare == closing:
			inside = 0
			out.WriteString(line)
		case inside == 0:
			out.WriteString(line)
		}
	}
	if inside > 0 {
		return "", fmt.Errorf("line %d: the marker is never closed", inside)
	}
	return out.String(), nil
}
