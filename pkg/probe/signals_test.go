package probe

import (
	"context"
	"fmt"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

// fares is an exposition of a service: requests and how many of them failed, errors inside, and of a histogram how many took at most 5 ms and 20 ms.
func fares(all, failed, inside, fast, medium int) string {
	return requests(all-failed, failed) + fmt.Sprintf(`# TYPE trouble_total counter
trouble_total %d
# TYPE http_seconds histogram
http_seconds_bucket{le="0.005"} %d
http_seconds_bucket{le="0.02"} %d
http_seconds_bucket{le="+Inf"} %d
http_seconds_sum %g
http_seconds_count %d
`, inside, fast, medium, all, float64(all-fast)*0.05+float64(fast)*0.002, all)
}

func TestSignalsAreWhatAPlaceCounted(t *testing.T) {
	s := watch(t)
	_, begin := s.export(fares(1000, 5, 7, 1000, 1000))
	_, struck := s.export(fares(1400, 5, 7, 1400, 1400))
	_, over := s.export(fares(1800, 105, 307, 1500, 1600))
	_, end := s.export(fares(2200, 105, 307, 1900, 2000))
	signals := plan.Signals{Requests: "http_requests_total", Errors: `http_requests_total{status=~"5.."}`, Latency: "http_seconds", Inside: "trouble_total"}
	places := []plan.Place{
		{Name: "service-a", Service: "service-a", Signals: signals},
		{Name: "service-b", Service: "service-b", Signals: plan.Signals{Requests: "nobody_knows_total"}},
		{Name: "quiet", Service: "quiet"},
	}
	got := Signals(t.Context(), s.scraper, places, 50*time.Millisecond, journal.Signals{
		Struck: struck, Before: journal.Stretch{From: begin, To: struck}, During: journal.Stretch{From: struck, To: over}, After: journal.Stretch{From: over, To: end},
	})
	if got.Error != "" || len(got.Places) != 2 {
		t.Fatalf("%d places, error %q", len(got.Places), got.Error)
	}
	p := got.Places[0]
	if p.SlowerThan == nil || *p.SlowerThan != 0.02 {
		t.Fatalf("slow is what is slower than %v, want 20ms: the first bound that is twice the 4.95ms of the steady state", p.SlowerThan)
	}
	for name, c := range map[string]struct {
		got  *float64
		want float64
	}{
		"requests before": {p.Before.Requests, 400}, "errors before": {p.Before.Errors, 0}, "inside before": {p.Before.Inside, 0}, "slow before": {p.Before.Slow, 0}, "missed before": {p.Before.Missed, 0},
		"requests during": {p.During.Requests, 400}, "errors during": {p.During.Errors, 100}, "inside during": {p.During.Inside, 300}, "slow during": {p.During.Slow, 200},
		"mean during": {p.During.Mean, 0.038}, "errors after": {p.After.Errors, 0}, "requests after": {p.After.Requests, 400},
	} {
		if c.got == nil || !near(*c.got, c.want) {
			t.Errorf("%s: got %v, want %v", name, shown(c.got), c.want)
		}
	}
	if b := got.Places[1]; b.Before.Requests != nil || b.During != (journal.Amounts{}) || b.SlowerThan != nil {
		t.Errorf("what nobody measures was measured: %+v", b)
	}
}

func shown(v *float64) string {
	if v == nil {
		return "nothing"
	}
	return fmt.Sprint(*v)
}

func TestASourceThatFailsIsTold(t *testing.T) {
	places := []plan.Place{{Name: "a", Service: "a", Signals: plan.Signals{Requests: "x_total"}}}
	now := time.Now()
	stretch := journal.Stretch{From: now.Add(-time.Second), To: now}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	got := Signals(ctx, silent{}, places, 50*time.Millisecond, journal.Signals{Struck: now, Before: stretch, During: stretch})
	if got.Error == "" || got.Places[0].During.Requests != nil {
		t.Errorf("got %+v", got)
	}
}
