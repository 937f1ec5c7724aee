package traffic

import (
	"testing"
	"time"
)

// paced is what a pacer counts after requests that were sent at these times.
func paced(rate float64, elapsed ...time.Duration) (p *pacer) {
	p = &pacer{interval: 1 / rate, stop: make(chan struct{})}
	for hits, at := range elapsed {
		p.Pace(at, uint64(hits))
	}
	return p
}

func TestPacerCountsWhatIsLate(t *testing.T) {
	ms := time.Millisecond
	for name, c := range map[string]struct {
		p            *pacer
		late, missed uint64
	}{
		"in time":                  {paced(10, 0, 99*ms, 200*ms), 0, 0},
		"a little behind":          {paced(10, 50*ms, 190*ms), 0, 0},
		"late":                     {paced(10, 150*ms, 250*ms, 260*ms), 2, 0},
		"far behind":               {paced(10, 0, 2150*ms), 0, 20},
		"far behind, then in time": {paced(10, 0, 2150*ms, 2199*ms), 0, 20},
		"a slow rate is not lost":  {paced(0.1, 1500*ms), 1, 0},
	} {
		if c.p.late != c.late || c.p.missed != c.missed {
			t.Errorf("%s: got %d late and %d missed, want %d and %d", name, c.p.late, c.p.missed, c.late, c.missed)
		}
	}
}

// A service may hang until the end, with all that may be in flight: then nothing asks the pacer any more.
func TestWhatIsDueAtTheEndIsMissed(t *testing.T) {
	p := paced(10, 0, 100*time.Millisecond)
	p.end(p.began.Add(time.Second))
	if p.missed != 0 {
		t.Errorf("%d missed", p.missed)
	}
	p.end(p.began.Add(2150 * time.Millisecond))
	if p.missed != 20 {
		t.Errorf("%d missed, want 20", p.missed)
	}
}

func TestMissedIsAskedForAStretch(t *testing.T) {
	p := paced(10, 0, 2150*time.Millisecond, 2200*time.Millisecond, 2300*time.Millisecond, 4450*time.Millisecond)
	g := Generator{pacers: []*pacer{p, paced(10, 0)}}
	for _, c := range []struct {
		from, to int // milliseconds
		missed   uint64
	}{{0, 50, 0}, {50, 150, 20}, {2160, 2250, 0}, {2140, 2410, 40}, {2400, 2500, 20}, {4500, 5000, 0}, {0, 5000, 40}} {
		at := func(ms int) time.Time { return p.began.Add(time.Duration(ms) * time.Millisecond) }
		if got := g.Missed(at(c.from), at(c.to)); got != c.missed {
			t.Errorf("from %d to %d: got %d, want %d", c.from, c.to, got, c.missed)
		}
	}
	if got := g.Missed(time.Time{}, time.Time{}); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
}

func TestPacerWaitsUntilARequestIsDue(t *testing.T) {
	p := &pacer{interval: 0.05, stop: make(chan struct{})}
	begun := time.Now()
	if wait, stop := p.Pace(10*time.Millisecond, 1); wait != 0 || stop {
		t.Errorf("got wait %v, stop %v", wait, stop)
	}
	if took := time.Since(begun); took < 40*time.Millisecond {
		t.Errorf("waited %v, want 40ms", took)
	}
}

func TestPacerStops(t *testing.T) {
	stop := make(chan struct{})
	close(stop)
	for name, elapsed := range map[string]time.Duration{"while it waits": 0, "when it is behind": time.Hour} {
		p := &pacer{interval: 3600, stop: stop}
		if _, stopped := p.Pace(elapsed, 1); !stopped {
			t.Errorf("%s: did not stop", name)
		}
	}
}
