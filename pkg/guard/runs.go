package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/proc"
)

// Run is a run that has started and has not yet ended with nothing left to undo.
type Run struct {
	ID      string  `json:"run_id"`
	Journal string  `json:"journal"` // absolute
	Runner  proc.ID `json:"runner"`
	Guard   proc.ID `json:"guard"`
	// Programs is the folder of the programs that were copied for this run; "" if there is none.
	Programs string `json:"programs,omitempty"`

	file string
}

// Registry is the folder, inside the reports folder, with one file for each run that may have something to undo.
const Registry = ".running"

// Register records a run on disk before it changes anything.
func Register(reports string, r Run) (Run, error) {
	dir := filepath.Join(reports, Registry)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return r, fmt.Errorf("register the run: %w", err)
	}
	r.file = filepath.Join(dir, r.ID+".json")
	text, err := json.Marshal(r)
	if err != nil {
		return r, fmt.Errorf("register the run: %w", err)
	}
	if err := writeSynced(r.file, text); err != nil {
		return r, fmt.Errorf("register the run: %w", err)
	}
	return r, nil
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
	files, err := filepath.Glob(filepath.Join(reports, Registry, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list the runs: %w", err)
	}
	slices.Sort(files)
	var runs []Run
	for _, file := range files {
		r, err := readRun(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just ended
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		runs = append(runs, r)
	}
	return runs, nil
}

func readRun(file string) (Run, error) {
	r := Run{file: file}
	text, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}
