package metrics

import "time"

// Aligner is a Source that knows when it scraped. A window that begins and ends with a scrape is exact: what happened between its ends is in it, all of it and
// nothing else. One that begins between two scrapes loses what came before its first sample, be it the burst of errors that a kill causes, and PromQL
// extrapolates only a part of the rest where scrapes are irregular, as they are around flushes.
type Aligner interface {
	// AlignStart answers when the scrapes began that were the last not after t; t itself if there were none lately.
	AlignStart(t time.Time) time.Time
	// AlignEnd answers when the last scrape not after t was; t itself if there was none lately.
	AlignEnd(t time.Time) time.Time
}

// alignIntervals is how many scrape intervals back a scrape may lie to be aligned with; a target that hangs must not move a window.
const alignIntervals = 2

// AlignStart implements Aligner.
func (s *Scraper) AlignStart(t time.Time) time.Time {
	return s.align(t, func(a, b int64) int64 { return min(a, b) })
}

// AlignEnd implements Aligner.
func (s *Scraper) AlignEnd(t time.Time) time.Time {
	return s.align(t, func(a, b int64) int64 { return max(a, b) })
}

// align chooses among the last scrapes of all feeds that are not after t.
func (s *Scraper) align(t time.Time, choose func(a, b int64) int64) time.Time {
	latest, earliest := t.UnixMilli(), t.Add(-alignIntervals*s.interval).UnixMilli()
	var at int64
	for _, f := range s.feeds {
		last := f.lastScrape(latest)
		switch {
		case last < earliest:
		case at == 0:
			at = last
		default:
			at = choose(at, last)
		}
	}
	if at == 0 {
		return t
	}
	return time.UnixMilli(at)
}

// lastScrape is when the feed was scraped last, not after t (Unix milliseconds); 0 if never. Every scrape leaves a sample of `up`.
func (f *feed) lastScrape(t int64) int64 {
	f.storage.mu.RLock()
	defer f.storage.mu.RUnlock()
	if f.up == nil {
		return 0
	}
	before := between(f.up.samples, 0, t)
	if len(before) == 0 {
		return 0
	}
	return before[len(before)-1].t
}
