package main

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/journal"
)

// openTerminal answers both ends of a new terminal: the one of its window, and the one of the program in it.
func openTerminal(t *testing.T) (window, inside *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0) // so that closing it ends a read
	if err != nil {
		t.Skipf("no terminal can be had here: %v", err)
	}
	window = os.NewFile(uintptr(fd), "window")
	t.Cleanup(func() { window.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Skipf("no terminal can be had here: %v", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Skipf("no terminal can be had here: %v", err)
	}
	inside, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminal can be had here: %v", err)
	}
	return window, inside
}

// The window is closed in the middle of a fault: the kernel sends SIGHUP, and nothing can be written any more.
func TestAClosedTerminalRollsBack(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	window, inside := openTerminal(t)
	s := &started{projectCopy: p, cmd: p.command("run", "long.yaml")}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = inside, inside, inside
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill() })
	inside.Close()
	read := make(chan struct{})
	go func() { defer close(read); io.Copy(io.Discard, window) }() // a window shows what is written to it
	p.waitFor(journal.FaultActive)
	window.Close()
	<-read
	s.ends(129)
	p.waitFor(journal.FaultReverted)
	p.nothingIsPending()
	p.nothingIsLeft()
}
