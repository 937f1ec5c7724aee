package agent

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/internal/testkit"
)

// A revert waits for a fill no longer than it may, whatever holds that up; once it has ended the memory is given back.
func TestAFillThatDoesNotEnd(t *testing.T) {
	block, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	testkit.Must(t, err)
	m := &memory{block: block, stop: func() {}, done: make(chan struct{})}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	testkit.WantError(t, m.revert(over), "give the memory back: the fill has not ended, it waits for memory: context canceled")
	close(m.done)
	testkit.Must(t, m.revert(t.Context()))
	testkit.Must(t, m.revert(t.Context()))
}
