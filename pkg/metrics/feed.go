package metrics

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

// scrapeTimeout bounds one scrape. It is longer than the interval: a service under stress that answers late is late, not absent. Ticks that
// pass meanwhile are skipped for this feed only.
const scrapeTimeout = time.Second

// feed is one target or collector on its way into the storage. Whoever scrapes has its turn, so that samples arrive in the order of their times; what comes
// below turn belongs to whoever has it.
type feed struct {
	storage *memory
	labels  map[string]string
	read    func(context.Context) ([]reading, error)
	up      *stored // guarded by the storage's lock

	flushed chan time.Time // when a flush began
	turn    chan struct{}
	last    int64            // time of the last scrape, Unix milliseconds
	seen    int64            // likewise of the last one that succeeded; 0 if none did
	series  map[*stored]bool // with a value at the last scrape
	known   map[string]*stored

	knownBytes int // of its keys

	mu  sync.Mutex
	err error // of the last scrape
}

// reading is one line of an exposition, or of a collector: its full labels as text identify it.
type reading struct {
	key     string
	labels  func() labels.Labels
	value   float64
	counter bool
	at      time.Time // when it says it was taken; zero if it does not
}

func newFeed(m *memory, l map[string]string, read func(context.Context) ([]reading, error)) *feed {
	return &feed{storage: m, labels: l, read: read, flushed: make(chan time.Time, 1), turn: make(chan struct{}, 1), series: map[*stored]bool{}, known: map[string]*stored{}}
}

// take waits for the feed's turn; false if ctx ended first.
func (f *feed) take(ctx context.Context) bool {
	select {
	case f.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (f *feed) give() { <-f.turn }

func (f *feed) lastError() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// run scrapes every interval, counted anew from each flush: PromQL extrapolates less where scrapes are irregular, and then a steady rate seems to fall. A time that
// passes while a scrape is under way is skipped.
func (f *feed) run(ctx context.Context, interval time.Duration) {
	next := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-f.flushed:
			next = at.Add(interval)
		case <-timer.C:
			if !f.take(ctx) {
				return
			}
			f.scrape(ctx)
			f.give()
			next = following(next, time.Now(), interval)
		}
		timer.Reset(time.Until(next))
	}
}

// following is the time of the regular scrape after the one that was due at a time and is done now: the next whole interval that has not passed.
func following(due, now time.Time, interval time.Duration) time.Time {
	return due.Add(interval * (1 + max(0, now.Sub(due)/interval)))
}

// flush scrapes between two regular times, within the patience of whoever waits for it.
func (f *feed) flush(waiting, life context.Context) {
	if !f.take(waiting) {
		return
	}
	defer f.give()
	began := time.Now()
	f.scrape(life)
	select {
	case f.flushed <- began:
	default: // an earlier one has not been heard yet, and is as good
	}
}

// scrape reads once and stores everything under the time at which it began.
func (f *feed) scrape(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	f.awaitMillisecond()
	began := time.Now()
	t := max(began.UnixMilli(), f.last+1)
	readCtx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	readings, err := f.read(readCtx)
	if ctx.Err() != nil && err != nil {
		return // cut short from outside: says nothing about the target
	}
	if err == nil {
		err = f.room(readings)
	}
	if err != nil {
		readings = nil
	}
	f.mu.Lock()
	f.err = err
	f.mu.Unlock()
	f.store(t, readings, err == nil, time.Since(began))
	if f.last = t; err == nil {
		f.seen = t
	}
}

// awaitMillisecond waits for the millisecond after the last scrape's if that is now: two samples of a series cannot have one time, and one that was stored under
// a later time than it was taken would be missing from a query at its own. A clock that was set back further is not waited for.
func (f *feed) awaitMillisecond() {
	if now := time.Now(); now.UnixMilli() == f.last {
		time.Sleep(now.Truncate(time.Millisecond).Add(time.Millisecond).Sub(now))
	}
}

func (f *feed) store(t int64, readings []reading, up bool, took time.Duration) {
	f.storage.mu.Lock()
	defer f.storage.mu.Unlock()
	now := make(map[*stored]bool, len(readings))
	for _, r := range readings {
		s := f.resolve(r)
		f.bear(s, r)
		s.append(t, r.value)
		now[s] = true
	}
	for s := range f.series {
		if !now[s] {
			s.append(t, math.Float64frombits(value.StaleNaN))
		}
	}
	f.series = now
	f.up = f.own("up", t, map[bool]float64{true: 1}[up])
	f.own("scrape_duration_seconds", t, took.Seconds())
}

func (f *feed) resolve(r reading) *stored {
	if s, ok := f.known[r.key]; ok {
		return s
	}
	s, _ := f.storage.find(f.with(r.labels()))
	s.counter = s.counter || r.counter
	f.known[r.key] = s
	return s
}

// bear counts a counter that is born with a value from zero at the last scrape that saw the target without it: its first events would be lost otherwise,
// and those are the errors that a fault causes. That scrape may lie before others that failed, and those before the beginning of a window: as of any counter, a
// window has what was counted between two scrapes that are both in it.
func (f *feed) bear(s *stored, r reading) {
	if s.counter && f.seen > 0 && len(s.samples) == 0 && r.value != 0 {
		s.append(f.seen, 0)
	}
}

// with adds the feed's labels; one that the exposition has too is kept as exported_NAME, as Prometheus does.
func (f *feed) with(l labels.Labels) labels.Labels {
	b := labels.NewBuilder(l)
	for name, v := range f.labels {
		if had := l.Get(name); had != "" && had != v {
			b.Set("exported_"+name, had)
		}
		b.Set(name, v)
	}
	return b.Labels()
}

func (f *feed) own(name string, t int64, v float64) *stored {
	s, ok := f.known[name]
	if !ok {
		s, _ = f.storage.find(f.with(labels.FromStrings(model.MetricNameLabel, name)))
		f.known[name] = s
	}
	s.append(t, v)
	return s
}

func readCollector(c Collector) []reading {
	samples := c.Collect()
	readings := make([]reading, len(samples))
	for i, s := range samples {
		l := labels.NewBuilder(labels.FromMap(s.Labels)).Set(model.MetricNameLabel, s.Name).Labels()
		readings[i] = reading{key: l.String(), labels: func() labels.Labels { return l }, value: s.Value, counter: s.Counter}
	}
	return readings
}
