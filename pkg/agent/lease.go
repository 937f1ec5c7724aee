package agent

import (
	"sync"
	"time"
)

// How long a runner may be silent until its helpers begin to take it for gone, and how often it says that it is there.
const (
	maxSilence = 10 * time.Second
	beat       = maxSilence / 5
)

// lease ends when it is not renewed in time. It is safe for concurrent use.
type lease struct {
	over func()

	mu      sync.Mutex
	silence time.Duration // 0: it does not end by itself
	timer   *time.Timer
	renewed time.Time
	doubt   bool // the time is over; what was said meanwhile may not have been read yet
}

func newLease(over func()) *lease { return &lease{over: over} }

// begin lets it end after so much silence.
func (l *lease) begin(silence time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if silence > 0 && l.timer == nil {
		l.silence, l.renewed, l.timer = silence, time.Now(), time.AfterFunc(silence, l.expire)
	}
}

// expire ends it at the second time: a helper that was frozen with its target has heard nothing either, and has it all to read now.
func (l *lease) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch left := l.silence - time.Since(l.renewed); {
	case left > 0: // the timer was late, and it was renewed meanwhile
		l.timer.Reset(left)
	case l.doubt:
		l.over()
	default:
		l.doubt = true
		l.timer.Reset(l.silence / 5)
	}
}

func (l *lease) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.doubt, l.renewed = false, time.Now()
		l.timer.Reset(l.silence)
	}
}

func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
	}
}
