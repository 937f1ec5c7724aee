package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	// ownPrefix begins the name of everything that is made outside the project: folders and cgroups.
	ownPrefix = "chaos-"
	// stampFile is in a folder that this package has made, and holds the environment's marker. Nothing without it is ever removed.
	stampFile = ".chaos-environment"
)

// makeWorkDir makes the folder of an environment's data.
func makeWorkDir(dir, marker string) error {
	if err := checkOwn(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("make the folder of the services' data: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of the services' data: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, stampFile), []byte(marker), 0o600); err != nil {
		return errors.Join(fmt.Errorf("make the folder of the services' data: %w", err), os.RemoveAll(dir))
	}
	return nil
}

// removeWorkDir removes a folder that makeWorkDir has made for this marker, and nothing else: its path may come from a journal that anybody has written.
func removeWorkDir(dir, marker string) error {
	if err := checkOwn(dir); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove the folder of the services' data: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not removed: it is not a folder", dir)
	}
	stamp, err := os.ReadFile(filepath.Join(dir, stampFile))
	if errors.Is(err, fs.ErrNotExist) {
		// The runner may have died right after making it; then it is empty, and only then does this work.
		if err := os.Remove(dir); err == nil {
			return nil
		}
	}
	if err == nil && torn(dir, string(stamp), marker) {
		return removeTree(dir)
	}
	if err != nil || string(stamp) != marker {
		return fmt.Errorf("%s is not removed: its %s does not say that it belongs to %s", dir, stampFile, marker)
	}
	return removeTree(dir)
}

// torn says whether the runner died while it wrote the stamp: then there is a part of it, and nothing else.
func torn(dir, stamp, marker string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 1 && len(stamp) < len(marker) && strings.HasPrefix(marker, stamp)
}

// removeTree removes a folder, also when a fault or a service has taken away the right to write in it. The stamp goes last: who is killed while removing leaves
// a folder that still says whose it is.
func removeTree(dir string) error {
	if err := removeAll(dir); err == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) // what came of it shows in the removal
		}
		return nil
	})
	if err := removeAll(dir); err != nil {
		return fmt.Errorf("remove the folder of the services' data: %w", err)
	}
	return nil
}

func removeAll(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == stampFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

func checkOwn(dir string) error {
	if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || !strings.HasPrefix(filepath.Base(dir), ownPrefix) {
		return fmt.Errorf("%q cannot be the folder of the services' data: it must be an absolute path whose last part begins with %s", dir, ownPrefix)
	}
	return nil
}
