// Package diag is a problem in a file: its place, its rule, and how it is shown.
//
// A stage that checks something collects every problem it finds into a List and goes on; nobody stops at the first.
package diag

// Pos is a place in a text file. Line and Col are 1-based; Col counts characters (runes), not bytes. The zero Line means "the file as a whole".
type Pos struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Col  int    `json:"col"`
}

// Span is a stretch on one line: Len characters from Pos. Len below 1 is shown as 1.
type Span struct {
	Pos
	Len int `json:"len"`
}

// Severity orders problems; only errors make a file invalid.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Problem is one finding. Message is a sentence without a full stop: what was found, what was expected.
// Hint, if any, is the next step ("did you mean \"duration\"?").
type Problem struct {
	Span
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"` // kebab-case, stable: documented in docs/rules.md
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
}

// List collects problems. Its zero value is empty and ready to use.
type List []Problem
