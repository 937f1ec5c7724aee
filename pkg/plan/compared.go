package plan

import (
	"strconv"
	"time"

	"chaosgate/pkg/spec"
)

// LeastSamples is how many samples a side a comparison with the baseline takes; mostSamples is how many are enough.
const (
	LeastSamples = 10
	mostSamples  = 20
	spareSamples = 3 // that a late scrape or the ends may cost
)

// leastCompared is how long each side of a comparison with the baseline must be: its samples do not overlap, each needs two scrapes, and some are to spare.
func (b *builder) leastCompared() Duration {
	return (LeastSamples + spareSamples) * leastIntervals * b.plan.Interval
}

// comparedBefore is how long the steady state is observed for a comparison: as long as its own window, or its phase up to what is enough. A side with fewer samples
// than the other would leave open what the other one could tell.
func (b *builder) comparedBefore(i int, s *spec.Step) Duration {
	if s.Window != "" {
		return b.duration("/steps/"+strconv.Itoa(i)+"/window", s.Window, 0)
	}
	return min(b.phaseOf(s.During), mostSamples*leastIntervals*b.plan.Interval)
}

// sample cuts both sides of a comparison with the baseline into stretches of one length.
func (b *builder) sample(pointer string, c *Check, phase Duration) {
	if !c.Baseline || phase == 0 {
		return
	}
	if c.Mode != AtEnd {
		b.key(pointer+"/baseline", "baseline", "leave out every and within", "%s looks more than once; a comparison with the baseline looks once, over all of its phase", c.ID)
	}
	if c.Window > 0 {
		phase = min(phase, c.Window)
	}
	if least := b.leastCompared(); phase < least {
		b.key(pointer+"/baseline", "baseline", "look longer", "a comparison takes %d samples a side of two scrapes each, and %d to spare: %v; %s has %v", LeastSamples, spareSamples, time.Duration(least), c.ID, time.Duration(phase))
	}
	side := min(phase, b.plan.SteadyFor)
	roomy := max(leastIntervals*b.plan.Interval*5/4, side/mostSamples) // two scrapes are in it, also when one is a little late
	c.Sample = max(leastIntervals*b.plan.Interval, min(roomy, side/(LeastSamples+spareSamples)))
}
