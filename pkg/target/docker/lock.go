package docker

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockProject keeps other runs on this machine away from a project: their faults would be taken for this run's. The lock ends with the process.
func lockProject(e Endpoint, project string) (*os.File, error) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(e.Host + "\x00" + project)) // never fails
	path := filepath.Join(os.TempDir(), fmt.Sprintf("chaosgate-%016x.lock", h.Sum64()))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o666)
	if err != nil {
		return nil, fmt.Errorf("lock the Compose project %q: %w", project, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errors.New("another run is at work on it")
	}
	return nil, errors.Join(fmt.Errorf("lock the Compose project %q: %w", project, err), f.Close())
}
