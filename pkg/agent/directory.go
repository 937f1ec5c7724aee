package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/target"
)

// DirectoryJob looks at a directory as the helper's own user meets it. It changes nothing.
const DirectoryJob = "directory"

// DirectoryConfig says which one.
type DirectoryConfig struct {
	Path string `json:"path"`
}

// DirectoryStatus is what inject and status answer.
type DirectoryStatus struct {
	Mount target.Mount `json:"mount"` // what the directory lies on
	Total int64        `json:"total"` // bytes of that file system
	Free  int64        `json:"free"`  // bytes that this user can still take of it
	// Write is what came of a write to a new file without a name, and Text the error. Where the file system has no such files, it is what the kernel says that would come of one.
	Write Outcome `json:"write"`
	Text  string  `json:"text,omitempty"`
}

type directory struct{ config DirectoryConfig }

func newDirectory(config json.RawMessage) (job, error) {
	d := &directory{}
	if err := decode(config, &d.config); err != nil {
		return nil, err
	}
	return d, checkPath(d.config.Path)
}

func checkPath(name string) error {
	if !path.IsAbs(name) || path.Clean(name) != name {
		return fmt.Errorf("path is %q, expected that of a directory, from / on", name)
	}
	return nil
}

func (d *directory) inject(ctx context.Context) (any, error) { return d.status(ctx) }
func (d *directory) status(context.Context) (any, error)     { return lookAt(d.config.Path) }
func (d *directory) revert(context.Context) error            { return nil }

// lookAt reads what a directory lies on, and tries to write there.
func lookAt(name string) (DirectoryStatus, error) {
	dir, err := openDirectory(name)
	if err != nil {
		return DirectoryStatus{}, err
	}
	defer dir.Close()
	s, err := roomOf(dir)
	if err != nil {
		return s, err
	}
	if s.Mount, err = mountOf(dir); err != nil {
		return s, err
	}
	tried := tryWrite(name)
	s.Write, s.Text = writeOutcome(tried), said(tried)
	return s, nil
}

// openDirectory opens a directory for looking at it, for which nobody needs a permission on it.
func openDirectory(name string) (*os.File, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOTDIR):
		return nil, fmt.Errorf("%s is no directory, or leads through something that is none", name)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no directory %s", name)
	case err != nil:
		return nil, fmt.Errorf("look at %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// roomOf reads how much room the file system of an open file has.
func roomOf(f *os.File) (DirectoryStatus, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return DirectoryStatus{}, fmt.Errorf("read what is free on the file system of %s: %w", f.Name(), err)
	}
	return DirectoryStatus{Total: int64(st.Blocks) * st.Bsize, Free: int64(st.Bavail) * st.Bsize}, nil
}

// tryWrite writes a page to a new file in a directory, which nobody sees, and which is gone again when it returns. Where there are no such files, nothing is made.
func tryWrite(dir string) error {
	f, err := unnamed(dir)
	if errors.Is(err, errNoUnnamed) {
		return mayWrite(dir)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, os.Getpagesize()))
	return errors.Join(err, f.Close())
}

// mayWrite asks the kernel what would come of a new file in a directory, by permissions, by how it is mounted, and by what is free where the file system counts that.
func mayWrite(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	switch {
	case err == nil && st.Flags&unix.ST_RDONLY != 0: // a kernel that is asked in the old way does not say it
		err = unix.EROFS
	case err == nil && st.Blocks > 0 && st.Bavail == 0:
		err = unix.ENOSPC
	}
	if err != nil {
		return fmt.Errorf("make a file in %s: %w", dir, err)
	}
	return nil
}

// errNoUnnamed says that a file system, or the kernel, has no files without a name.
var errNoUnnamed = errors.New("it has no files without a name")

// unnamed makes a file that never has a name in a directory.
func unnamed(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	switch {
	case err == nil:
		return os.NewFile(uintptr(fd), dir), nil
	case errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR):
		err = errNoUnnamed
	}
	return nil, fmt.Errorf("make a file in %s: %w", dir, err)
}

// nameless makes a file without a name in a directory, so that the kernel frees it when its last holder has ended, whatever ends it. Where that cannot be, it has a name for a moment.
func nameless(dir string) (*os.File, error) {
	f, err := unnamed(dir)
	if !errors.Is(err, errNoUnnamed) {
		return f, err
	}
	f, err = os.CreateTemp(dir, ".chaos-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// writeOutcome tells what came of a write.
func writeOutcome(err error) Outcome {
	switch {
	case err == nil:
		return Succeeded
	case errors.Is(err, unix.EROFS):
		return ReadOnly
	case errors.Is(err, unix.ENOSPC):
		return Full
	case errors.Is(err, fs.ErrPermission):
		return Denied
	case errors.Is(err, fs.ErrNotExist):
		return Gone
	}
	return Failed
}
