// Package mask takes secrets out of texts, in every form in which they usually turn up: quoted, escaped for JSON, HTML and URLs, and in Base64, where the
// characters before a secret shift those of its own.
package mask

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Mask is what stands where a secret stood.
const Mask = "***"

// Least is how long a secret must be, in bytes: a shorter one could not be taken out without taking half of every text with it.
const Least = 4

// Spare is how many bytes beyond a limit must be read of a text, so that a secret that lies across the limit is recognized; see Head.
const Spare = 64 << 10

// Set is the secrets of a program. A nil one, like an empty one, leaves every text as it is. It is safe for concurrent use.
type Set struct {
	mu       sync.RWMutex
	forms    map[string]bool
	replacer *strings.Replacer // nil while there is no secret
	longest  int
}

// Add makes values secret from here on. White space around them is none of the secret; each long enough line of one that has several is a secret as well. What
// is shorter than Least is ignored.
func (s *Set) Add(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forms == nil {
		s.forms = map[string]bool{}
	}
	for _, v := range values {
		for _, part := range append([]string{v}, strings.Split(v, "\n")...) {
			for _, form := range formsOf(strings.TrimSpace(part)) {
				s.forms[form] = true
				s.longest = max(s.longest, len(form))
			}
		}
	}
	// The longest first: a form that is a part of another must not break it.
	var pairs []string
	for _, form := range slices.SortedFunc(maps.Keys(s.forms), func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) }) {
		pairs = append(pairs, form, Mask)
	}
	if len(pairs) > 0 {
		s.replacer = strings.NewReplacer(pairs...)
	}
}

// Empty says whether there is nothing to take out.
func (s *Set) Empty() bool {
	r, _ := s.known()
	return r == nil
}

func (s *Set) known() (r *strings.Replacer, longest int) {
	if s == nil {
		return nil, 0
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.replacer, s.longest
}

// Text is a text without secrets.
func (s *Set) Text(text string) string {
	r, _ := s.known()
	if r == nil {
		return text
	}
	return r.Replace(text)
}

// Head is the beginning of a text without secrets, at most limit bytes. The text has been read to its end, or to Spare bytes beyond the limit: then a secret may
// have been cut in two where the reading ended, and as much as could be a part of one is left out there.
func (s *Set) Head(text string, limit int) string {
	r, longest := s.known()
	cut := len(text) > limit
	if r != nil {
		text = r.Replace(text)
	}
	if cut && r != nil {
		text = text[:max(0, len(text)-longest+1)]
	}
	return text[:min(len(text), limit)]
}
