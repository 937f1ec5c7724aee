package target

import "sync"

// EventQueue stands between those who have events to tell, whom it never blocks, and the one who reads Environment.Events. Nothing is lost: it grows as it must.
// It is safe for concurrent use.
type EventQueue struct {
	out chan Event

	mu      sync.Mutex
	waiting []Event
	closed  bool
	more    chan struct{} // holds one token when there is something new
}

// NewEventQueue makes a queue, which must be closed.
func NewEventQueue() *EventQueue {
	q := &EventQueue{out: make(chan Event, 64), more: make(chan struct{}, 1)}
	go q.deliver()
	return q
}

// Out delivers the events in their order; it is closed when the queue is and the reader has what waited.
func (q *EventQueue) Out() <-chan Event { return q.out }

// Add adds an event, unless the queue is closed.
func (q *EventQueue) Add(e Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.waiting = append(q.waiting, e)
	q.wake()
}

// Close ends the queue. It is idempotent.
func (q *EventQueue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake()
}

func (q *EventQueue) wake() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

func (q *EventQueue) deliver() {
	defer close(q.out)
	for range q.more {
		batch, closed := q.take()
		for _, e := range batch {
			q.out <- e
		}
		if closed {
			return
		}
	}
}

func (q *EventQueue) take() ([]Event, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch := q.waiting
	q.waiting = nil
	return batch, q.closed
}
