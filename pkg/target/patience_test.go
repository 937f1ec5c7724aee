package target

import (
	"testing"
	"time"
)

// However long a service may take to be ready, an attempt that waits for it has as much time left for all else as usual, and it is never less than usual.
func TestPatience(t *testing.T) {
	const usual = 30 * time.Second
	for ready, want := range map[time.Duration]time.Duration{
		0: usual, time.Second: usual, DefaultReady: usual, DefaultReady + time.Second: usual + time.Second, 2 * time.Minute: 2*time.Minute + usual - DefaultReady,
	} {
		if got := Patience(usual, ready); got != want {
			t.Errorf("for a service that may take %v: %v, want %v", ready, got, want)
		}
	}
}
