package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestLeftByDead(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a[b") // no pattern, whatever it looks like
	const dead = 1 << 30                        // no kernel gives a process such an id
	for _, name := range []string{fmt.Sprintf("run-%d-x", os.Getpid()), fmt.Sprintf("run-%d-x", dead), fmt.Sprintf("other-%d-x", dead)} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	left, err := LeftByDead(folder, "run-")
	if want := []string{filepath.Join(folder, fmt.Sprintf("run-%d-x", dead))}; err != nil || !slices.Equal(left, want) {
		t.Errorf("got %v, %v; want %v", left, err, want)
	}
	if _, err := LeftByDead(filepath.Join(folder, "none"), "run-"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}
