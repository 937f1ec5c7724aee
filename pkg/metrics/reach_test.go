package metrics

import (
	"errors"
	"testing"
	"time"
)

// partOfError is the part of an expression that an error points at.
func partOfError(query string, err error) string {
	var where *ParseError
	if !errors.As(err, &where) {
		return ""
	}
	return query[where.Start:where.End]
}

func TestWhatLooksFurtherBack(t *testing.T) {
	for query, want := range map[string]string{
		`sum(rate(a[5s]))`:                           "",
		`sum(rate(a{b="c"}[6s])) / 2`:                `a{b="c"}[6s]`,
		`sum(rate(a[5s])) / sum(rate(b[5m]))`:        `b[5m]`,
		`max_over_time(rate(a[2s])[3s:1s])`:          "",
		`max_over_time(rate(a[2s])[4s:1s])`:          `a[2s]`,
		`max_over_time(a[6s:1s])`:                    `a[6s:1s]`,
		`max_over_time(max_over_time(a[3s:])[3s:])`:  `a[3s:]`,
		`max_over_time(a[5s:1h]) + max_over_time(b)`: "", // no PromQL
		`a offset 1h`:                                "",
	} {
		if got := partOfError(query, Reach(query, 5*time.Second)); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

func TestWhatLooksAtAnotherTime(t *testing.T) {
	for query, want := range map[string]string{
		`sum(rate(a[5s]))`:                      "",
		`a offset 0s`:                           "",
		`sum(a) - sum(a offset 5s)`:             "a offset 5s",
		`sum(a) - sum(a offset -5s)`:            "a offset -5s",
		`sum(a @ 1700000000)`:                   "a @ 1700000000",
		`sum(a @ start())`:                      "a @ start()",
		`max_over_time(a[5s:1s] offset 1m)`:     "a[5s:1s] offset 1m",
		`max_over_time(a[5s:1s] @ end())`:       "a[5s:1s] @ end()",
		`max_over_time((a offset 1s)[5s:1s])`:   "a offset 1s",
		`absent(a offset 1s)`:                   "a offset 1s",
		`sum(offset)`:                           "",
		`sum(increase(a{b="@ offset 5s"}[5s]))`: "",
	} {
		if got := partOfError(query, Shifted(query)); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}
