package impair

import (
	"math"
	"math/rand/v2"
	"time"
)

// verdict is what becomes of a packet.
type verdict struct {
	at      time.Duration // when it goes on, by the loop's clock
	drop    bool
	corrupt bool
	twice   bool
	changed bool // dropped, corrupted, doubled or let overtake
	limited bool // held back by the rate for as long as anybody could notice, or dropped for it
}

// Limits of what a shaper remembers.
const (
	maxBacklog = 4 * time.Second // a packet for a slow connection that would begin later than this is dropped, as a full queue does
	flowsKept  = 4096            // connections that are remembered in any case
	noticeable = time.Millisecond
)

// shaper decides what becomes of packets. It is pure, but for its random numbers: time is given to it.
type shaper struct {
	Fault
	random *rand.Rand
	flows  map[flow]*course
	sweep  int // with so many flows, those that are past are forgotten
}

// course is how far one direction of a connection has come.
type course struct {
	last time.Duration // when its latest packet goes on: the next one does not overtake it
	free time.Duration // when its rate allows for the next payload
}

func newShaper(f Fault, seed uint64) *shaper {
	return &shaper{Fault: f, random: rand.New(rand.NewPCG(seed, 1)), flows: map[flow]*course{}, sweep: flowsKept}
}

func (s *shaper) decide(p packet, now time.Duration) verdict {
	if s.Drop {
		return verdict{drop: true, changed: true}
	}
	if s.chance(s.Loss) {
		return verdict{drop: true, changed: true}
	}
	v := verdict{at: now}
	if s.Corrupt > 0 && p.payload > 0 && s.chance(s.Corrupt) {
		v.corrupt, v.changed = true, true
	}
	if s.chance(s.Double) {
		v.twice, v.changed = true, true
	}
	if s.Delay == 0 && s.Rate == 0 {
		return v
	}
	c := s.course(p.flow, now)
	if s.chance(s.Reorder) {
		v.changed = v.changed || c.last > now // it overtakes what is held
		return v
	}
	v.at += s.delay()
	if s.Rate > 0 && p.payload > 0 {
		begin := max(now, c.free)
		if begin-now > maxBacklog {
			return verdict{drop: true, limited: true}
		}
		c.free = begin + seconds(float64(p.payload)/float64(s.Rate))
		v.at += c.free - now
		v.limited = c.free-now >= noticeable
	}
	v.at = max(v.at, c.last)
	c.last = v.at
	return v
}

func (s *shaper) chance(part float64) bool { return part > 0 && s.random.Float64() < part }

// delay varies evenly between the delay less the jitter and the delay and the jitter.
func (s *shaper) delay() time.Duration {
	if s.Jitter == 0 {
		return s.Delay
	}
	return s.Delay + time.Duration(s.random.Int64N(2*int64(s.Jitter)+1)) - s.Jitter
}

func (s *shaper) course(f flow, now time.Duration) *course {
	if c := s.flows[f]; c != nil {
		return c
	}
	if len(s.flows) >= s.sweep {
		for other, c := range s.flows {
			if c.last < now && c.free < now {
				delete(s.flows, other)
			}
		}
		s.sweep = max(flowsKept, 2*len(s.flows))
	}
	c := &course{}
	s.flows[f] = c
	return c
}

// spoil changes one bit of a packet's payload, so that its checksum no longer fits.
func (s *shaper) spoil(b []byte, p packet) {
	if p.at < len(b) {
		b[p.at+s.random.IntN(len(b)-p.at)] ^= 1 << s.random.IntN(8)
	}
}

func seconds(s float64) time.Duration {
	return time.Duration(min(s*float64(time.Second), math.MaxInt64/4))
}
