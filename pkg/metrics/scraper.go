package metrics

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// DefaultInterval is how often the embedded scraper looks if nothing else is said.
const DefaultInterval = 250 * time.Millisecond

// Target is a place to scrape: the URL of an exposition, and the labels its series get.
type Target struct {
	URL    string
	Labels map[string]string
}

// Sample is one value of a collector inside this process.
type Sample struct {
	Name    string
	Labels  map[string]string
	Value   float64
	Counter bool // it only rises
}

// Collector is read on every scrape, as if it were an exposition; it must be safe for concurrent use.
type Collector struct {
	Labels  map[string]string
	Collect func() []Sample
}

// Scraper fills an embedded storage from targets and collectors, every interval and whenever Flush is called. A target that is slow or silent
// never holds up another one.
type Scraper struct {
	*Embedded
	client *http.Client
	feeds  []*feed
	life   context.Context // of every scrape; end ends it
	end    context.CancelFunc
	stop   context.CancelFunc // ends the regular scrapes
	ended  sync.WaitGroup
}

// NewScraper starts scraping at once; Close ends it.
func NewScraper(interval time.Duration, targets []Target, collectors []Collector) *Scraper {
	m := newMemory(interval)
	life, end := context.WithCancel(context.Background())
	ctx, stop := context.WithCancel(life)
	s := &Scraper{Embedded: newEmbedded(m, interval), client: newClient(), life: life, end: end, stop: stop}
	for _, t := range targets {
		s.feeds = append(s.feeds, newFeed(m, t.Labels, func(ctx context.Context) ([]reading, error) { return s.fetch(ctx, t.URL) }))
	}
	for _, c := range collectors {
		s.feeds = append(s.feeds, newFeed(m, c.Labels, func(context.Context) ([]reading, error) { return readCollector(c), nil }))
	}
	for _, f := range s.feeds {
		s.ended.Go(func() { f.run(ctx, interval) })
	}
	return s
}

// flushPatience is how long a flush waits for a target that does not answer. One that hangs has nothing to add to the window that the flush ends, and a fault must
// not last longer because of it.
const flushPatience = 150 * time.Millisecond

// Flush scrapes everything now and returns when every feed has answered or failed, or flushPatience is over. The samples' times lie between the call and the
// return, and they are visible to queries afterwards. A target that fails or hangs is no error: its `up` says so, as soon as the scrape is given up.
func (s *Scraper) Flush(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, flushPatience)
	defer cancel()
	flushed := make(chan struct{})
	var flushing sync.WaitGroup
	for _, f := range s.feeds {
		flushing.Go(func() { f.flush(waiting, s.life) })
	}
	s.ended.Go(func() { flushing.Wait(); close(flushed) })
	select {
	case <-flushed:
	case <-waiting.Done():
	}
	return ctx.Err()
}

// Cut ends scraping, flushes too, and returns when nothing more will be stored.
func (s *Scraper) Cut() {
	s.end()
	s.ended.Wait()
}

// Close ends scraping; what was stored can still be asked for.
func (s *Scraper) Close() error {
	s.Cut()
	s.client.CloseIdleConnections()
	return nil
}

// Errors answers the last error of each target that could not be scraped the last time, by URL or collector.
func (s *Scraper) Errors() []error {
	var all []error
	for _, f := range s.feeds {
		if err := f.lastError(); err != nil {
			all = append(all, fmt.Errorf("scrape %s: %w", f.labels["instance"], err))
		}
	}
	return all
}
