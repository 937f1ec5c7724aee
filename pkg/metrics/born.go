package metrics

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// known is how far back a server is asked whether it has ever seen a series.
const known = time.Hour

// Birther is a Source that cannot tell how much a counter rose that is born with a value. The embedded storage counts those from zero.
type Birther interface {
	// Born says in a sentence that counters of a selector appeared in a stretch of time with a value above zero; "" if none did, or if no counter is selected.
	Born(ctx context.Context, selector string, from, to time.Time) (string, error)
}

// Born implements Birther. PromQL counts the first value of a series as nothing, and the first errors are what a fault causes: a window that has such a series would
// show fewer events than there were.
func (r *Remote) Born(ctx context.Context, selector string, from, to time.Time) (string, error) {
	s, err := plainSelector(selector)
	if err != nil || !slices.ContainsFunc(counterSuffixes, func(suffix string) bool { return strings.HasSuffix(s.Name, suffix) }) {
		return "", err
	}
	window := duration(Window(from, to))
	// Of a target that was scraped for the first time itself, nobody can tell; the embedded storage cannot either.
	query := fmt.Sprintf("count((min_over_time(%[1]s[%[2]s]) > 0 unless last_over_time(%[1]s[%[3]s] offset %[2]s)) "+
		"and on (service, instance) max_over_time(up[%[3]s] offset %[2]s) == 1)", s.Text, window, duration(known))
	answer, err := r.Query(ctx, query, to)
	if err != nil || len(answer.Series) == 0 {
		return "", err
	}
	return fmt.Sprintf("%.0f series of %s appeared in the window with a value already, and the server cannot tell how much of that is of the window: a counter should begin at 0",
		float64(answer.Series[0].Points[0].V), s.Text), nil
}
