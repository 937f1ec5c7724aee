package main

import (
	"errors"
	"fmt"
	"io"

	"chaosgate/pkg/verdict"
)

// finish judges what was recorded and says what it came to. What could not be rolled back was left to the guard by then. Failed is why the run was given up, and left
// what of it could not be cleared away; with either the exit code is not that of an open gate.
func (r running) finish(s *session, out *feed, failed, left error) error {
	pending, kept := s.settle()
	out.close()
	if failed != nil {
		fmt.Fprintf(r.talk, textRunFailed, foreign(failed.Error()))
	}
	v, events, err := judge(s.journalPath())
	if err != nil {
		return dirty(textUnverifiedHint, textUnverified, errors.Join(err, kept, left))
	}
	kept = errors.Join(kept, left, r.write(s, v, events), s.close(pending))
	if r.judged != nil {
		r.judged(v)
	}
	closing(r.closingTo(), r.style, v)
	fmt.Fprintf(r.closingTo(), textReportsIn, r.sys.shown(s.dir))
	if len(pending) > 0 {
		hint := fmt.Sprintf(textLeftHint, r.sys.name(), r.sys.shown(s.journalPath()))
		return dirty(hints(hint, manualHint(pending)), textLeft, subjects(pending))
	}
	if kept != nil {
		return r.notKept(s, v, kept)
	}
	if failed != nil { // which has been said
		return exitWith(notOpen(v))
	}
	return exitWith(v.ExitCode())
}

// tellAfter says what --quiet does not want to hear once the run is finished: the view has ended by then.
func (r running) tellAfter(text string) {
	if !r.flags.quiet {
		fmt.Fprintln(r.talk, text)
	}
}

// notOpen is the exit code of a run that something else went wrong with: that of a closed gate stays as it is.
func notOpen(v verdict.Verdict) int {
	if code := v.ExitCode(); code != verdict.ExitOpen {
		return code
	}
	return verdict.ExitError
}

// notKept turns an open gate into an error: a report that is not there cannot be looked at, and what is left of a run may be in the next one's way. A closed
// gate stays as it is.
func (r running) notKept(s *session, v verdict.Verdict, err error) error {
	hint := fmt.Sprintf(textNotKeptHint, r.sys.name(), r.sys.shown(s.journalPath()))
	return &failure{code: notOpen(v), err: fmt.Errorf(textNotKept, err), hint: hint}
}

// closingTo is stdout, unless a report is written there.
func (r running) closingTo() io.Writer {
	if takesStdout(r.outputs) {
		return r.sys.stderr
	}
	return r.sys.stdout
}

// stopNow is the second ^C: it says what is left and goes. The guard sees this process end and undoes what is left.
func (r running) stopNow(s *session, out *feed, signal string) error {
	out.close()
	pending, err := pendingOf(s.journalPath())
	if err != nil {
		return cannot("", "%w", err)
	}
	code := verdict.Verdict{Interrupted: signal}.ExitCode()
	if len(pending) == 0 {
		return &failure{code: code, err: fmt.Errorf(textStoppedClean, signal)}
	}
	hint := fmt.Sprintf(textStoppedHint, r.sys.name(), r.sys.shown(s.journalPath()))
	return dirty(hints(hint, manualHint(pending)), textStopped, signal, subjects(pending))
}
