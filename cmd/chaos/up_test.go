package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"chaosgate/pkg/target/docker"
	"chaosgate/pkg/verdict"
)

// fakeStack notes what is done to it, because what a real one does when it fails cannot be had at will.
type fakeStack struct {
	there                bool
	asked, upErr, endErr error
	did                  []string
}

func (f *fakeStack) There(context.Context) (bool, error) { return f.there, f.asked }
func (f *fakeStack) Up(context.Context, io.Writer) error {
	f.did = append(f.did, "up")
	return f.upErr
}
func (f *fakeStack) Down(context.Context, io.Writer, ...string) error {
	f.did = append(f.did, "down")
	return f.endErr
}
func (f *fakeStack) Status(context.Context) ([]docker.Standing, error) { return nil, nil }

// What --up has started it ends, and nothing else; whatever fails, the exit code says what is left.
func TestUp(t *testing.T) {
	broken := errors.New("broken")
	interrupted, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		stack fakeStack
		ctx   context.Context
		keep  bool
		run   error // what the run comes to
		did   string
		code  int
	}{
		"started and ended":                  {did: "up down"},
		"it was there":                       {stack: fakeStack{there: true}},
		"whether it is there is not known":   {stack: fakeStack{asked: broken}, code: verdict.ExitError},
		"kept":                               {keep: true, did: "up"},
		"a run that fails":                   {run: exitWith(verdict.ExitFail), did: "up down", code: verdict.ExitFail},
		"a run that leaves something":        {run: exitWith(verdict.ExitDirty), did: "up", code: verdict.ExitDirty},
		"it does not start":                  {stack: fakeStack{upErr: broken}, did: "up down", code: verdict.ExitError},
		"it neither starts nor ends":         {stack: fakeStack{upErr: broken, endErr: broken}, did: "up down", code: verdict.ExitDirty},
		"it does not end":                    {stack: fakeStack{endErr: broken}, did: "up down", code: verdict.ExitDirty},
		"it does not end after a failed run": {stack: fakeStack{endErr: broken}, run: exitWith(verdict.ExitFail), did: "up down", code: verdict.ExitDirty},
		"a signal when it is up":             {ctx: interrupted, did: "up down", code: verdict.ExitError},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := c.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			var said strings.Builder
			r := running{sys: system{stderr: &said}, flags: runFlags{up: true, keep: c.keep}}
			r.input.kind.stack = func(system, input) (stack, error) { return &c.stack, nil }
			say := func(text string) { fmt.Fprintln(&said, text) }
			of, err := r.standUp(ctx, say)
			if err == nil {
				err = r.standDown(of, say, c.run)
			}
			if got := strings.Join(c.stack.did, " "); got != c.did {
				t.Errorf("did %q, want %q; it said %s", got, c.did, &said)
			}
			if code := conclude(io.Discard, err); code != c.code {
				t.Errorf("exit code %d, want %d: %v", code, c.code, err)
			}
		})
	}
}
