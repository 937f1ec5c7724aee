package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/internal/testkit"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/proc"
	"chaosgate/pkg/target"
)

var eventually = testkit.Eventually

// The test binary is the guard and the runner of its own tests.
func TestMain(m *testing.M) {
	switch os.Getenv("CHAOS_TEST_AS") {
	case "guard":
		os.Exit(beGuard())
	case "runner":
		beRunner()
	default:
		os.Exit(m.Run())
	}
}

// removeFile is the undo of these tests: a change is a file, and its undo removes it.
func removeFile(_ context.Context, u target.Undo) error {
	if u.Kind == "stubborn" {
		return errors.New("it will not go")
	}
	if u.Kind == "gone" {
		return target.ErrGone
	}
	return os.Remove(u.Target.ID)
}

func beGuard() int {
	if _, err := Serve(context.Background(), os.Stdin, os.Args[1], removeFile); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// beRunner makes a change, says so, and waits to be killed.
func beRunner() {
	path, file := os.Args[1], os.Args[2]
	os.Setenv("CHAOS_TEST_AS", "guard")
	g, err := Start(os.Stderr, os.Args[0], path)
	if err != nil {
		panic(err)
	}
	w, err := journal.Create(path)
	if err != nil {
		panic(err)
	}
	begin(w)
	change(w, "change", file)
	fmt.Println(g.PID())
	select {}
}

func begin(w *journal.Writer) {
	if err := w.Append(journal.Entry{Type: journal.RunStarted, Data: journal.RunInfo{FormatVersion: journal.FormatVersion}}); err != nil {
		panic(err)
	}
}

// change records its undo and then makes the file.
func change(w *journal.Writer, kind, file string) {
	u := target.Undo{ID: filepath.Base(file), Kind: kind, Target: target.Ref{ID: file}}
	if err := w.RecordUndo("e", "s", u); err != nil {
		panic(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		panic(err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestRollbackUndoesTheNewestFirstAndGoesOnAfterAFailure(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal.jsonl")
	w, err := journal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	begin(w)
	a, b, c, d := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c"), filepath.Join(dir, "d")
	change(w, "change", a)
	change(w, "stubborn", b)
	change(w, "gone", c)
	change(w, "change", d)
	w.Close()

	var order []string
	result, err := Rollback(t.Context(), path, "rollback", func(ctx context.Context, u target.Undo) error {
		order = append(order, u.ID)
		return removeFile(ctx, u)
	})
	if err == nil || !strings.Contains(err.Error(), "it will not go") {
		t.Errorf("got %v, want the failed undo's error", err)
	}
	if !slices.Equal(order, []string{"d", "c", "b", "a", "b"}) { // what failed is tried again after the others
		t.Errorf("undone in the order %v", order)
	}
	if len(result.Done) != 3 || len(result.Pending) != 1 || result.Pending[0].ID != "b" {
		t.Errorf("done %v, pending %v", result.Done, result.Pending)
	}
	if exists(a) || exists(d) {
		t.Error("a change is still there")
	}
	events, err := journal.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if pending, _ := journal.Pending(events); len(pending) != 1 || pending[0].ID != "b" {
		t.Errorf("the journal has %v pending, want b", pending)
	}
	again, err := Rollback(t.Context(), path, "rollback", func(context.Context, target.Undo) error { return nil })
	if err != nil || len(again.Done) != 1 {
		t.Errorf("the second time: %+v, %v; want b done", again, err)
	}
}

func TestAReleasedGuardUndoesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CHAOS_TEST_AS", "guard")
	path := filepath.Join(dir, "journal.jsonl")
	w, err := journal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	begin(w)
	file := filepath.Join(dir, "kept")
	change(w, "change", file)
	w.Close()
	g, err := Start(os.Stderr, os.Args[0], path)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Release(); err != nil {
		t.Fatal(err)
	}
	if !exists(file) {
		t.Error("a released guard undid a change")
	}
	g, err = Start(os.Stderr, os.Args[0], path)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Abandon(); err != nil {
		t.Fatal(err)
	}
	if exists(file) {
		t.Error("an abandoned guard left the change")
	}
}

// A run must not wait for ever for a guard that cannot answer.
func TestAStoppedGuardIsReleased(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CHAOS_TEST_AS", "guard")
	g, err := Start(os.Stderr, os.Args[0], filepath.Join(dir, "journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(g.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the guard is stopped", func() bool { s, err := proc.ReadStat(g.PID()); return err == nil && s.Stopped() })
	if err := g.Release(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got %v, want that it was killed", err)
	}
	if !g.HasEnded() {
		t.Error("it goes on")
	}
}

// The runner is killed without warning; signals of its terminal do not reach the guard.
func TestTheGuardUndoesWhatAKilledRunnerLeft(t *testing.T) {
	dir := t.TempDir()
	path, file := filepath.Join(dir, "journal.jsonl"), filepath.Join(dir, "change")
	runner := exec.Command(os.Args[0], path, file)
	runner.Env = append(os.Environ(), "CHAOS_TEST_AS=runner")
	runner.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	runner.Stderr = os.Stderr
	out, err := runner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	guard, err := proc.Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	if !exists(file) {
		t.Fatal("the runner has not made its change")
	}
	if err := syscall.Kill(-runner.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	runner.Wait()
	eventually(t, "the change is undone", func() bool { return !exists(file) })
	eventually(t, "the guard ends", func() bool { return !guard.Alive() })
	events, err := journal.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	done, err := journal.Decode[journal.UndoResult](events[len(events)-1])
	if err != nil || done.By != "guard" || !done.Verified {
		t.Errorf("the journal ends with %+v, %v; want it undone by the guard", done, err)
	}
}

func TestTheRegistryKnowsWhichRunsMayHaveLeftSomething(t *testing.T) {
	reports := filepath.Join(t.TempDir(), "a[b]*c?") // no character of a path is a pattern
	path := filepath.Join(reports, "r1", "journal.jsonl")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := proc.Self()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Register(reports, Run{ID: "r1", Runner: self})
	if err != nil {
		t.Fatal(err)
	}
	runs, err := Runs(reports)
	if err != nil || len(runs) != 1 || runs[0] != r || !runs[0].Busy() || r.Journal != path {
		t.Fatalf("registered %+v, %v; want %+v, busy", runs, err, r)
	}
	if pending, err := r.Pending(); err != nil || len(pending) != 0 {
		t.Errorf("before its journal exists: %v, %v", pending, err)
	}
	w, err := journal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	begin(w)
	change(w, "change", filepath.Join(reports, "x"))
	w.Close()
	if pending, err := r.Pending(); err != nil || len(pending) != 1 {
		t.Errorf("with a change: %v, %v; want one pending", pending, err)
	}
	dead := Run{Runner: proc.ID{PID: self.PID, Start: self.Start + 1}}
	if dead.Busy() {
		t.Error("a process that took over a dead runner's number counts as the runner")
	}
	if err := r.Forget(); err != nil {
		t.Fatal(err)
	}
	if err := r.Forget(); err != nil {
		t.Errorf("forgetting twice: %v", err)
	}
	if runs, err := Runs(reports); err != nil || len(runs) != 0 {
		t.Errorf("after forgetting: %v, %v", runs, err)
	}
	if runs, err := Runs(filepath.Join(reports, "none")); err != nil || len(runs) != 0 {
		t.Errorf("without a folder: %v, %v", runs, err)
	}
}

// A checkout may be moved, or be reached by another path, and its runs can still be rolled back; and whatever an entry says, no journal elsewhere is touched.
func TestTheJournalIsInTheFolderOfTheEntrysName(t *testing.T) {
	before, after := filepath.Join(t.TempDir(), "before"), filepath.Join(t.TempDir(), "after")
	if _, err := Register(before, Run{ID: "r1"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(before, after); err != nil {
		t.Fatal(err)
	}
	entry := func(id string) string { return filepath.Join(after, Registry, id+".json") }
	if err := os.WriteFile(entry("r2"), []byte(`{"run_id":"../x","journal":"/tmp/elsewhere/journal.jsonl"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	runs, err := Runs(after)
	if err != nil || len(runs) != 2 {
		t.Fatalf("got %+v, %v", runs, err)
	}
	for i, id := range []string{"r1", "r2"} {
		if want := filepath.Join(after, id, "journal.jsonl"); runs[i].ID != id || runs[i].Journal != want {
			t.Errorf("got %s with %s, want %s with %s", runs[i].ID, runs[i].Journal, id, want)
		}
	}
	for _, id := range []string{"", ".", ".."} {
		if err := os.WriteFile(entry(id), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if runs, err := Runs(after); err == nil {
			t.Errorf("the id %q was taken: %+v", id, runs)
		}
		if err := os.Remove(entry(id)); err != nil {
			t.Fatal(err)
		}
	}
}

// The undo of a fault may fail until that of its environment, which is older, has taken everything away.
func TestWhatFailsIsTriedAgainAfterTheOthers(t *testing.T) {
	dir := t.TempDir()
	path, file := filepath.Join(dir, "journal.jsonl"), filepath.Join(dir, "environment")
	w, err := journal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	begin(w)
	change(w, "change", file)
	change(w, "fault", filepath.Join(dir, "fault"))
	w.Close()
	result, err := Rollback(t.Context(), path, "rollback", func(ctx context.Context, u target.Undo) error {
		if u.Kind == "fault" && exists(file) {
			return errors.New("its service is in the way")
		}
		return removeFile(ctx, u)
	})
	if err != nil || len(result.Done) != 2 || len(result.Pending) != 0 {
		t.Errorf("got %+v, %v; want both done", result, err)
	}
	events, err := journal.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if pending, err := journal.Pending(events); err != nil || len(pending) != 0 {
		t.Errorf("pending %v, %v", pending, err)
	}
}

// A user asks for a rollback while the guard is at it, or asks twice.
func TestRollbacksOfOneJournalTakeTurns(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal.jsonl")
	w, err := journal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	begin(w)
	for i := range 20 {
		change(w, "change", filepath.Join(dir, fmt.Sprint(i)))
	}
	w.Close()
	var all sync.WaitGroup
	var done atomic.Int32
	for range 4 {
		all.Go(func() {
			result, err := Rollback(context.Background(), path, "rollback", removeFile)
			if err != nil {
				t.Error(err)
			}
			done.Add(int32(len(result.Done)))
		})
	}
	all.Wait()
	events, err := journal.ReadFile(path)
	if err != nil || len(events) != 1+20+20 || done.Load() != 20 {
		t.Errorf("%d events, %v, %d undos done; want each done once", len(events), err, done.Load())
	}
}

func TestNothingIsLeftOfARunThatDiedBeforeItsFirstEvent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	w, err := journal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if result, err := Rollback(t.Context(), path, "guard", removeFile); err != nil || len(result.Done)+len(result.Pending) != 0 {
		t.Errorf("got %+v, %v", result, err)
	}
}

// An undo that starts a slow service has the time for it; any other is given up as soon as ever.
func TestAnUndoHasTheTimeOfWhatItStarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	w, err := journal.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	begin(w)
	const slow = 5 * time.Minute
	for id, ready := range map[string]time.Duration{"stop": slow, "pause": 0} {
		if err := w.RecordUndo("e", id, target.Undo{ID: id, Ready: target.Duration(ready)}); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	has := map[string]time.Duration{}
	_, err = Rollback(t.Context(), path, "guard", func(ctx context.Context, u target.Undo) error {
		deadline, _ := ctx.Deadline()
		has[u.ID] = time.Until(deadline)
		return nil
	})
	if err != nil || has["pause"] <= 0 || has["pause"] > undoTimeout || has["stop"] <= slow || has["stop"] > slow+undoTimeout {
		t.Errorf("they had %v, %v; want at most %v, and more than %v", has, err, undoTimeout, slow)
	}
}
