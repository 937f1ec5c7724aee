package docker

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ErrInUse means that somebody else on this machine has a project: a run is at work on it, or it is being started or ended.
var ErrInUse = errors.New("a run of this machine is at work on it")

// Hold keeps all others on this machine who ask for it away from a Compose project of the engine, until free is called or this process ends: an environment itself asks for
// nothing. Two runs would take each other's faults for their own. The error is ErrInUse if somebody else has it; that is not waited for.
func (e Endpoint) Hold(ctx context.Context, project string) (free func(), err error) {
	engine, info, err := e.meet(ctx)
	if err != nil {
		return nil, err
	}
	if err := engine.Close(); err != nil {
		return nil, err
	}
	f, err := lockProject(info.ID, project)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

// lockProject locks a project by its engine's own id. The lock ends with the process, and lies in the one folder that all users of a machine share.
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
		err = ErrInUse
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
