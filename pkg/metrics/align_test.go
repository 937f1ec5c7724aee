package metrics

import (
	"fmt"
	"math"
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

// Flushes come at any time; a constant rate must stay about constant over ranges that hold some. Regular scrapes keep an interval's distance from them: when they went
// on by their own clock, a rate of 1000/s fell to 845/s.
func TestFlushesDoNotBendRates(t *testing.T) {
	const interval = 50 * time.Millisecond
	s := still(t, interval)
	began := time.UnixMilli(1_800_000_000_000)
	scrape := stepped(s, began)
	next := began
	for ms := range 1200 {
		now := began.Add(time.Duration(ms) * time.Millisecond)
		switch {
		case ms%187 == 180: // a flush
			scrape(ms)
			next = now.Add(interval)
		case !now.Before(next):
			scrape(ms)
			next = following(next, now, interval)
		}
	}
	r, err := s.QueryRange(t.Context(), "rate(x_total[400ms])", began.Add(460*time.Millisecond), began.Add(1200*time.Millisecond), 10*time.Millisecond)
	if err != nil || len(r.Series) != 1 || len(r.Series[0].Points) < 70 {
		t.Fatal(r, err)
	}
	for _, p := range r.Series[0].Points {
		if p.V < 900 || p.V > 1100 {
			t.Errorf("a rate of 1000/s is %v after %d ms", p.V, p.T-began.UnixMilli())
		}
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
