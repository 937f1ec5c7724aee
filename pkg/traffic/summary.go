package traffic

import (
	"fmt"
	"math"
	"time"

	"chaosgate/pkg/target"
)

// Summary is what was sent, all loads together, and how it was answered.
type Summary struct {
	Took     target.Duration `json:"took"`     // from Start until Stop
	Wanted   float64         `json:"wanted"`   // requests per second
	Rate     float64         `json:"rate"`     // requests per second that were sent
	Sent     uint64          `json:"sent"`     // answered, failed and cancelled
	Answered uint64          `json:"answered"` // with any status
	Failed   uint64          `json:"failed"`   // refused, reset, cut off or timed out
	// Cancelled were in flight when the traffic was given up; they are in no metric.
	Cancelled uint64 `json:"cancelled"`
	Late      uint64 `json:"late"`   // sent more than 100 ms behind the clock
	Missed    uint64 `json:"missed"` // never sent, since they would have been more than a second behind
	// The percentiles are of the time a caller waited, failed requests included, as PromQL estimates them from the histogram; 10 s stands for 10 s or more,
	// and 0 for nothing measured.
	P50 target.Duration `json:"p50"`
	P95 target.Duration `json:"p95"`
	P99 target.Duration `json:"p99"`
}

// tolerated is which part of the requests may be late before it is worth a word.
const tolerated = 0.01

// Problem says in a sentence that the generator itself could not keep its rate, so that what was measured may be its own doing; "" if it could.
func (s Summary) Problem() string {
	if s.Missed == 0 && float64(s.Late) <= tolerated*float64(s.Sent) {
		return ""
	}
	return fmt.Sprintf("the traffic could not keep its rate: %.4g of %.4g requests per second were sent; %d of %d went out more than %v late, %d were not sent at all. "+
		"The machine is too busy, or the services hang for so long that too many requests are in flight: lower the rate or the timeout",
		s.Rate, s.Wanted, s.Late, s.Sent, lateAfter, s.Missed)
}

// Missed is how many requests were never sent that were due in a stretch of time which overlaps with one. Stop has been called.
func (g *Generator) Missed(from, to time.Time) (missed uint64) {
	for _, p := range g.pacers {
		for _, gap := range p.gaps {
			if gap.from.Before(to) && gap.to.After(from) {
				missed += gap.missed
			}
		}
	}
	return missed
}

// summarize reads everything; the senders have ended.
func (g *Generator) summarize(took time.Duration) Summary {
	s := Summary{Took: target.Duration(took), Wanted: g.wanted}
	for _, p := range g.pacers {
		p.end(g.began.Add(took))
		s.Late += p.late
		s.Missed += p.missed
	}
	g.counts.mu.Lock()
	defer g.counts.mu.Unlock()
	buckets := make([]uint64, len(bounds)+1)
	for _, n := range g.counts.byKey {
		for i, count := range n.buckets {
			buckets[i] += count
			s.Answered += count
		}
		s.Failed += n.statuses[noAnswer]
		s.Cancelled += n.cancelled
	}
	s.Sent = s.Answered + s.Cancelled
	s.Answered -= s.Failed
	if took > 0 {
		s.Rate = float64(s.Sent) / took.Seconds()
	}
	s.P50, s.P95, s.P99 = quantile(0.50, buckets), quantile(0.95, buckets), quantile(0.99, buckets)
	return s
}

// quantile interpolates in the bucket in which it lies, as PromQL's histogram_quantile does.
func quantile(q float64, buckets []uint64) target.Duration {
	total := uint64(0)
	for _, count := range buckets {
		total += count
	}
	rank, below, low := q*float64(total), 0.0, 0.0
	for i, high := range bounds {
		count := float64(buckets[i])
		if count > 0 && below+count >= rank {
			return target.Duration(math.Round((low + (high-low)*(rank-below)/count) * float64(time.Second)))
		}
		below += count
		low = high
	}
	if total == 0 {
		return 0
	}
	return target.Duration(low * float64(time.Second))
}
