package traffic

import (
	"time"

	"chaosgate/pkg/metrics"
)

// hungAfter is the least time after which a request without an answer is worth a word.
const hungAfter = time.Second

// underWay keeps when each request was sent that has no answer yet, and the longest time that an answer took. It is guarded by the counts that it belongs to.
type underWay struct {
	sent    map[uint64]time.Time
	next    uint64
	longest time.Duration
}

// hung counts the requests that have been under way for longer than a second, and longer than any answer took so far: what is usual for a slow service is none of it.
// Counters know such a request only when it is answered or given up, which may be after the window in which its caller suffered.
func (u *underWay) hung(now time.Time) float64 {
	limit := max(hungAfter, u.longest)
	n := 0.0
	for _, sent := range u.sent {
		if now.Sub(sent) > limit {
			n++
		}
	}
	return n
}

// send begins a request; the function it answers ends it.
func (c *counts) send(to *counter) (ended func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := to.underWay.next
	to.underWay.next++
	to.underWay.sent[n] = time.Now()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(to.underWay.sent, n)
	}
}

// waiting is the series of the requests that hang now.
func (n *counter) waiting(k key) metrics.Sample {
	s := k.sample(requestsWaiting, "", "", n.underWay.hung(time.Now()))
	s.Counter = false
	return s
}
