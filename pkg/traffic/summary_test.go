package traffic

import (
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

func TestQuantile(t *testing.T) {
	fill := func(counts map[float64]uint64) []uint64 {
		buckets := make([]uint64, len(bounds)+1)
		for i, b := range bounds {
			buckets[i] = counts[b]
		}
		buckets[len(bounds)] = counts[0]
		return buckets
	}
	for name, c := range map[string]struct {
		q       float64
		buckets []uint64
		want    time.Duration
	}{
		"nothing":             {0.5, fill(nil), 0},
		"middle of a bucket":  {0.5, fill(map[float64]uint64{0.2: 10}), 175 * time.Millisecond},
		"first bucket":        {0.5, fill(map[float64]uint64{0.001: 10}), 500 * time.Microsecond},
		"on a bound":          {0.5, fill(map[float64]uint64{0.1: 5, 1: 5}), 100 * time.Millisecond},
		"in the second":       {0.99, fill(map[float64]uint64{0.1: 90, 1: 10}), 975 * time.Millisecond},
		"beyond the last":     {0.99, fill(map[float64]uint64{0.1: 90, 0: 10}), 10 * time.Second},
		"all beyond the last": {0.5, fill(map[float64]uint64{0: 10}), 10 * time.Second},
	} {
		if got := time.Duration(quantile(c.q, c.buckets)); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestProblem(t *testing.T) {
	for name, c := range map[string]struct {
		s    Summary
		want string
	}{
		"nothing sent": {Summary{}, ""},
		"a few late":   {Summary{Sent: 1000, Late: 10}, ""},
		"many late":    {Summary{Sent: 1000, Late: 11, Rate: 49.5, Wanted: 50, Took: target.Duration(time.Second)}, "49.5 of 50 requests per second were sent; 11 of 1000 went out more than 100ms late"},
		"some missed":  {Summary{Sent: 1000, Missed: 3}, "3 were not sent at all"},
	} {
		got := c.s.Problem()
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestTheSummaryAddsUpAllLoads(t *testing.T) {
	c := newCounts()
	a, b := c.of(plan.Traffic{Service: "a", Method: "GET", Path: "/"}), c.of(plan.Traffic{Service: "b", Method: "GET", Path: "/"})
	for range 6 {
		c.add(a, 200, 20*time.Millisecond)
	}
	c.add(a, 503, 20*time.Millisecond)
	c.add(b, 200, 20*time.Millisecond)
	c.add(b, 0, time.Minute)
	c.cancel(b)
	g := &Generator{counts: c, wanted: 7, pacers: []*pacer{{late: 2, missed: 3}, {late: 1, missed: 1}}}
	got := g.summarize(2 * time.Second)
	want := Summary{
		Took: target.Duration(2 * time.Second), Wanted: 7, Rate: 5, Sent: 10, Answered: 8, Failed: 1, Cancelled: 1, Late: 3, Missed: 4,
		P95: target.Duration(10 * time.Second), P99: target.Duration(10 * time.Second),
	}
	want.P50 = got.P50 // in the bucket from 15 to 20 ms; see TestQuantile
	if got != want || time.Duration(got.P50) < 15*time.Millisecond || time.Duration(got.P50) > 20*time.Millisecond {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
