package target_test

import (
	"testing"

	"chaosgate/pkg/target"
)

func TestEventsKeepTheirOrderAndEnd(t *testing.T) {
	e := target.NewEventQueue()
	for i := range 1000 {
		e.Add(target.Event{Restarts: i})
	}
	e.Close()
	e.Close()
	e.Add(target.Event{Restarts: -1})
	n := 0
	for ev := range e.Out() {
		if ev.Restarts != n {
			t.Fatalf("got %d, want %d", ev.Restarts, n)
		}
		n++
	}
	if n != 1000 {
		t.Errorf("got %d events", n)
	}
}
