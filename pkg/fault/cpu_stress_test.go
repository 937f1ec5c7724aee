package fault

import (
	"testing"
	"time"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/target"
)

// More than a place may use cannot be asked of it.
func TestWantedCores(t *testing.T) {
	for _, c := range []struct {
		workers int
		load    float64
		limit   float64
		want    float64
	}{{1, 1, 0, 1}, {12, 1, 0, 4}, {12, 0.5, 0, 2}, {12, 1, 1, 1}, {12, 1, 0.25, 0.25}, {1, 0.5, 1, 0.5}, {12, 1, 16, 4}, {0, 1, 0, 4}, {0, 0.5, 1, 1}} {
		if got := wantedCores(agent.CPUConfig{Workers: c.workers, Load: c.load}, target.Placement{CPULimit: c.limit}, 4); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}

// On a machine that is busy already a stressor gets less than it asked for; what counts then is that it gets a part and nothing is left. Idle time is told in
// steps, so it says nothing about a short time.
func TestCPUFelt(t *testing.T) {
	for _, c := range []struct {
		used, idle float64
		lasted     time.Duration
		want       bool
	}{
		{1, 0.5, cpuSample, true},
		{0.5, 0.5, cpuSample, true},
		{1, 0.5, cpuSample - 1, false}, // the least work is much of a short time
		{0.49, 0.5, time.Minute, false},
		{0.2, 0, time.Minute, true},
		{0.2, 0.1, idleAfter, true},
		{0.2, 0.11, time.Minute, false},
		{0.2, 0, cpuSample, false},
		{0.05, 0, time.Minute, false}, // others keep the machine busy, this hardly does
		{0, 0, time.Minute, false},
	} {
		if got := cpuFelt(c.used, c.idle, c.lasted); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}
