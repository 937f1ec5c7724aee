package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"chaosgate/pkg/target"
)

// maxLine bounds one event; the largest real ones are charts of well under a megabyte.
const maxLine = 64 << 20

// ErrFormat means that a file is not a journal, or one of a newer format.
var ErrFormat = errors.New("not a journal that this version reads")

// ReadFile reads a journal to its last whole line.
func ReadFile(path string) ([]Event, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	defer f.Close()
	events, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return events, nil
}

// Read reads a journal to its last whole line: a line without its end is what a killed writer leaves, and is no error.
// Anything else that is not an event, or a gap in the numbers, is.
func Read(r io.Reader) ([]Event, error) {
	events, _, err := read(r)
	return events, err
}

// read also answers how many bytes the whole lines take.
func read(r io.Reader) (events []Event, whole int64, err error) {
	in := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := readLine(in)
		if err == io.EOF {
			return events, whole, nil
		}
		if err != nil {
			return events, whole, fmt.Errorf("line %d: %w", len(events)+1, err)
		}
		event, err := parseLine(line, len(events)+1)
		if err != nil {
			return events, whole, err
		}
		events = append(events, event)
		whole += int64(len(line)) + 1
	}
}

// readLine answers a line without its end, or io.EOF when no whole line is left.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if err == nil {
			return line[:len(line)-1], nil
		}
		if err != bufio.ErrBufferFull {
			return nil, err
		}
		if len(line) > maxLine {
			return nil, fmt.Errorf("%w: it is longer than %d MiB", ErrFormat, maxLine>>20)
		}
	}
}

func parseLine(line []byte, number int) (Event, error) {
	var event Event
	if err := json.Unmarshal(line, &event); err != nil {
		return event, fmt.Errorf("%w: line %d: %v", ErrFormat, number, err)
	}
	if event.Seq != int64(number) {
		return event, fmt.Errorf("%w: line %d has number %d: lines are missing or doubled", ErrFormat, number, event.Seq)
	}
	if number == 1 {
		return event, checkFormat(event)
	}
	return event, nil
}

func checkFormat(first Event) error {
	if first.Type != RunStarted {
		return fmt.Errorf("%w: it begins with %q, expected %q", ErrFormat, first.Type, RunStarted)
	}
	info, err := Decode[RunInfo](first)
	if err != nil {
		return err
	}
	if info.FormatVersion != FormatVersion {
		return fmt.Errorf("%w: format version %q, expected %q", ErrFormat, info.FormatVersion, FormatVersion)
	}
	return nil
}

// Decode reads an event's data as the type its Type says.
func Decode[T any](e Event) (T, error) {
	var v T
	if err := json.Unmarshal(e.Data, &v); err != nil {
		return v, fmt.Errorf("%w: event %d (%s): %v", ErrFormat, e.Seq, e.Type, err)
	}
	return v, nil
}

// DecodeNew is Decode into a new value that to points to afterwards, also after an error.
func DecodeNew[T any](e Event, to **T) error {
	v, err := Decode[T](e)
	*to = &v
	return err
}

// DecodeAppend is Decode with the value added to a list, also after an error.
func DecodeAppend[T any](e Event, to *[]T) error {
	v, err := Decode[T](e)
	*to = append(*to, v)
	return err
}

// PendingUndo is an undo that is not verified as done, and where it came from.
type PendingUndo struct {
	target.Undo
	Experiment string
	Step       string
}

// Pending answers the undos without a verified end, the newest first: the order in which they are to be done.
func Pending(events []Event) ([]PendingUndo, error) {
	var pending []PendingUndo
	for _, e := range events {
		switch e.Type {
		case UndoRecorded:
			undo, err := Decode[target.Undo](e)
			if err != nil {
				return nil, err
			}
			pending = append(pending, PendingUndo{Undo: undo, Experiment: e.Experiment, Step: e.Step})
		case UndoDone:
			result, err := Decode[UndoResult](e)
			if err != nil {
				return nil, err
			}
			if result.Verified {
				pending = slices.DeleteFunc(pending, func(p PendingUndo) bool { return p.ID == result.ID })
			}
		}
	}
	slices.Reverse(pending)
	return pending, nil
}
