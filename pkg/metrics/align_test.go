package metrics

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// A kill's errors come in one burst right behind the beginning of a window, before the next scrape. A window that begins after the flush that was made for it,
// be it by a millisecond, does not hold them.
func TestAnAlignedWindowHoldsTheBurstAtItsBeginning(t *testing.T) {
	e := newExporter(t, fmt.Sprintf(errorsBorn, 100)+"http_requests_total{status=\"500\"} 0\n")
	s := still(t, time.Second, target(e, "a"))
	start := flush(t, s).Add(5 * time.Millisecond)
	e.say(fmt.Sprintf(errorsBorn, 100) + "http_requests_total{status=\"500\"} 30\n")
	time.Sleep(20 * time.Millisecond) // samples need to be apart
	flush(t, s)
	time.Sleep(20 * time.Millisecond)
	end := flush(t, s)
	errors := func(from, to time.Time) float64 {
		return ask(t, s, fmt.Sprintf("sum(increase(http_requests_total{status=\"500\"}[%s]))", duration(Window(from, to))), to)
	}
	if v := errors(s.AlignStart(start), s.AlignEnd(end)); math.Abs(v-30) > 1.5 {
		t.Errorf("%v errors in the aligned window, want 30", v)
	}
	if v := errors(start, end); v > 0 {
		t.Errorf("%v errors: the window that is not aligned holds them too, so this test shows nothing", v)
	}
}

func TestWindowsAlignWithTheLastScrapes(t *testing.T) {
	s := still(t, 100*time.Millisecond)
	if now := time.Now(); !s.AlignStart(now).Equal(now) || !s.AlignEnd(now).Equal(now) {
		t.Error("a window is moved although nothing was ever scraped")
	}
	at := time.UnixMilli(1_800_000_000_000)
	for name, scrapes := range map[string][]int{"a": {0, 100, 200}, "b": {3, 104, 205}, "hangs": {-900}} {
		f := newFeed(s.storage, map[string]string{"instance": name}, nil)
		for _, ms := range scrapes {
			f.store(at.UnixMilli()+int64(ms), nil, true, 0)
		}
		s.feeds = append(s.feeds, f)
	}
	for _, c := range []struct{ t, start, end int }{
		{104, 100, 104}, // both ends are scrapes
		{150, 100, 104},
		{102, 3, 100}, // b was not scraped again yet
		{299, 200, 205},
		{410, 410, 410}, // too long ago
	} {
		asked := at.Add(time.Duration(c.t) * time.Millisecond)
		start, end := s.AlignStart(asked).Sub(at).Milliseconds(), s.AlignEnd(asked).Sub(at).Milliseconds()
		if start != int64(c.start) || end != int64(c.end) {
			t.Errorf("at %d: from %d to %d, want %d and %d", c.t, start, end, c.start, c.end)
		}
	}
}

// stepped is a feed whose scrapes are made by the test at times of its own, with a counter that rises by one a millisecond.
func stepped(s *Scraper, began time.Time) func(ms int) {
	f := newFeed(s.storage, map[string]string{"service": "a", "instance": "a-1"}, nil)
	s.feeds = append(s.feeds, f)
	l := labels.FromStrings(model.MetricNameLabel, "x_total")
	return func(ms int) {
		f.store(began.UnixMilli()+int64(ms), []reading{{key: "x", labels: func() labels.Labels { return l }, value: float64(1000 + ms), counter: true}}, true, 0)
	}
}

// Flushes come at any time; a constant rate must stay constant over ranges that hold some. Two things bent it: regular scrapes that went on by their own clock (a rate
// of 1000/s fell to 845/s), and flushes within milliseconds of other scrapes (920/s), as at the beginning of the steps.
func TestFlushesDoNotBendRates(t *testing.T) {
	const interval = 250 * time.Millisecond
	for name, flushes := range map[string][]int{"now and then": {900, 1835, 2770, 3705}, "clusters": {1252, 1266, 2480, 2494, 2496, 4100}, "before regular ones": {1249, 1251, 2480, 2499}} {
		s := still(t, interval)
		began := time.UnixMilli(1_800_000_000_000)
		scrape := stepped(s, began)
		next := began
		for ms := range 6000 {
			now := began.Add(time.Duration(ms) * time.Millisecond)
			switch {
			case slices.Contains(flushes, ms):
				scrape(ms)
				next = now.Add(interval)
			case !now.Before(next):
				scrape(ms)
				next = following(next, now, interval)
			}
		}
		least, most := math.Inf(1), 0.0
		for ms := 2300; ms < 6000; ms += 5 {
			v := ask(t, s, "rate(x_total[2s])", began.Add(time.Duration(ms)*time.Millisecond))
			least, most = min(least, v), max(most, v)
		}
		if least < 980 || most > 1020 {
			t.Errorf("%s: a rate of 1000/s is between %v and %v", name, least, most)
		}
	}
}

// What a range selector does not see must not change what a counter has counted, wherever it falls.
func TestThinLosesNothing(t *testing.T) {
	increase := func(all []sample) (sum float64) {
		samples := slices.DeleteFunc(slices.Clone(all), func(s sample) bool { return math.IsNaN(s.v) })
		for i := 1; i < len(samples); i++ {
			if d := samples[i].v - samples[i-1].v; d >= 0 {
				sum += d
			} else {
				sum += samples[i].v
			}
		}
		return sum
	}
	random := rand.New(rand.NewPCG(1, 2))
	thinned := 0
	for range 2000 {
		samples := []sample{{t: 1, v: 100}}
		for range random.IntN(12) {
			next := samples[len(samples)-1]
			next.t += 1 + int64(random.IntN(300))
			next.v += float64(random.IntN(100))
			switch random.IntN(10) {
			case 0, 1:
				next.v = float64(random.IntN(200))
			case 2:
				samples = append(samples, sample{t: next.t, v: math.NaN()})
				next.t++
			}
			samples = append(samples, next)
		}
		got := thin(samples, 230)
		if len(got) < len(samples) {
			thinned++
		}
		if got[0] != samples[0] || got[len(got)-1].t != samples[len(samples)-1].t || increase(got) != increase(samples) {
			t.Fatalf("%v became %v: %v and not %v", samples, got, increase(got), increase(samples))
		}
	}
	if thinned < 1000 {
		t.Errorf("%d of 2000 were thinned", thinned)
	}
}

func TestAScrapeThatWasSleptThroughIsSkipped(t *testing.T) {
	due := time.UnixMilli(1_800_000_000_000)
	for late, want := range map[time.Duration]time.Duration{0: 100, 30: 100, 100: 200, 250: 300, -5: 100} {
		next := following(due, due.Add(late*time.Millisecond), 100*time.Millisecond)
		if got := next.Sub(due); got != want*time.Millisecond {
			t.Errorf("done %dms late: the next is due after %v, want %dms", late, got, want)
		}
	}
}
