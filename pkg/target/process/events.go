package process

import (
	"sync"

	"chaosgate/pkg/target"
)

// events is a queue between the supervisors, which it never blocks, and the one who reads Events. Nothing is lost: it grows as it must.
type events struct {
	out chan target.Event

	mu      sync.Mutex
	waiting []target.Event
	closed  bool
	more    chan struct{} // holds one token when there is something new
}

func newEvents() *events {
	e := &events{out: make(chan target.Event, 64), more: make(chan struct{}, 1)}
	go e.deliver()
	return e
}

func (e *events) add(ev target.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.waiting = append(e.waiting, ev)
	e.wake()
}

// close ends the queue; out is closed when the reader has what waits. It is idempotent.
func (e *events) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.wake()
}

func (e *events) wake() {
	select {
	case e.more <- struct{}{}:
	default:
	}
}

func (e *events) deliver() {
	defer close(e.out)
	for range e.more {
		batch, closed := e.take()
		for _, ev := range batch {
			e.out <- ev
		}
		if closed {
			return
		}
	}
}

func (e *events) take() ([]target.Event, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	batch := e.waiting
	e.waiting = nil
	return batch, e.closed
}
