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
	"chaosgate/pkg/progress"
)

const (
	defaultReports = "reports"
	journalFile    = guard.JournalFile
	guardLog       = "guard.log"
	logFolder      = "logs"
)

// session is a run's place on disk: its folder, its journal and its guard.
type session struct {
	id      string
	dir     string // <reports>/<id>
	journal *journal.Writer
	guards  *guarding // nil before there is one
	run     guard.Run

	underWay *underWay
	progress *progress.Progress
	orphans  *proc.Orphans
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
func openSession(sys system, reports, id, programs string, observers ...journal.Observer) (*session, error) {
	s := &session{id: id, dir: filepath.Join(reports, id), underWay: &underWay{}, progress: progress.New()}
	s.run = guard.Run{ID: id, Programs: programs}
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
	if s.journal, err = journal.Create(s.journalPath(), append(observers, s.underWay.observe, s.progress.Observe)...); err != nil {
		return err
	}
	s.journal.Hide(sys.secrets)
	if s.run.Runner, err = proc.Self(); err != nil {
		return err
	}
	if s.orphans, err = proc.AdoptOrphans(); err != nil {
		return err
	}
	start := func() (*guard.Process, error) { return s.startGuard(sys, reports) }
	first, err := start()
	if err != nil {
		return err
	}
	s.guards = &guarding{start: start, died: s.guardDied, process: first}
	return nil
}

// startGuard starts a guard and records on disk that it is the one of this run. After an error it has ended again.
func (s *session) startGuard(sys system, reports string) (*guard.Process, error) {
	log, err := os.OpenFile(filepath.Join(s.dir, guardLog), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	defer log.Close()
	var p *guard.Process
	s.run.Guard, err = s.orphans.Keep(func() (int, error) {
		p, err = guard.Start(log, sys.program, "guard", s.journalPath())
		if err != nil {
			return 0, err
		}
		return p.PID(), nil
	})
	if p == nil {
		return nil, err
	}
	if err == nil {
		s.run, err = guard.Register(reports, s.run)
	}
	if err != nil {
		return nil, errors.Join(err, p.Release())
	}
	return p, nil
}

func (s *session) journalPath() string { return filepath.Join(s.dir, journalFile) }

// discard takes everything back, before anything was run.
func (s *session) discard() error {
	var err error
	if s.guards != nil {
		err = s.guards.stop().Release()
	}
	if s.journal != nil {
		err = errors.Join(err, s.journal.Close())
	}
	return errors.Join(err, s.run.Forget(), os.RemoveAll(s.dir))
}

// settle ends the recording. What the run has left to undo is left to the guard; what the guard could not undo is answered.
func (s *session) settle() ([]journal.PendingUndo, error) {
	last := s.guards.stop()
	closed := s.journal.Close()
	pending, err := pendingOf(s.journalPath())
	if err != nil {
		return nil, errors.Join(closed, err)
	}
	if len(pending) == 0 {
		// The run is forgotten first: were it killed from here on, nobody would have to look at it again.
		closed = errors.Join(closed, s.run.Forget())
		// A guard that has died meanwhile is no loss any more: nothing is left for it to do.
		_ = last.Release()
		return nil, closed
	}
	// The guard exits with an error if it could not undo everything; what is left says that better.
	_ = last.Abandon()
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
