package agent

import (
	"testing"
	"time"
)

// Only questions in a row count, each of which had its whole time, and no more than that.
func TestWatch(t *testing.T) {
	type question struct {
		heard bool
		ago   time.Duration
	}
	no, yes, late := question{ago: beat}, question{heard: true, ago: beat}, question{ago: 10 * beat}
	for name, c := range map[string]struct {
		all  []question
		over bool
	}{
		"nothing asked":         {nil, false},
		"all answered":          {[]question{yes, yes, yes, yes}, false},
		"too few":               {[]question{no, no}, false},
		"enough":                {[]question{yes, no, no, no}, true},
		"not in a row":          {[]question{no, no, yes, no, no}, false},
		"stood still ourselves": {[]question{no, no, late, no, no}, false},
		"for longer":            {[]question{late, late, late, late}, false},
	} {
		var w watch
		for _, q := range c.all {
			w.note(q.heard, q.ago)
		}
		if w.over() != c.over {
			t.Errorf("%s: over is %v", name, w.over())
		}
	}
}
