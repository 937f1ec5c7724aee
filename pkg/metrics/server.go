package metrics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// Paced is a Source that scrapes by a clock of its own, so that a phase cannot begin with a scrape. What happened between its beginning and the first scrape
// after that is missing from a window that lies wholly inside it, be it the burst of errors that a kill causes; a window that begins with the scrape before has it.
type Paced interface {
	// Before answers when the last scrapes not after t began, the earliest of all targets; t itself if there were none lately.
	Before(ctx context.Context, t time.Time) (time.Time, error)
}

// Server is a real Prometheus that measures one experiment. It is safe for concurrent use.
type Server struct {
	*Remote
	interval     time.Duration
	targets      int    // how many it must scrape; 0 if it was not told of any
	up           string // the selector of their `up`
	announcement *Announcement
	cut          atomic.Bool
}

// NewServer measures the services with a server that scrapes at an interval. An announcement, if there is one, belongs to it from here on.
func NewServer(r *Remote, interval time.Duration, services []string, a *Announcement) *Server {
	s := &Server{Remote: r, interval: interval, announcement: a, up: "up" + serviceSelector(services)}
	if a != nil {
		s.targets, s.up = a.targets, "up" // the scope says whose
	}
	return s
}

// discoveryPatience is how long a server may take to find what was announced: it looks for changes every five seconds, and hands them on after five more.
const discoveryPatience = 30 * time.Second

// Await returns when the server has scraped each target that was announced.
func (s *Server) Await(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, discoveryPatience)
	defer cancel()
	found, problem := 0, error(nil)
	for s.targets > 0 {
		if found, _, problem = s.scraped(waiting, time.Now()); problem == nil && found >= s.targets {
			return nil
		}
		if !pause(waiting, s.pollEvery()) {
			return errors.Join(ctx.Err(), fmt.Errorf("%s has scraped %d of %d targets within %v; it must read %s with file_sd_configs",
				s.Remote.Describe(), found, s.targets, discoveryPatience, s.announcement.Pattern()), problem)
		}
	}
	return nil
}

// Flush returns when every target has been scraped after the call, so that a window that ends then is complete. A target that does not come in time, or a server that
// scrapes nothing, is no error: coverage says so.
func (s *Server) Flush(ctx context.Context) error {
	begun := time.Now().Truncate(time.Millisecond)
	waiting, cancel := context.WithTimeout(ctx, s.interval+flushPatience)
	defer cancel()
	for {
		_, earliest, err := s.scraped(waiting, time.Now())
		switch {
		case waiting.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		case earliest.IsZero() || !earliest.Before(begun):
			return nil
		case !pause(waiting, s.pollEvery()):
			return ctx.Err()
		}
	}
}

func (s *Server) pollEvery() time.Duration {
	return min(max(s.interval/10, 10*time.Millisecond), time.Second)
}

// pause waits for a while; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Before implements Paced.
func (s *Server) Before(ctx context.Context, t time.Time) (time.Time, error) {
	_, earliest, err := s.scraped(ctx, t)
	if earliest.IsZero() {
		return t, err
	}
	return earliest, err
}

// scraped answers how many targets had been scraped lately at a time, and when the earliest of their last scrapes was; zero if there was none. A target that hangs
// is not waited for: what it did last does not count.
func (s *Server) scraped(ctx context.Context, at time.Time) (targets int, earliest time.Time, err error) {
	latest := at.Add(-alignIntervals * s.interval)
	r, err := s.Query(ctx, fmt.Sprintf("timestamp(%s) >= %.3f", s.up, float64(latest.UnixMilli())/1000), at)
	for _, series := range r.Series {
		t := time.UnixMilli(int64(math.Round(float64(series.Points[0].V) * 1000)))
		if earliest.IsZero() || t.Before(earliest) {
			earliest = t
		}
	}
	return len(r.Series), earliest, err
}

// Query implements Source.
func (s *Server) Query(ctx context.Context, query string, at time.Time) (Result, error) {
	if s.cut.Load() {
		return Result{Query: query, At: at, Series: []Series{}, Warnings: []string{}, Source: s.Describe()}, nil
	}
	return s.Remote.Query(ctx, query, at)
}

// Cut ends reading: the server goes on, and what it is cut off from is us.
func (s *Server) Cut() { s.cut.Store(true) }

// Close takes back what was announced.
func (s *Server) Close() error { return s.announcement.Close() }
