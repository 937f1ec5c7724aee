package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// MarkerName is the environment variable that every process of an environment inherits.
const MarkerName = "CHAOS_ENVIRONMENT"

// Marker is the environment entry, "CHAOS_ENVIRONMENT=<id>", to give to children and to KillMarked.
func Marker(id string) string { return MarkerName + "=" + id }

// FindMarked answers all live processes but this one that were started with the entry marker ("NAME=value", exactly) in their environment, whoever their
// parent is and whatever group or session they have moved to.
//
// It reads the environment as it was at exec. It cannot see a process of another user, one that forbids it (not dumpable), or one that was executed with
// an environment of its parent's choosing. One that forks and exits while the scan runs may hide its child from this scan: see KillMarked.
func FindMarked(marker string) ([]ID, error) {
	if marker == "" {
		return nil, errors.New("find marked processes: the marker is empty")
	}
	all, err := pids()
	if err != nil {
		return nil, fmt.Errorf("find marked processes: %w", err)
	}
	var found []ID
	for _, pid := range all {
		if id, ok := marked(pid, []byte(marker)); ok && pid != os.Getpid() {
			found = append(found, id)
		}
	}
	return found, nil
}

// marked reads the identity before and after the environment, so that both are of the same process.
func marked(pid int, marker []byte) (ID, bool) {
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || !bytes.Contains(environ, marker) {
		return ID{}, false // most processes: one read is enough for them
	}
	before, err := ReadStat(pid)
	if err != nil || before.Dead() {
		return ID{}, false
	}
	environ, err = os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || !hasEntry(environ, marker) {
		return ID{}, false
	}
	return before.ID, before.Alive()
}

func hasEntry(environ, marker []byte) bool {
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if bytes.Equal(entry, marker) {
			return true
		}
	}
	return false
}

// KillMarked is KillFound for all processes that carry the marker.
func KillMarked(ctx context.Context, marker string) error {
	return KillFound(ctx, func() ([]ID, error) { return FindMarked(marker) })
}

// KillFound kills all processes that a search finds, again and again until two scans in a row find none: one that forks while it is being found
// leaves a child for the next scan. What a scan has found must have ended as well: a dying process loses its environment before its files and ports. It never kills this process. Stopped processes die as well; zombies do not count, they have ended. An error means that
// some are left when ctx ends, and names them.
func KillFound(ctx context.Context, find func() ([]ID, error)) error {
	pause := time.Millisecond
	var found []ID
	for empty := 0; empty < 2; {
		dying := slices.DeleteFunc(found, func(id ID) bool { return !id.Alive() })
		visible, err := find()
		if err != nil {
			return err
		}
		found = append(visible, slices.DeleteFunc(dying, func(id ID) bool { return slices.Contains(visible, id) })...)
		if len(found) == 0 {
			empty++
			continue
		}
		empty = 0
		refused := killAll(found)
		select {
		case <-ctx.Done():
			return fmt.Errorf("processes %s are still alive: %w", list(found), errors.Join(refused, context.Cause(ctx)))
		case <-time.After(pause):
			pause = min(2*pause, 50*time.Millisecond)
		}
	}
	return nil
}

func killAll(ids []ID) error {
	var refused error
	for _, id := range ids {
		if err := id.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, fs.ErrNotExist) {
			refused = errors.Join(refused, err)
		}
	}
	return refused
}

func list(ids []ID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = strconv.Itoa(id.PID)
	}
	return strings.Join(names, ", ")
}
