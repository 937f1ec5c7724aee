package executor

import (
	"fmt"
	"sync"
	"time"
)

// Clock answers what the wall clock says, and how much time has passed by the monotonic clock since some moment; both for the same moment.
type Clock func() (wall time.Time, passed time.Duration)

// SystemClock is that of this machine.
func SystemClock() Clock {
	start := time.Now()
	return func() (time.Time, time.Duration) {
		now := time.Now()
		return now.Round(0), now.Sub(start)
	}
}

// leastJump is the least difference between the clocks that counts as a jump: reading two clocks takes time on a machine that is busy.
const leastJump = 100 * time.Millisecond

// clockWatch notices when the wall clock is set. Everything is timed by the monotonic clock but windows of metrics: samples are stored and asked for under times of the
// wall clock, so that a window across a jump holds other samples than it says. A machine that was suspended looks the same: its monotonic clock stood still. A clock
// that is brought right slowly, as time services do, is not noticed between two looks, and does no harm.
type clockWatch struct {
	read  Clock
	limit time.Duration

	mu     sync.Mutex
	wall   time.Time
	passed time.Duration
	jumped string // what is said of the first jump; "" while there was none
}

func newClockWatch(read Clock, interval time.Duration) *clockWatch {
	if read == nil {
		read = SystemClock()
	}
	c := &clockWatch{read: read, limit: max(interval/2, leastJump)}
	c.wall, c.passed = read()
	return c
}

// look answers what there is to say of a jump since the beginning, and whether that is new.
func (c *clockWatch) look() (jumped string, isNew bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, passed := c.read()
	jump := wall.Sub(c.wall) - (passed - c.passed)
	c.wall, c.passed = wall, passed
	if jump.Abs() <= c.limit || c.jumped != "" {
		return c.jumped, false
	}
	c.jumped = fmt.Sprintf("the clock of this machine jumped by %v, or it was suspended: what lies in a window is not certain from then on", jump.Round(time.Millisecond))
	return c.jumped, true
}
