package postgres

import (
	"strings"
	"testing"
)

// The name of a fault's sessions is kept whole by any server, is its own, and says which fault it is.
func TestName(t *testing.T) {
	seen := map[string]bool{}
	for range 2 {
		for _, c := range []struct{ origin, step string }{
			{"20261125-204301-9u7x/database-failure", "locked"}, {"run/" + strings.Repeat("experiment", 9), strings.Repeat("step", 20)}, {"r/e (delay=1ms, who=\n'ü')", "s"},
		} {
			name := Name(c.origin, c.step)
			plain := !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' })
			if len(name) > 63 || !strings.HasPrefix(name, Prefix) || !strings.Contains(name, c.step[:1]) || !plain || seen[name] {
				t.Errorf("%v is %q", c, name)
			}
			seen[name] = true
		}
	}
}
