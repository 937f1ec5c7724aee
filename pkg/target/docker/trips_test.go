package docker

import (
	"testing"
	"time"
)

// A round trip that waits for another is measured from when it is its turn: else the link would seem slow, or silent.
func TestARoundTripWaitsForItsTurn(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	const within = time.Second
	p := newPair(t)
	p.trip(webToBack) // its helper is there
	turn := p.links.tripperOf(webToBack).turn
	turn <- struct{}{}
	asked := make(chan error, 1)
	go func() {
		took, err := p.RoundTrip(soon(t), webToBack, within)
		if err == nil && took >= within {
			t.Errorf("it took %v", took)
		}
		asked <- err
	}()
	select {
	case err := <-asked:
		t.Errorf("it did not wait: %v", err)
	case <-time.After(3 * within):
	}
	<-turn
	must(t, <-asked)
}
