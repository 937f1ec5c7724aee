package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ID names a process on this machine for good: the kernel gives a pid out again, but not with the same start time.
type ID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks between boot and its start
}

// Identify answers the identity of the process that has this pid now, be it a zombie. It is fs.ErrNotExist if there is none.
func Identify(pid int) (ID, error) {
	s, err := ReadStat(pid)
	if err != nil {
		return ID{}, fmt.Errorf("identify process %d: %w", pid, err)
	}
	return s.ID, nil
}

// Self names this process.
func Self() (ID, error) { return Identify(os.Getpid()) }

// Alive says whether this very process still runs or is stopped. A zombie is not alive; nor is the zero ID.
func (id ID) Alive() bool {
	if id.PID <= 0 {
		return false
	}
	s, err := ReadStat(id.PID)
	return err == nil && s.ID == id && !s.Dead()
}

// Signal sends a signal to this very process alone. It is fs.ErrNotExist if it is not alive. The process is held by a file descriptor before it is looked at, so that its
// number cannot go to another one between the look and the signal. Where it cannot be held, there are microseconds for that, against the wrap-around of all pids.
func (id ID) Signal(sig syscall.Signal) error {
	if id.PID <= 0 {
		return fs.ErrNotExist
	}
	send := func() error { return unix.Kill(id.PID, sig) }
	if held, err := unix.PidfdOpen(id.PID, 0); err == nil {
		defer unix.Close(held)
		send = func() error { return unix.PidfdSendSignal(held, sig, nil, 0) }
	}
	if !id.Alive() {
		return fs.ErrNotExist
	}
	err := send()
	if errors.Is(err, unix.ESRCH) {
		return fs.ErrNotExist
	}
	if err != nil {
		return fmt.Errorf("send signal %d to process %d: %w", int(sig), id.PID, err)
	}
	return nil
}
