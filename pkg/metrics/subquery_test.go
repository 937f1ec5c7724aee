package metrics

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// What a query may cost is bounded before it is asked, by its steps, and while it is asked, by its samples and its time.
func TestExpensiveQueriesAreBounded(t *testing.T) {
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "m{n=\"%d\"} %d\n", i, i)
	}
	s := still(t, 250*time.Millisecond, target(newExporter(t, text.String()), "a"))
	at := flush(t, s)
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	for query, refused := range map[string]bool{
		`sum_over_time({__name__=~".+"}[50y:1ms])`:                                 true,
		`max_over_time(m[10y:])`:                                                   true,
		`max_over_time(max_over_time(m[1m:1s])[1000h:1m])`:                         true,
		`max_over_time(max_over_time(m[1000h:1s])[1m:1s])`:                         true,
		`max_over_time(m[50y])`:                                                    false,
		`count({__name__=~".+"})`:                                                  false,
		`max_over_time(m[10m:1s])`:                                                 false,
		`max_over_time(m[1h:])`:                                                    true,
		`max_over_time(m[30m:])`:                                                   false,
		`count(m * on() group_left() (m{n="1"}))`:                                  false,
		`sum(max_over_time(max_over_time(max_over_time(m[5m:1s])[1h:1s])[4h:1s]))`: false, // long, not large
	} {
		var where *ParseError
		_, err := Parse(query)
		if errors.As(err, &where) != refused {
			t.Errorf("%s: got %v", query, err)
			continue
		}
		_, err = s.Query(t.Context(), query, at)
		if _, rangeErr := s.QueryRange(t.Context(), query, at.Add(-time.Second), at, 250*time.Millisecond); refused && (err == nil || rangeErr == nil) {
			t.Errorf("%s: it was asked: %v, %v", query, err, rangeErr)
		}
	}
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	if used := int64(after.Sys) - int64(before.Sys); used > 1<<30 {
		t.Errorf("%d MiB more were taken from the system", used>>20)
	}
}
