package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chaosgate/pkg/journal"
)

// Somebody tidies up while a run is under way. What is not on record cannot be judged, nor can it be seen that all of it was taken back.
func TestTheRecordIsTakenAwayFromARun(t *testing.T) {
	for name, c := range map[string]struct {
		exit int
		away func(*testing.T, string)
	}{
		"the journal is removed":  {6, func(t *testing.T, path string) { must(t, os.Remove(path)) }},
		"the reports are removed": {6, func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Dir(filepath.Dir(path)))) }},
		"the journal is moved":    {6, func(t *testing.T, path string) { must(t, os.Rename(path, path+".old")) }},
		"another one is in its place": {5, func(t *testing.T, path string) { // the guard reads it, undoes what is pending in it, and finds nothing left
			text, err := os.ReadFile(path)
			must(t, err)
			must(t, os.Remove(path))
			must(t, os.WriteFile(path, text, 0o600))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			s := p.start("run", "long.yaml")
			p.waitFor(journal.FaultActive)
			found, _ := filepath.Glob(filepath.Join(p.dir, "reports", "*", journalFile))
			c.away(t, strings.Join(found, ""))
			s.ends(c.exit)
			contains(t, s.stderr.String(), "was removed or replaced")
			p.nothingIsLeft()
		})
	}
}
