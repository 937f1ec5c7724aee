package resilience

import (
	"sync"
	"time"
)

// maxKeys bounds the memory of a cache; beyond it, putting a new key drops some other key.
const maxKeys = 1024

// Stale remembers the last good value of each key, to answer with when a fresh one cannot be had.
// The zero value is empty and ready; safe for concurrent use.
type Stale[T any] struct {
	mu      sync.Mutex
	entries map[string]entry[T]
}

type entry[T any] struct {
	value T
	at    time.Time
}

// Put remembers a fresh value.
func (s *Stale[T]) Put(key string, value T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == nil {
		s.entries = make(map[string]entry[T])
	}
	if _, known := s.entries[key]; !known && len(s.entries) >= maxKeys {
		for other := range s.entries {
			delete(s.entries, other)
			break
		}
	}
	s.entries[key] = entry[T]{value, time.Now()}
}

// Get returns the last good value and its age; false when there never was one.
func (s *Stale[T]) Get(key string) (value T, age time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	return e.value, time.Since(e.at), ok
}
