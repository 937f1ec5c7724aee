package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"chaosgate/pkg/target"
)

func started(t *testing.T, path string, observers ...Observer) *Writer {
	t.Helper()
	w, err := Create(path, observers...)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(Entry{Type: RunStarted, Data: RunInfo{FormatVersion: FormatVersion, RunID: "r1"}}); err != nil {
		t.Fatal(err)
	}
	return w
}

func journalPath(t *testing.T) string { return filepath.Join(t.TempDir(), "journal.jsonl") }

func TestWrittenEventsReadBackInOrder(t *testing.T) {
	path := journalPath(t)
	var seen []int64
	w := started(t, path, func(e Event) { seen = append(seen, e.Seq) })
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			if err := w.Append(Entry{Type: StepStarted, Experiment: "e", Step: fmt.Sprint(i), Attempt: 1}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	events, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 201 || len(seen) != 201 {
		t.Fatalf("read %d events, observed %d, want 201 each", len(events), len(seen))
	}
	for i, e := range events[1:] {
		if e.Mono < events[i].Mono {
			t.Fatalf("event %d is earlier than the one before it", e.Seq)
		}
	}
	if err := w.Append(Entry{Type: StepStarted}); err == nil {
		t.Error("a closed journal took an event")
	}
}

func TestCreateRefusesAnExistingFile(t *testing.T) {
	path := journalPath(t)
	if err := started(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("got %v, want %v", err, os.ErrExist)
	}
}

func TestTornLastLineIsCutAndTheRestKept(t *testing.T) {
	path := journalPath(t)
	w := started(t, path)
	undo := target.Undo{ID: "u1", Kind: "service.pause"}
	if err := w.RecordUndo("e", "s", undo); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"seq":3,"type":"undo.do`); err != nil {
		t.Fatal(err)
	}
	f.Close()

	resumed, events, err := Resume(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	pending, err := Pending(events)
	if err != nil || len(pending) != 1 || pending[0].ID != "u1" || pending[0].Step != "s" {
		t.Fatalf("pending %v, %v; want u1 of step s", pending, err)
	}
	if err := resumed.Append(Entry{Type: UndoDone, Data: UndoResult{ID: "u1", Verified: true, By: "guard"}}); err != nil {
		t.Fatal(err)
	}
	if err := resumed.Close(); err != nil {
		t.Fatal(err)
	}
	events, err = ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if pending, _ := Pending(events); len(events) != 3 || len(pending) != 0 {
		t.Errorf("%d events, pending %v; want 3 and none", len(events), pending)
	}
	if events[2].Mono < events[1].Mono {
		t.Error("time runs backwards in the resumed journal")
	}
}

func TestPendingIsNewestFirstAndKeepsTheUnverified(t *testing.T) {
	path := journalPath(t)
	w := started(t, path)
	for _, id := range []string{"a", "b", "c"} {
		if err := w.RecordUndo("e", "s", target.Undo{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	done := []UndoResult{{ID: "b", Verified: true}, {ID: "c", Verified: false, Error: "no answer"}}
	for _, d := range done {
		if err := w.Append(Entry{Type: UndoDone, Data: d}); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	events, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pending, err := Pending(events)
	if err != nil || len(pending) != 2 || pending[0].ID != "c" || pending[1].ID != "a" {
		t.Errorf("got %v, %v; want c, a", pending, err)
	}
}

func TestReadRefusesWhatIsNotAJournal(t *testing.T) {
	first := `{"seq":1,"type":"run.started","data":{"format_version":"1"}}` + "\n"
	for name, text := range map[string]string{
		"not JSON":        "hello\n",
		"garbage between": first + "garbage\n" + `{"seq":3}` + "\n",
		"missing line":    first + `{"seq":3,"type":"step.started"}` + "\n",
		"doubled line":    first + first,
		"other beginning": `{"seq":1,"type":"step.started"}` + "\n",
		"newer format":    strings.Replace(first, `"1"}`, `"2"}`, 1),
	} {
		if _, err := Read(strings.NewReader(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: got %v, want ErrFormat", name, err)
		}
	}
	if events, err := Read(strings.NewReader(strings.TrimSpace(first))); err != nil || len(events) != 0 {
		t.Errorf("only a torn line: got %d events and %v, want none", len(events), err)
	}
}

// fullDisk takes some bytes and then fails, as a full disk does.
type fullDisk struct {
	room    int
	syncErr error
}

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > d.room {
		return d.room, errors.New("no space left on device")
	}
	d.room -= len(p)
	return len(p), nil
}
func (d *fullDisk) Sync() error  { return d.syncErr }
func (d *fullDisk) Close() error { return nil }

func TestNothingIsRecordedAfterAFailedWrite(t *testing.T) {
	disk := &fullDisk{room: 300}
	observed := 0
	w := newWriter(disk, func(Event) { observed++ })
	var err error
	n := 0
	for ; err == nil && n < 100; n++ {
		err = w.RecordUndo("e", "s", target.Undo{ID: "u"})
	}
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Fatalf("got %v, want the disk's error", err)
	}
	disk.room = 1 << 20
	if again := w.Append(Entry{Type: StepStarted}); again == nil {
		t.Error("the journal went on after a hole")
	}
	if observed != n-1 {
		t.Errorf("observers saw %d events, %d were written", observed, n-1)
	}
}

func TestAnUndoThatIsNotOnDiskIsAnError(t *testing.T) {
	w := newWriter(&fullDisk{room: 1 << 20, syncErr: errors.New("input/output error")})
	if err := w.RecordUndo("e", "s", target.Undo{ID: "u"}); err == nil || !strings.Contains(err.Error(), "input/output") {
		t.Errorf("got %v, want the sync's error", err)
	}
}

// Two processes that roll the same run back would write over each other.
func TestOnlyOneWritesAJournal(t *testing.T) {
	path := journalPath(t)
	w := started(t, path)
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no patience"))
	if _, _, err := Resume(ended, path); err == nil || !strings.Contains(err.Error(), "another process writes it: no patience") {
		t.Errorf("while its writer was at work: got %v", err)
	}
	second := make(chan error)
	go func() {
		resumed, events, err := Resume(t.Context(), path)
		if err == nil && len(events) != 2 {
			err = fmt.Errorf("it read %d events, want 2: it did not wait for the writer", len(events))
		}
		if err == nil {
			err = resumed.Close()
		}
		second <- err
	}()
	if err := w.Append(Entry{Type: RunEnded, Data: Outcome{OK: true}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Error(err)
	}
}

func TestAnEmptyJournalIsToldApart(t *testing.T) {
	path := journalPath(t)
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, _, err := Resume(t.Context(), path); !errors.Is(err, ErrEmpty) {
		t.Errorf("got %v, want ErrEmpty", err)
	}
}
