package process

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Who is killed while removing the folder must leave one that the next rollback knows for its own, so the stamp goes last. The kernel says in which order.
func TestTheStampIsRemovedLast(t *testing.T) {
	const marker = "CHAOS_ENVIRONMENT=run/x"
	dir := filepath.Join(t.TempDir(), "chaos-work")
	if err := makeWorkDir(dir, marker); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := os.MkdirAll(filepath.Join(dir, fmt.Sprintf("service-%d", i), "data"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_DELETE); err != nil {
		t.Fatal(err)
	}
	if err := removeWorkDir(dir, marker); err != nil {
		t.Fatal(err)
	}
	events := make([]byte, 1<<16)
	n, err := unix.Read(fd, events)
	if err != nil {
		t.Fatal(err)
	}
	removed := names(events[:n])
	if len(removed) != 21 || removed[20] != stampFile {
		t.Errorf("removed in the order %q, want %s last of 21", removed, stampFile)
	}
}

// names reads the names out of inotify's events.
func names(events []byte) []string {
	var all []string
	for len(events) >= unix.SizeofInotifyEvent {
		length := int(binary.NativeEndian.Uint32(events[12:]))
		name := events[unix.SizeofInotifyEvent : unix.SizeofInotifyEvent+length]
		if length > 0 {
			all = append(all, string(bytes.TrimRight(name, "\x00")))
		}
		events = events[unix.SizeofInotifyEvent+length:]
	}
	return all
}
