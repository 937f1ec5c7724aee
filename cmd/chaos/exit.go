package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"chaosgate/pkg/executor"
	"chaosgate/pkg/verdict"
)

// failure is why a command ends with an exit code other than 0. Err may be nil: then everything has been said already.
type failure struct {
	code int
	err  error
	hint string // what to do
}

func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit code %d", f.code)
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// code ends a command with an exit code when everything has been said; 0 is no failure.
func exitWith(code int) error {
	if code == verdict.ExitOpen {
		return nil
	}
	return &failure{code: code}
}

// unsaid tells whether an error holds what the user has not been told yet.
func unsaid(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.err != nil
}

// wrong usage of the command line.
func usage(hint, format string, args ...any) error {
	return &failure{code: verdict.ExitUsage, err: fmt.Errorf(format, args...), hint: hint}
}

// invalid experiments or configuration: nothing was touched.
func invalid(hint, format string, args ...any) error {
	return &failure{code: verdict.ExitInvalid, err: fmt.Errorf(format, args...), hint: hint}
}

// cannot says that what was asked for could not be carried out.
func cannot(hint, format string, args ...any) error {
	return &failure{code: verdict.ExitError, err: fmt.Errorf(format, args...), hint: hint}
}

// dirty says that something is left to undo.
func dirty(hint, format string, args ...any) error {
	return &failure{code: verdict.ExitDirty, err: fmt.Errorf(format, args...), hint: hint}
}

// hints puts several under each other.
func hints(all ...string) string {
	all = slices.DeleteFunc(all, func(h string) bool { return h == "" })
	return strings.Join(all, "\n  ")
}

// conclude says what is still to be said about an error and answers the exit code. An error that is no failure was found in the command line.
func conclude(stderr io.Writer, err error) int {
	if err == nil {
		return verdict.ExitOpen
	}
	f := &failure{code: verdict.ExitUsage, err: err, hint: textSeeHelp}
	errors.As(err, &f)
	if f.err != nil {
		fmt.Fprintf(stderr, "chaos: %s\n", foreign(f.err.Error()))
	}
	if f.hint != "" {
		fmt.Fprintf(stderr, "  %s\n", foreign(f.hint))
	}
	return f.code
}

// early is why a run never began: the user's signal, with what went wrong beside it, or what went wrong alone. What is left to undo outweighs a signal.
func early(ctx context.Context, err error) error {
	var interrupted executor.Interrupted
	var f *failure
	if !errors.As(context.Cause(ctx), &interrupted) || errors.As(err, &f) && f.code == verdict.ExitDirty {
		return err
	}
	said := fmt.Errorf(textNotStarted, interrupted.Signal)
	if rest := besides(err, interrupted); rest != nil {
		said = fmt.Errorf("%w: %w", said, rest)
	}
	return &failure{code: verdict.Verdict{Interrupted: interrupted.Signal}.ExitCode(), err: said}
}

// besides is the part of an error that a cause does not explain; nil if it explains all of it.
func besides(err, cause error) error {
	if !errors.Is(err, cause) {
		return err
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		inner := errors.Unwrap(err)
		if inner == nil {
			return nil // it is the cause
		}
		return besides(inner, cause)
	}
	var rest []error
	for _, one := range joined.Unwrap() {
		rest = append(rest, besides(one, cause))
	}
	return errors.Join(rest...)
}
