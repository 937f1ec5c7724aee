package traffic

import "time"

const (
	// lateAfter is how far behind the clock a request may be sent and still count as in time.
	lateAfter = 100 * time.Millisecond
	// forgetAfter is how far behind the clock a request is not sent any more: catching up further would hit the service with a burst no caller meant.
	forgetAfter = time.Second
)

// pacer is a vegeta.Pacer for any rate that waits by itself, so that stopping need not wait for the next request. It is used by one goroutine;
// its counts may be read when the sending has ended.
type pacer struct {
	interval float64 // seconds between requests
	stop     <-chan struct{}
	late     uint64 // sent more than lateAfter behind the clock
	missed   uint64 // never sent
	gaps     []gap  // in which those were due
	began    time.Time
	next     uint64 // the request that is due, or was when a free worker began to be waited for
}

// gap is a stretch of time in which requests were due that were never sent.
type gap struct {
	from, to time.Time
	missed   uint64
}

// Pace returns when request number hits (from 0) is due.
func (p *pacer) Pace(elapsed time.Duration, hits uint64) (time.Duration, bool) {
	if p.next = hits; p.began.IsZero() {
		p.began = time.Now().Add(-elapsed)
	}
	lag := p.forget(elapsed)
	if lag > lateAfter {
		p.late++
	}
	return 0, !p.wait(-lag)
}

// forget gives up what can no longer be sent in time, and says how far behind the clock the next request is then.
func (p *pacer) forget(elapsed time.Duration) time.Duration {
	lag := elapsed - p.due(p.next)
	missed := uint64(lag.Seconds() / p.interval)
	if lag <= forgetAfter || missed == 0 {
		return lag
	}
	now := p.began.Add(elapsed)
	p.gaps = append(p.gaps, gap{now.Add(-lag), now, missed})
	p.missed += missed
	return elapsed - p.due(p.next)
}

// end counts what was due when the sending ended: until then a free worker may have been waited for.
func (p *pacer) end(at time.Time) {
	if !p.began.IsZero() {
		p.forget(at.Sub(p.began))
	}
}

func (p *pacer) due(hits uint64) time.Duration {
	return time.Duration(float64(hits+p.missed) * p.interval * float64(time.Second))
}

// wait answers false if it was stopped.
func (p *pacer) wait(d time.Duration) bool {
	select {
	case <-p.stop:
		return false
	default:
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.stop:
		return false
	case <-timer.C:
		return true
	}
}

// Rate implements vegeta.Pacer: requests per second.
func (p *pacer) Rate(time.Duration) float64 { return 1 / p.interval }
