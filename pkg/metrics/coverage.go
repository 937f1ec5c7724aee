package metrics

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Covered says how well one target was scraped in a stretch of time.
type Covered struct {
	Service  string  `json:"service"`
	Instance string  `json:"instance"`
	Expected float64 `json:"expected"` // scrapes, by the interval
	Got      float64 `json:"got"`      // scrapes that succeeded, at most Expected
	Vanished int     `json:"vanished"` // series that were there at the beginning and not at the end
}

// Coverage answers how well the targets of some services were scraped in a stretch of time, by the source's own record of it (`up`). A target without any record is
// missing from the answer. It uses ordinary queries and works on every source.
func Coverage(ctx context.Context, src Source, services []string, interval time.Duration, from, to time.Time) ([]Covered, error) {
	expected := float64(to.Sub(from) / interval)
	if len(services) == 0 || expected < 1 {
		return nil, nil
	}
	selector := serviceSelector(services)
	scraped, err := byInstance(ctx, src, fmt.Sprintf("sum_over_time(up%s[%s])", selector, duration(Window(from, to))), to)
	if err != nil {
		return nil, err
	}
	vanished, err := byInstance(ctx, src, vanishedQuery(selector, interval, from, to), to)
	if err != nil {
		return nil, err
	}
	all := []Covered{}
	for key, got := range scraped {
		all = append(all, Covered{Service: key[0], Instance: key[1], Expected: expected, Got: min(got, expected), Vanished: int(vanished[key])})
	}
	slices.SortFunc(all, func(a, b Covered) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Instance, b.Instance))
	})
	return all, nil
}

// Missed is the PromQL behind how many scrapes of a service failed in a window, all its instances together.
func Missed(service string, window time.Duration) string {
	selector, w := serviceSelector([]string{service}), duration(window)
	return fmt.Sprintf("sum(count_over_time(up%s[%s])) - sum(sum_over_time(up%s[%s]))", selector, w, selector, w)
}

// vanishedQuery counts the series that had a value at the beginning and have none at the end. Set operators do not look at names, so those become labels first.
func vanishedQuery(selector string, interval time.Duration, from, to time.Time) string {
	at := func(t time.Time) string {
		return fmt.Sprintf(`label_replace(last_over_time(%s[%s] @ %.3f), "series", "$1", "__name__", "(.+)")`, selector, duration(lookbackIntervals*interval), float64(t.UnixMilli())/1000)
	}
	// One interval later everything has been scraped for the first time.
	return fmt.Sprintf("count by (service, instance) (%s unless %s)", at(from.Add(interval)), at(to))
}

func byInstance(ctx context.Context, src Source, query string, at time.Time) (map[[2]string]float64, error) {
	r, err := src.Query(ctx, query, at)
	if err != nil {
		return nil, err
	}
	all := map[[2]string]float64{}
	for _, s := range r.Series {
		if len(s.Points) > 0 {
			all[[2]string{s.Labels["service"], s.Labels["instance"]}] += float64(s.Points[0].V)
		}
	}
	return all, nil
}

// serviceSelector selects everything of some services. Their names are DNS labels, so only dots could mean something in a regular expression.
func serviceSelector(services []string) string {
	return fmt.Sprintf("{service=~%q}", strings.ReplaceAll(strings.Join(services, "|"), ".", `\.`))
}
