package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"syscall"

	"chaosgate/pkg/verdict"
)

// checkUp finds what is wrong with --up and --keep before anything is touched.
func (r running) checkUp() error {
	switch {
	case r.flags.keep && !r.flags.up:
		return usage("", textKeepWithoutUp)
	case r.flags.up && r.input.kind.stack == nil:
		return usage(textNoStackHint, textNoStack, r.input.environment)
	case r.flags.up && r.apart():
		return usage(textUpApartHint, textUpApart)
	}
	return nil
}

// hold keeps others away from an environment that experiments share, until free is called: between two experiments, and while it is started or ended, as well.
func (r running) hold(ctx context.Context) (free func(), err error) {
	if r.input.kind.hold == nil || r.apart() {
		return func() {}, nil
	}
	return r.input.kind.hold(ctx, r.sys, r.input)
}

// standUp starts the environment if that was asked for and nothing of it is there, and answers what it has started; nil is nothing. What is there is left as it is: it is
// somebody else's, and theirs to end.
func (r running) standUp(ctx context.Context, say func(string)) (stack, error) {
	if !r.flags.up {
		return nil, nil
	}
	of, err := r.input.kind.stack(r.sys, r.input)
	if err != nil {
		return nil, err
	}
	there, err := of.There(ctx)
	switch {
	case err != nil:
		return nil, cannot("", textCannotUp, r.input.environment, err)
	case there:
		say(fmt.Sprintf(textUpAlready, r.input.environment))
		return nil, nil
	}
	err = of.Up(ctx, sayer(say))
	if err == nil {
		err = context.Cause(ctx) // a signal that came when it was up
	}
	if err != nil {
		err = cannot("", textCannotUp, r.input.environment, err)
		if left := r.end(of, say); left != nil {
			say(err.Error())
			return nil, left
		}
		return nil, err
	}
	return of, nil
}

// standDown ends what standUp has started, after a run that came to err. What a run has left is not to go with it: whoever undoes it needs the containers.
func (r running) standDown(of stack, say func(string), err error) error {
	var f *failure
	switch {
	case of == nil || r.flags.keep:
		return err
	case errors.As(err, &f) && f.code == verdict.ExitDirty:
		say(fmt.Sprintf(textUpLeft, r.input.environment))
		return err
	}
	left := r.end(of, say)
	if left == nil {
		return err
	}
	if unsaid(err) {
		conclude(r.sys.stderr, err)
	}
	return left // it weighs more than what the run came to, and closes the gate as well
}

// end ends a stack; a signal ends that sooner.
func (r running) end(of stack, say func(string)) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := of.Down(ctx, sayer(say)); err != nil {
		return dirty(fmt.Sprintf(textDownHint, r.input.environment), textCannotDown, r.input.environment, err)
	}
	return nil
}

// sayer says the lines that are written to it.
type sayer func(string)

func (s sayer) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if line = strings.TrimRight(line, "\r\n "); line != "" {
			s(line)
		}
	}
	return len(p), nil
}
