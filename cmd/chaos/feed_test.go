package main

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"chaosgate/pkg/journal"
)

// slowView takes its time, as a terminal does that the user has stopped with ^S.
type slowView struct {
	mu     sync.Mutex
	gate   chan struct{}
	seen   []string
	closed bool
}

func (v *slowView) note(text string) {
	<-v.gate
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen = append(v.seen, text)
}

func (v *slowView) event(e journal.Event) { v.note(fmt.Sprint(e.Seq)) }
func (v *slowView) say(text string)       { v.note(text) }
func (v *slowView) tick(time.Time)        {}
func (v *slowView) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
}

func TestAFeedKeepsTheOrderAndNeverMakesTheWriterWait(t *testing.T) {
	v := &slowView{gate: make(chan struct{})}
	f := newFeed(v)
	var want []string
	for i := range 1000 { // returns although the view takes nothing
		f.observe(journal.Event{Seq: int64(i)})
		want = append(want, fmt.Sprint(i))
	}
	f.say("last")
	close(v.gate)
	f.close()
	f.close() // again is harmless
	v.mu.Lock()
	defer v.mu.Unlock()
	if want = append(want, "last"); !slices.Equal(v.seen, want) {
		t.Errorf("%d of %d seen, or in another order", len(v.seen), len(want))
	}
	if !v.closed {
		t.Error("the view was not closed")
	}
}
