package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chaosgate/pkg/guard"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/proc"
	"chaosgate/pkg/target"
	"chaosgate/pkg/target/process"
	"chaosgate/pkg/verdict"
)

// A checkout that was moved after a run had died, or is reached by another path, can be rolled back as before.
func TestAMovedCheckoutIsRolledBack(t *testing.T) {
	top := t.TempDir()
	before, after, link := filepath.Join(top, "before"), filepath.Join(top, "after"), filepath.Join(top, "link")
	_, err := guard.Register(before, guard.Run{ID: "r1"})
	must(t, err)
	must(t, os.Mkdir(filepath.Join(before, "r1"), 0o755))
	w, err := journal.Create(filepath.Join(before, "r1", journalFile))
	must(t, err)
	must(t, w.Append(journal.Entry{Type: journal.RunStarted, Data: journal.RunInfo{FormatVersion: journal.FormatVersion, RunID: "r1"}}))
	must(t, w.RecordUndo("e", "", target.Undo{ID: "environment:e", Kind: "process.environment"}))
	must(t, w.Close())
	must(t, os.Rename(before, after))
	must(t, os.Symlink(after, link))
	for _, reports := range []string{after, link} {
		left, err := leftovers(t.Context(), reports)
		if err != nil || len(left) != 1 || left[0].ID != "r1" || len(left[0].pending) != 1 {
			t.Errorf("%s: got %+v, %v", filepath.Base(reports), left, err)
		}
		path := filepath.Join(reports, "r1", journalFile)
		if l, err := leftoverOf(path); err != nil || l.Journal != path || l.Run != left[0].Run {
			t.Errorf("%s: the journal's own run is %+v, %v", filepath.Base(reports), l.Run, err)
		}
	}
	last := filepath.Join(top, "last") // beside no registry
	must(t, os.Symlink(filepath.Join(after, "r1"), last))
	if l, err := leftoverOf(filepath.Join(last, journalFile)); err != nil || l.ID != "r1" || l.Journal != filepath.Join(after, "r1", journalFile) {
		t.Errorf("by a link to its folder the run is %+v, %v", l.Run, err)
	}
}

// What a run has on disk and cannot be removed is an error of the rollback, and none of the command line, in whatever way the run was found.
func TestARunThatCannotBeForgotten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r1", journalFile)
	must(t, os.Mkdir(filepath.Dir(path), 0o755))
	w, err := journal.Create(path)
	must(t, err)
	must(t, w.Append(journal.Entry{Type: journal.RunStarted, Data: journal.RunInfo{FormatVersion: journal.FormatVersion, RunID: "r1"}}))
	data := json.RawMessage(`{"marker":"` + proc.Marker("r1/e") + `","work_dir":"` + filepath.Join(dir, "chaos-gone") + `"}`)
	must(t, w.RecordUndo("e", "", target.Undo{ID: "environment:e", Kind: process.UndoKind, Data: data, Target: target.Ref{Runtime: process.RuntimeName}}))
	must(t, w.Close())
	dead, err := os.ReadFile(path)
	must(t, err)
	for _, args := range [][]string{{"rollback", "--reports", dir}, {"rollback", path}} {
		must(t, os.WriteFile(path, dead, 0o600))
		for _, says := range []string{"undone: process.environment", "nothing is left to undo"} {
			_, err := guard.Register(dir, guard.Run{ID: "r1", Programs: "/not/ours"})
			must(t, err)
			var said strings.Builder
			code := runMain(system{args: args, stdout: &said, stderr: &said, env: os.Getenv, dir: dir})
			if code != verdict.ExitError {
				t.Errorf("%v: exit code %d, want %d", args, code, verdict.ExitError)
			}
			contains(t, said.String(), says)
			contains(t, said.String(), `"/not/ours" is not removed`)
			contains(t, said.String(), textNotForgottenHint)
		}
	}
}

// No character of the path to a project is a pattern.
func TestAProjectInAFolderThatLooksLikeAPattern(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `a[b]*c?\d`)
	dead := filepath.Join(dir, workFolder, runBinPrefix+"999999999-1")
	must(t, os.MkdirAll(dead, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "pass.yaml"), nil, 0o600))
	must(t, removeDeadBuilds(filepath.Join(dir, workFolder)))
	if _, err := os.Stat(dead); err == nil {
		t.Error("the programs of a dead run are left")
	}
	files, problem := filesLike(system{dir: dir}, "p*.yaml")
	if problem != nil || !slices.Equal(files, []string{"pass.yaml"}) {
		t.Errorf("got %q, %v", files, problem)
	}
}
