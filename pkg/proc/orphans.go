package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Orphans are processes below this one whose parents have ended. They come to this program instead of to init, so that one is found that has hidden from every other
// search: in a session of its own, without the environment that it was started with, and whose parent is gone. Nobody can tell any more whose it was, so they are
// killed when no home is left that it could belong to. A nil Orphans takes in nobody.
type Orphans struct {
	mu    sync.Mutex
	homes int
	known []ID // children that are none
}

// AdoptOrphans makes this program take in orphans, from now on and for good.
func AdoptOrphans() (*Orphans, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("take in orphans: %w", err)
	}
	before, err := children()
	if err != nil {
		return nil, err
	}
	o := &Orphans{}
	for _, s := range before {
		o.known = append(o.known, s.ID)
	}
	return o, nil
}

// Keep starts a child that is no orphan, whenever that is, and answers who it is. start answers its process id.
func (o *Orphans) Keep(start func() (pid int, err error)) (ID, error) {
	o.mu.Lock() // meanwhile nobody is killed
	defer o.mu.Unlock()
	pid, err := start()
	if err != nil {
		return ID{}, err
	}
	id, err := Identify(pid)
	if err == nil {
		o.known = append(o.known, id)
	}
	return id, err
}

// Enter opens a home: until it is left, nobody is killed.
func (o *Orphans) Enter() {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.homes++
}

// Leave closes a home, whose own processes must have ended and have been waited for. With the last one all orphans are killed, and their children, until there are none.
// An error names those that are left when ctx ends.
func (o *Orphans) Leave(ctx context.Context) error {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.homes--; o.homes > 0 {
		return nil
	}
	if err := KillFound(ctx, o.find); err != nil {
		return fmt.Errorf("end what has hidden: %w", err)
	}
	return nil
}

// find answers the orphans that live, and lets go of those that have ended.
func (o *Orphans) find() ([]ID, error) {
	all, err := children()
	if err != nil {
		return nil, err
	}
	var found []ID
	for _, s := range all {
		switch {
		case slices.Contains(o.known, s.ID):
		case s.Dead():
			_, err = unix.Wait4(s.PID, nil, unix.WNOHANG, nil)
			if err != nil && !errors.Is(err, unix.ECHILD) {
				return nil, fmt.Errorf("wait for orphan %d: %w", s.PID, err)
			}
		default:
			found = append(found, s.ID)
		}
	}
	return found, nil
}

// children answers the processes whose parent is this one.
func children() ([]Stat, error) {
	all, err := pids()
	if err != nil {
		return nil, fmt.Errorf("list the children of this process: %w", err)
	}
	var found []Stat
	for _, pid := range all {
		if s, err := ReadStat(pid); err == nil && s.Parent == os.Getpid() {
			found = append(found, s)
		}
	}
	return found, nil
}
