package docker

import (
	"testing"
	"time"
)

// An engine may tell of an end long after it: what had happened by then is what counts, and not what has happened since.
func TestWhatAFaultCauses(t *testing.T) {
	t.Parallel()
	at := time.Now()
	before, after := at.Add(-time.Second), at.Add(time.Second)
	for name, c := range map[string]struct {
		hit  time.Time
		want bool
	}{
		"a hit right before":    {before, true},
		"a hit in that moment":  {at, true},
		"a hit after it":        {after, false},
		"a hit long before":     {at.Add(-hitFor), false},
		"no hit":                {time.Time{}, false},
		"a hit of a while back": {at.Add(time.Second - hitFor), true},
	} {
		if got := causes(c.hit, at); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for name, c := range map[string]struct {
		i    *instance
		want bool
	}{
		"held":            {&instance{held: true, heldSince: before}, true},
		"held since":      {&instance{held: true, heldSince: after}, false},
		"never held":      {&instance{}, false},
		"held until then": {&instance{heldSince: before.Add(-time.Second), heldUntil: before}, false},
		"held at the end": {&instance{heldSince: before, heldUntil: after}, true},
		"held once more":  {&instance{held: true, heldSince: after, heldUntil: before}, false},
	} {
		if got := c.i.heldAt(at); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
