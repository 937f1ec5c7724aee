package agent

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// mountSpace is the mount namespace of another process: what is done in it is done by one thread, which has left this process's own for it.
type mountSpace struct {
	work chan func()
	proc *os.File // this process's own /proc, which there need be none of there
}

// enterMounts has a thread enter the mount namespace of a process. One that is this process's own already is an error: what is done there would not be the other's alone.
func enterMounts(pid int) (*mountSpace, error) {
	s := &mountSpace{work: make(chan func())}
	var err error
	if s.proc, err = openDirectory("/proc"); err != nil {
		return nil, err
	}
	entered := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this function
		err := goInto(fmt.Sprintf("/proc/%d/ns/mnt", pid))
		entered <- err
		if err != nil {
			return
		}
		for f := range s.work {
			f()
		}
	}()
	if err := <-entered; err != nil {
		_ = s.proc.Close() // it was only looked at
		return nil, fmt.Errorf("enter what is mounted for process %d: %w", pid, err)
	}
	return s, nil
}

// goInto moves the calling thread into a mount namespace.
func goInto(file string) error {
	there, err := os.Open(file)
	if err != nil {
		return err
	}
	defer there.Close()
	var its, own unix.Stat_t
	if err := unix.Fstat(int(there.Fd()), &its); err != nil {
		return err
	}
	if err := unix.Stat("/proc/self/ns/mnt", &own); err != nil {
		return err
	}
	if its.Ino == own.Ino && its.Dev == own.Dev {
		return fmt.Errorf("it has no mounts of its own")
	}
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // its root and its folder are all threads' else
		return err
	}
	return unix.Setns(int(there.Fd()), unix.CLONE_NEWNS)
}

// do calls f in the namespace and waits for it.
func (s *mountSpace) do(f func() error) error {
	done := make(chan error)
	s.work <- func() { done <- f() }
	return <-done
}

// in calls f with a directory as the thread's folder, so that "." is this very directory on this very mount, whatever happens to its path meanwhile.
func (s *mountSpace) in(dir *os.File, f func() error) error {
	if err := unix.Fchdir(int(dir.Fd())); err != nil {
		return err
	}
	err := f()
	if back := unix.Chdir("/"); err == nil { // so that it keeps nothing there
		err = back
	}
	return err
}
