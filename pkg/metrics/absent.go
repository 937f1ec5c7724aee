package metrics

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

var inf = math.Inf(1)

// Absent says in a sentence why a selector can have no data: no series has its name, or none has one of its labels. Empty means that both exist in the window,
// so that an empty answer means "none of these yet" and not "a typo". It uses ordinary queries and works on every source.
func Absent(ctx context.Context, src Source, selector string, from, to time.Time) (string, error) {
	s, err := plainSelector(selector)
	if err != nil {
		return "", err
	}
	return s.absent(ctx, src, Window(from, to), to)
}

func (s Selector) absent(ctx context.Context, src Source, window time.Duration, at time.Time) (string, error) {
	n, err := countSeries(ctx, src, s.Name, window, at)
	if err != nil {
		return "", err
	}
	if n == 0 {
		return fmt.Sprintf("no series is named %s in the window", s.Name), nil
	}
	for _, m := range s.Matchers {
		if m.Matches("") {
			continue // it also selects series without the label
		}
		any := labels.MustNewMatcher(labels.MatchNotEqual, m.Name, "")
		with := Selector{Matchers: []*labels.Matcher{any}}
		n, err := countSeries(ctx, src, with.write(s.Name), window, at)
		if err != nil {
			return "", err
		}
		if n == 0 {
			return fmt.Sprintf("no series of %s has a label %s in the window", s.Name, m.Name), nil
		}
	}
	return "", nil
}

func countSeries(ctx context.Context, src Source, selector string, window time.Duration, at time.Time) (float64, error) {
	r, err := src.Query(ctx, fmt.Sprintf("count(last_over_time(%s[%s]))", selector, duration(window)), at)
	if err != nil || len(r.Series) == 0 {
		return 0, err
	}
	return float64(r.Series[0].Points[0].V), nil
}
