package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/mask"
	"chaosgate/pkg/target"
)

// Writer appends events to a journal file, one write per event, so that a killed process loses at most the line it was writing.
// It is safe for concurrent use. After the first failed write every further Append fails with the same error: a run that cannot
// be recorded must not go on.
type Writer struct {
	mu        sync.Mutex
	file      file
	path      string      // where others look for the file
	opened    os.FileInfo // of that file; nil if nobody looks for it
	seq       int64
	start     time.Time
	observers []Observer
	secrets   *mask.Set
	failed    error
}

// Hide takes secrets out of the data of every event from here on.
func (w *Writer) Hide(secrets *mask.Set) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets = secrets
}

// file is what a Writer needs of an *os.File; tests put a full disk in its place.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

// Observer sees each event after it was written, in order. It must return quickly and must not call the Writer.
type Observer func(Event)

// Create makes a new journal; the file must not exist yet.
func Create(path string, observers ...Observer) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create the journal: %w", err)
	}
	if err := lock(context.Background(), f); err != nil { // nobody else can know the file yet
		return nil, errors.Join(fmt.Errorf("create the journal: %w", err), f.Close())
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create the journal: %w", err), f.Close())
	}
	w := newWriter(f, observers...)
	w.path, w.opened = path, info
	return w, nil
}

// lock makes this the only process that writes a journal: two that roll the same run back at once would write over each other. It waits until ctx ends; a writer
// that was killed holds its lock for moments still. The lock ends with the open file, so with its process.
func lock(ctx context.Context, f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock it: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("another process writes it: %w", context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func newWriter(f file, observers ...Observer) *Writer {
	return &Writer{file: f, start: time.Now(), observers: observers}
}

// ErrEmpty means that a journal holds no event: its run died before it had done anything.
var ErrEmpty = errors.New("it holds no event")

// Resume opens the journal of a run that has ended or died, to append to it; while another process does that it waits, until ctx ends. A torn last line is cut off.
// The events so far are returned.
func Resume(ctx context.Context, path string, observers ...Observer) (*Writer, []Event, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open the journal: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open the journal: %w", err), f.Close())
	}
	var events []Event
	var whole int64
	err = lock(ctx, f)
	if err == nil {
		events, whole, err = read(f)
	}
	if err == nil && len(events) == 0 {
		err = ErrEmpty
	}
	if err == nil {
		err = f.Truncate(whole)
	}
	if err == nil {
		_, err = f.Seek(whole, io.SeekStart)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("resume the journal %s: %w", path, err), f.Close())
	}
	w := newWriter(f, observers...)
	last := events[len(events)-1]
	w.path, w.opened, w.seq = path, info, last.Seq
	w.start = resumedStart(events[0], last)
	return w, events, nil
}

// resumedStart keeps Mono increasing in a resumed journal even if the wall clock was set back since.
func resumedStart(first, last Event) time.Time {
	now := time.Now()
	since := now.Sub(first.Time) + first.Mono
	return now.Add(-max(since, last.Mono))
}

// Entry is an event to be written; the Writer adds number and times.
type Entry struct {
	Type       Type
	Experiment string
	Step       string
	Attempt    int
	Data       any // marshalled as JSON; nil for none
}

// Append writes one event. It is not synced to disk: that is for Undo records, see RecordUndo.
func (w *Writer) Append(e Entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.append(e)
}

// RecordUndo writes an undo and returns only when it is on disk. If it fails, the change must not be made.
func (w *Writer) RecordUndo(experiment, step string, u target.Undo) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.append(Entry{Type: UndoRecorded, Experiment: experiment, Step: step, Data: u}); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		w.failed = fmt.Errorf("sync the journal: %w", err)
	}
	return w.failed
}

func (w *Writer) append(e Entry) error {
	if err := w.usable(); err != nil {
		return err
	}
	event, err := w.event(e)
	if err != nil {
		return err
	}
	line, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("journal event %s: %w", e.Type, err)
	}
	if _, err := w.file.Write(append(line, '\n')); err != nil {
		w.failed = fmt.Errorf("write the journal: %w", err)
		return w.failed
	}
	w.seq = event.Seq
	for _, o := range w.observers {
		o(event)
	}
	return nil
}

// Usable answers why nothing can be recorded any more; nil while it can, as far as that can be seen without writing.
func (w *Writer) Usable() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.usable()
}

func (w *Writer) usable() error {
	if w.failed == nil {
		w.failed = w.inPlace()
	}
	return w.failed
}

// inPlace is an error if the file is not at its path any more: then nobody who is to take a change back would find its undo.
func (w *Writer) inPlace() error {
	if w.opened == nil {
		return nil
	}
	there, err := os.Stat(w.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for the journal: %w", err)
	}
	if err != nil || !os.SameFile(w.opened, there) {
		return fmt.Errorf("the journal %s was removed or replaced under way", w.path)
	}
	return nil
}

func (w *Writer) event(e Entry) (Event, error) {
	now := time.Now()
	event := Event{
		Seq: w.seq + 1, Time: now.UTC(), Mono: now.Sub(w.start),
		Type: e.Type, Experiment: e.Experiment, Step: e.Step, Attempt: e.Attempt,
	}
	if e.Data == nil {
		return event, nil
	}
	data, err := json.Marshal(e.Data)
	if err != nil {
		return event, fmt.Errorf("journal event %s: %w", e.Type, err)
	}
	event.Data, err = w.hidden(e.Type, data)
	return event, err
}

// hidden is data without secrets. An undo must be carried out as it was written, so one that would have to be changed is an error, and with it the change that it
// would take back.
func (w *Writer) hidden(t Type, data []byte) ([]byte, error) {
	masked, err := w.secrets.JSON(data)
	if err != nil {
		return nil, fmt.Errorf("journal event %s: %w", t, err)
	}
	if t == UndoRecorded && !bytes.Equal(masked, data) {
		return nil, errors.New("what has to be undone has a secret in it, so it cannot be recorded")
	}
	return masked, nil
}

// Close syncs and closes the file. It does not hide an earlier failure.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := errors.Join(w.failed, w.file.Sync(), w.file.Close())
	if w.failed == nil {
		w.failed = errors.New("the journal is closed")
	}
	return err
}
