package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"chaosgate/pkg/mask"
)

// system is what the commands know of the machine they run on.
type system struct {
	args    []string // without the program's name
	stdin   io.Reader
	stdout  io.Writer // without secrets, like stderr
	stderr  io.Writer
	secrets *mask.Set // grows as they become known
	env     func(name string) string
	dir     string // absolute; where the user stands
	program string // absolute path of this program, to start the guard and the helpers
}

func ownSystem() system {
	secrets := &mask.Set{}
	s := system{args: os.Args[1:], stdin: os.Stdin, stdout: secrets.Writer(os.Stdout), stderr: secrets.Writer(os.Stderr), secrets: secrets, env: os.Getenv}
	// Without them the commands that need them say so when they use the path.
	s.dir, _ = os.Getwd()
	s.program, _ = os.Executable()
	return s
}

// name is how the user calls this program again.
func (s system) name() string {
	if strings.Contains(s.program, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/chaos"
	}
	return "chaos"
}

// path makes a path of the user's absolute.
func (s system) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(s.dir, p)
}

// shown makes an absolute path short for the user, where that is shorter.
func (s system) shown(p string) string {
	if rel, err := filepath.Rel(s.dir, p); err == nil && len(rel) < len(p) {
		return rel
	}
	return p
}

// terminal answers the file behind a writer if it is a terminal.
func terminal(w io.Writer) (*os.File, bool) {
	f, ok := mask.Unwrap(w).(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// style is how to write to a place: with colours on a terminal, unless the user asked for none.
func (s system) style(w io.Writer) style {
	_, ok := terminal(w)
	return style{colours: ok && s.env("NO_COLOR") == "" && s.env("TERM") != "dumb"}
}

// say writes a line of news.
func (s system) say(text string) { fmt.Fprintln(s.stderr, text) }
