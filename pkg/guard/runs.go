package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/proc"
)

// Run is a run that has started and has not yet ended with nothing left to undo.
type Run struct {
	ID      string  `json:"run_id"`
	Journal string  `json:"-"` // in the run's folder, wherever the reports folder is now
	Runner  proc.ID `json:"runner"`
	Guard   proc.ID `json:"guard"`
	// Programs is the folder of the programs that were copied for this run; "" if there is none.
	Programs string `json:"programs,omitempty"`

	file string
}

// Registry is the folder, inside the reports folder, with one file for each run that may have something to undo.
const Registry = ".running"

// JournalFile is a run's journal, in the folder that is named after the run.
const JournalFile = "journal.jsonl"

// entrySuffix ends the name of a run's file; what else is in the folder is on its way to become one.
const entrySuffix = ".json"

// Register records a run on disk before it changes anything, and answers it with the place of its journal.
func Register(reports string, r Run) (Run, error) {
	dir := filepath.Join(reports, Registry)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return r, fmt.Errorf("register the run: %w", err)
	}
	r.place(reports, r.ID)
	text, err := json.Marshal(r)
	if err != nil {
		return r, fmt.Errorf("register the run: %w", err)
	}
	if err := writeSynced(r.file, text); err != nil {
		return r, fmt.Errorf("register the run: %w", err)
	}
	return r, nil
}

// place makes it the run of that id in a reports folder.
func (r *Run) place(reports, id string) {
	r.ID, r.Journal, r.file = id, filepath.Join(reports, id, JournalFile), filepath.Join(reports, Registry, id+entrySuffix)
}

// writeSynced replaces a file at once, so that nobody ever reads half of it.
func writeSynced(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Forget removes a run from the registry: nothing is left to undo.
func (r Run) Forget() error {
	err := os.Remove(r.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Pending answers what the run has left to undo.
func (r Run) Pending() ([]journal.PendingUndo, error) {
	events, err := journal.ReadFile(r.Journal)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(events) == 0 {
		return nil, nil // it died before it had changed anything
	}
	if err != nil {
		return nil, err
	}
	return journal.Pending(events)
}

// Busy says whether the run, or the guard that cleans up after it, is still alive.
func (r Run) Busy() bool { return r.Runner.Alive() || r.Guard.Alive() }

// Runs answers the registered runs, sorted by id.
func Runs(reports string) ([]Run, error) {
	dir := filepath.Join(reports, Registry)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the runs: %w", err)
	}
	var runs []Run
	for _, entry := range entries {
		id, ok := strings.CutSuffix(entry.Name(), entrySuffix)
		if !ok {
			continue
		}
		r, err := readRun(reports, id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just ended
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, entry.Name()), err)
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// readRun reads a run's entry. The entry's name says whose it is, and not what is in it: so a reports folder that was moved, or is reached by another path, is as good
// as before, and no entry names a journal elsewhere.
func readRun(reports, id string) (Run, error) {
	var r Run
	if id == "" || strings.HasPrefix(id, ".") {
		return r, fmt.Errorf("%q cannot be a run's id", id)
	}
	text, err := os.ReadFile(filepath.Join(reports, Registry, id+entrySuffix))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	r.place(reports, id)
	return r, err
}
