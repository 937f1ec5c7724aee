// Package config reads a service's settings from its environment.
//
// An unset or empty variable means the default. A protection is switched off by
// the word off, or by 0. Every bad value is collected, so that one start names
// them all; the caller asks Err once, after it has read everything.
package config

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Env reads variables and remembers what was wrong with them. Not safe for concurrent use.
type Env struct {
	lookup   func(string) (string, bool)
	problems []error
}

// New reads through lookup, which is os.LookupEnv outside tests.
func New(lookup func(string) (string, bool)) *Env { return &Env{lookup: lookup} }

// Err joins the problems found so far, one sentence each; nil when there are none.
func (e *Env) Err() error { return errors.Join(e.problems...) }

// Explain writes each problem of an Err as a line that begins with the service's name.
func Explain(w io.Writer, service string, err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(w, "%s: %s\n", service, strings.TrimSuffix(line, "\n"))
	}
}

// String is the variable as written.
func (e *Env) String(name, def string) string {
	if v, ok := e.value(name); ok {
		return v
	}
	return def
}

// OneOf is a variable that must be one of the choices, in lower case.
func (e *Env) OneOf(name, def string, choices ...string) string {
	v, ok := e.value(name)
	if !ok {
		return def
	}
	if v = strings.ToLower(v); !slices.Contains(choices, v) {
		e.reject(name, "want one of "+strings.Join(choices, ", "))
		return def
	}
	return v
}

// Switch is a protection that is on unless the variable says off.
func (e *Env) Switch(name string) bool {
	return e.OneOf(name, "on", "on", "off") == "on"
}

// Duration is at least a millisecond, or 0 for off.
func (e *Env) Duration(name string, def time.Duration) time.Duration {
	v, ok := e.value(name)
	if !ok {
		return def
	}
	if isOff(v) {
		return 0
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		e.reject(name, "want a duration such as 250ms, or off")
		return def
	}
	if d < time.Millisecond {
		e.reject(name, "want a duration of at least 1ms, or off")
		return def
	}
	return d
}

// Count is a whole number from 1 up, or 0 for off.
func (e *Env) Count(name string, def int) int {
	v, ok := e.value(name)
	if !ok {
		return def
	}
	if isOff(v) {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		e.reject(name, fmt.Sprintf("want a whole number such as %d, or off", def))
		return def
	}
	return n
}

// Port is a TCP port; 0 asks the system for a free one.
func (e *Env) Port(name string, def int) int {
	v, ok := e.value(name)
	if !ok {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > 65535 {
		e.reject(name, "want a port number from 1 to 65535, or 0 for any free port")
		return def
	}
	return n
}

// URL is an absolute http or https address.
func (e *Env) URL(name, def string) *url.URL {
	v := e.String(name, def)
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		e.reject(name, "want an address such as "+def)
		return nil
	}
	return u
}

// Reject records a problem that only the caller can see, such as a folder that is not there.
func (e *Env) Reject(name, value, want string) {
	e.problems = append(e.problems, fmt.Errorf("%s=%q: %s", name, value, want))
}

func (e *Env) reject(name, want string) {
	v, _ := e.value(name)
	e.Reject(name, v, want)
}

func (e *Env) value(name string) (string, bool) {
	v, ok := e.lookup(name)
	v = strings.TrimSpace(v)
	return v, ok && v != ""
}

func isOff(v string) bool { return strings.EqualFold(v, "off") || v == "0" }
