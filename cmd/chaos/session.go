package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"chaosgate/pkg/guard"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/proc"
)

const (
	defaultReports = "reports"
	journalFile    = "journal.jsonl"
	guardLog       = "guard.log"
	logFolder      = "logs"
)

// session is a run's place on disk: its folder, its journal and its guard.
type session struct {
	id      string
	dir     string // <reports>/<id>
	journal *journal.Writer
	guard   *guard.Process
	run     guard.Run
}

// runID sorts by time and is unlike any other: 20261123-191503-k3f9.
func runID(now time.Time) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	tail := make([]byte, 4)
	rand.Read(tail) // never fails
	for i := range tail {
		tail[i] = letters[int(tail[i])%len(letters)]
	}
	return now.UTC().Format("20060102-150405") + "-" + string(tail)
}

// openSession makes the run's folder, its journal and its guard, and records the run on disk. After an error nothing of it is left.
func openSession(sys system, reports, id string, observers ...journal.Observer) (*session, error) {
	s := &session{id: id, dir: filepath.Join(reports, id)}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the report folder: %w", err)
	}
	err := s.start(sys, reports, observers)
	if err != nil {
		return nil, errors.Join(err, s.discard())
	}
	return s, nil
}

func (s *session) start(sys system, reports string, observers []journal.Observer) error {
	var err error
	if s.journal, err = journal.Create(s.journalPath(), observers...); err != nil {
		return err
	}
	if err := s.startGuard(sys); err != nil {
		return err
	}
	self, err := proc.Self()
	if err != nil {
		return err
	}
	guardID, err := proc.Identify(s.guard.PID())
	if err != nil {
		return err
	}
	s.run, err = guard.Register(reports, guard.Run{ID: s.id, Journal: s.journalPath(), Runner: self, Guard: guardID})
	return err
}

func (s *session) startGuard(sys system) error {
	log, err := os.Create(filepath.Join(s.dir, guardLog))
	if err != nil {
		return fmt.Errorf("start the guard: %w", err)
	}
	defer log.Close()
	s.guard, err = guard.Start(log, sys.program, "guard", s.journalPath())
	return err
}

func (s *session) journalPath() string { return filepath.Join(s.dir, journalFile) }

// discard takes everything back, before anything was run.
func (s *session) discard() error {
	var err error
	if s.guard != nil {
		err = s.guard.Release()
	}
	if s.journal != nil {
		err = errors.Join(err, s.journal.Close())
	}
	return errors.Join(err, s.run.Forget(), os.RemoveAll(s.dir))
}

// settle ends the recording. What the run has left to undo is left to the guard; what the guard could not undo is answered.
func (s *session) settle() ([]journal.PendingUndo, error) {
	closed := s.journal.Close()
	pending, err := pendingOf(s.journalPath())
	if err != nil {
		return nil, errors.Join(closed, err)
	}
	if len(pending) == 0 {
		// A guard that has died meanwhile is no loss any more: nothing is left for it to do.
		_ = s.guard.Release()
		return nil, closed
	}
	// The guard exits with an error if it could not undo everything; what is left says that better.
	_ = s.guard.Abandon()
	pending, err = pendingOf(s.journalPath())
	return pending, errors.Join(closed, err)
}

// close forgets the run, unless something is left to undo.
func (s *session) close(pending []journal.PendingUndo) error {
	if len(pending) > 0 {
		return nil
	}
	return errors.Join(s.run.Forget(), removeIfEmpty(filepath.Join(s.dir, guardLog)))
}

func removeIfEmpty(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() > 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Remove(path)
}

// prepareReports makes the reports folder and sees whether it can be written, before anything else happens.
func prepareReports(reports string) error {
	if err := os.MkdirAll(reports, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(reports, ".writable-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
