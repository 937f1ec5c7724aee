package sqlitefile

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"chaosgate/pkg/internal/testkit"
)

// FuzzHeader marks any file as read-only and takes that back. A file that is refused is not touched; of one that is marked nothing but the write version and the
// counters of changes differ, and afterwards not even the write version.
func FuzzHeader(f *testing.F) {
	header := func(write, read byte, size int) []byte {
		h := make([]byte, size)
		copy(h, magic)
		h[writeVersion], h[readVersion] = write, read
		return h
	}
	f.Add(header(1, 1, 4096))
	f.Add(header(2, 2, 4096))
	f.Add(header(3, 1, 100))
	f.Add(header(0, 0, 101))
	f.Add(header(1, 1, 4096)[:99])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, before []byte) {
		if len(before) > 1<<16 {
			return
		}
		path := filepath.Join(t.TempDir(), "db")
		testkit.Must(t, os.WriteFile(path, before, 0o600))
		checked := CheckMarkable(t.Context(), path)
		err := MarkReadOnly(t.Context(), path)
		marked, readErr := os.ReadFile(path)
		testkit.Must(t, readErr)
		switch {
		case (checked == nil) != (err == nil):
			t.Fatalf("it was checked with %v and marked with %v", checked, err)
		case err != nil && !bytes.Equal(before, marked):
			t.Fatal("it was refused and changed")
		case err != nil:
			return
		case marked[writeVersion] != readOnlyVersion:
			t.Errorf("it was marked and has the write version %d", marked[writeVersion])
		}
		testkit.Must(t, ClearReadOnly(t.Context(), path))
		after, readErr := os.ReadFile(path)
		testkit.Must(t, readErr)
		if !bytes.Equal(masked(before), masked(after)) || after[writeVersion] != before[writeVersion] {
			t.Error("it is not what it was")
		}
	})
}

// masked leaves out the counters of changes.
func masked(file []byte) []byte {
	file = bytes.Clone(file)
	clear(file[changeCount : changeCount+4])
	clear(file[validFor : validFor+4])
	return file
}
