package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
)

// around makes a run in an environment that it starts before, and ends after, unless it ran already or is to be kept.
func (r running) around(run func() error) error {
	if !r.flags.up {
		if r.flags.keep {
			return usage("", textKeepWithoutUp)
		}
		return run()
	}
	if r.input.kind.stack == nil {
		return usage(textNoStackHint, textNoStack, r.input.environment)
	}
	of, err := r.input.kind.stack(r.sys, r.input)
	if err != nil {
		return err
	}
	out := r.talk
	if r.flags.quiet {
		out = io.Discard
	}
	there, err := r.start(of, out)
	if err != nil {
		return cannot("", textCannotUp, r.input.environment, err)
	}
	err = run()
	if there || r.flags.keep {
		return err
	}
	ended := r.end(of, out)
	if ended == nil {
		return err
	}
	if unsaid(err) {
		conclude(r.sys.stderr, err)
	}
	return ended // what is left weighs more than what the run came to, and closes the gate as well
}

// start starts the environment and waits until it is ready. It answers whether something of it ran already: then it is somebody else's to end.
func (r running) start(of stack, out io.Writer) (there bool, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if all, err := of.Status(ctx); err == nil && len(all) > 0 {
		there = true
	}
	err = of.Up(ctx, out)
	if err != nil && !there {
		err = errors.Join(err, r.end(of, out))
	}
	return there, err
}

// end ends what start has started. Another signal ends it sooner.
func (r running) end(of stack, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := of.Down(ctx, out); err != nil {
		return dirty(fmt.Sprintf(textDownHint, r.input.environment), textCannotDown, r.input.environment, err)
	}
	return nil
}
