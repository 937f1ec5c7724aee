package main

import (
	"sync"
	"time"

	"chaosgate/pkg/journal"
)

// view shows how a run goes. Its methods are called by one goroutine at a time.
type view interface {
	event(journal.Event)
	say(text string) // a message that stays
	tick(time.Time)  // time has passed
	close()          // leaves the terminal as it was
}

// frame is how often a view may redraw itself.
const frame = 100 * time.Millisecond

// feed hands events to a view, in order, without ever making the journal wait for a slow terminal.
type feed struct {
	mu     sync.Mutex
	queue  []func(view)
	wake   chan struct{}
	end    chan struct{}
	done   chan struct{}
	closed sync.Once
}

func newFeed(v view) *feed {
	f := &feed{wake: make(chan struct{}, 1), end: make(chan struct{}), done: make(chan struct{})}
	go f.run(v)
	return f
}

// observe is a journal.Observer.
func (f *feed) observe(e journal.Event) { f.add(func(v view) { v.event(e) }) }

func (f *feed) say(text string) { f.add(func(v view) { v.say(text) }) }

func (f *feed) add(show func(view)) {
	f.mu.Lock()
	f.queue = append(f.queue, show)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (f *feed) take() []func(view) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.queue
	f.queue = nil
	return all
}

func (f *feed) run(v view) {
	defer close(f.done)
	ticker := time.NewTicker(frame)
	defer ticker.Stop()
	for ended := false; !ended; {
		select {
		case <-f.wake:
		case now := <-ticker.C:
			v.tick(now)
		case <-f.end:
			ended = true
		}
		for _, show := range f.take() {
			show(v)
		}
	}
	v.close()
}

// close shows what is left and closes the view. A terminal that takes nothing any more cannot hold the end of the run up for ever.
func (f *feed) close() {
	f.closed.Do(func() { close(f.end) })
	select {
	case <-f.done:
	case <-time.After(2 * time.Second):
	}
}
