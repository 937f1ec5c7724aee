package proc

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// LeftByDead answers what stands in a folder under a name that begins with a prefix and the id of a process that is no more ("PREFIX123-..."), as paths.
func LeftByDead(folder, prefix string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	var left []string
	for _, entry := range entries {
		name, ours := strings.CutPrefix(entry.Name(), prefix)
		pid, _, _ := strings.Cut(name, "-")
		if _, err := os.Stat("/proc/" + pid); ours && errors.Is(err, fs.ErrNotExist) {
			left = append(left, filepath.Join(folder, entry.Name()))
		}
	}
	return left, err
}
