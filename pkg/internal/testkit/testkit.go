// Package testkit is what the tests of several rooms say in the same words. Only tests import it.
package testkit

import (
	"context"
	"strings"
	"testing"
	"time"
)

const (
	soon  = 90 * time.Second
	limit = 60 * time.Second
)

// Soon is a context for what is expected to end: with the test, or after 90 s.
func Soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	t.Cleanup(cancel)
	return ctx
}

// Eventually polls until ok, and ends the test after 60 s.
func Eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// Must ends the test if there is an error.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// WantError ends the test if there is no error, and fails it for each part that the error does not have.
func WantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("got error %q, want %q in it", err, p)
		}
	}
}
