package docker

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// lockProject keeps other runs on this machine away from a project of an engine, by the engine's own id: their faults would be taken for this run's. The lock ends with
// the process, and lies in the one folder that all users of a machine share.
func lockProject(engine, project string) (*os.File, error) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(engine + "\x00" + project)) // never fails
	f, err := openLock(fmt.Sprintf("/tmp/chaosgate-%016x.lock", h.Sum64()))
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

// openLock opens a lock file, or makes it. One of another user can be read, which is enough for a lock.
func openLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if f, err = os.OpenFile(path, os.O_RDONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o644); err == nil {
			err = f.Chmod(0o644) // whatever the umask says: the next user must be able to open it
		}
	}
	return f, err
}
