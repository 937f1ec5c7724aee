package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"chaosgate/pkg/internal/testkit"
)

// recorded is the journal of a real run whose runner was killed.
func recorded(f *testing.F) []byte {
	text, err := os.ReadFile("../report/testdata/killed.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	return text
}

// FuzzRead reads anything. What is taken for a journal has its events in the order of their numbers, without a gap, and reads the same again when it is written.
func FuzzRead(f *testing.F) {
	text := recorded(f)
	f.Add(text)
	f.Add(text[:len(text)/2])
	lines := bytes.SplitAfter(text, []byte("\n"))
	f.Add(bytes.Join(slices.Delete(slices.Clone(lines), 3, 4), nil))
	f.Add(bytes.Join(append(slices.Clone(lines[:4]), lines[3]), nil))
	f.Add(bytes.Replace(text, []byte(`"format_version":"1"`), []byte(`"format_version":"2"`), 1))
	f.Add(append(slices.Clone(text), make([]byte, 100)...))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		events, err := Read(bytes.NewReader(text))
		if whole := bytes.Count(text, []byte("\n")); err == nil && len(events) != whole {
			t.Fatalf("%d events in %d whole lines, and no error", len(events), whole)
		}
		if len(events) > 0 && events[0].Type != RunStarted {
			t.Errorf("a journal that begins with %q was taken", events[0].Type)
		}
		var again bytes.Buffer
		for i, e := range events {
			if e.Seq != int64(i+1) {
				t.Fatalf("event %d has number %d", i+1, e.Seq)
			}
			line, err := json.Marshal(e)
			if err != nil {
				t.Fatalf("event %d was read and cannot be written: %v", i+1, err)
			}
			again.Write(append(line, '\n'))
		}
		if second, err := Read(&again); err != nil || len(second) != len(events) {
			t.Errorf("what was read does not read again: %d of %d events, %v", len(second), len(events), err)
		}
		if _, err := Pending(events); err != nil {
			return
		}
	})
}

// FuzzReadDamaged cuts a real journal off anywhere and changes one byte of it, as a disk does. It reads to its last whole line, or not at all: what was read stands in
// it, at its place. It can be resumed if and only if it can be read, and then goes on behind its last whole line.
func FuzzReadDamaged(f *testing.F) {
	text := recorded(f)
	whole, err := Read(bytes.NewReader(text))
	if err != nil {
		f.Fatal(err)
	}
	for _, at := range []uint16{0, 1, 100, 600, 5000, 12000} {
		f.Add(at, at/2, byte(0))
		f.Add(uint16(len(text)), at, byte(1))
		f.Add(at, at-1, byte('\n'))
	}
	f.Fuzz(func(t *testing.T, end, at uint16, flip byte) {
		damaged := slices.Clone(text[:min(int(end), len(text))])
		if int(at) < len(damaged) {
			damaged[at] ^= flip
		}
		events, err := Read(bytes.NewReader(damaged))
		hit := bytes.Count(damaged[:min(int(at), len(damaged))], []byte("\n"))
		for i, e := range events {
			if e.Seq != int64(i+1) || i != hit && (e.Type != whole[i].Type || !bytes.Equal(e.Data, whole[i].Data) || e.Mono != whole[i].Mono) {
				t.Fatalf("line %d reads as %+v", i+1, e)
			}
		}
		path := filepath.Join(t.TempDir(), "journal.jsonl")
		testkit.Must(t, os.WriteFile(path, damaged, 0o600))
		w, resumed, resumeErr := Resume(context.Background(), path)
		if (resumeErr == nil) != (err == nil && len(events) > 0) {
			t.Fatalf("it reads with %v and resumes with %v", err, resumeErr)
		}
		if resumeErr != nil {
			return
		}
		testkit.Must(t, w.Append(Entry{Type: RunEnded, Data: Outcome{}}))
		testkit.Must(t, w.Close())
		again, err := ReadFile(path)
		if err != nil || len(again) != len(resumed)+1 || again[len(again)-1].Mono < resumed[len(resumed)-1].Mono {
			t.Errorf("after it was resumed: %d events instead of %d, %v", len(again), len(resumed)+1, err)
		}
	})
}
