package metrics

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Trap: the failing replica whose scrapes die makes every ratio look better.
func TestCoverageKnowsWhoWasNotScraped(t *testing.T) {
	const interval = 100 * time.Millisecond
	s := still(t, interval)
	began := time.UnixMilli(1_800_000_000_000)
	value := func(name string) reading {
		return reading{key: name, value: 1, labels: func() labels.Labels { return labels.FromStrings(model.MetricNameLabel, name) }}
	}
	a := newFeed(s.storage, map[string]string{"service": "a", "instance": "a-1"}, nil)
	b := newFeed(s.storage, map[string]string{"service": "b", "instance": "b-1"}, nil)
	for i := range 21 {
		at := began.UnixMilli() + int64(i)*interval.Milliseconds()
		a.store(at, []reading{value("x"), value("y")}, true, 0)
		if i < 10 {
			b.store(at, []reading{value("x"), value("y"), value("z")}, true, 0)
		} else {
			b.store(at, nil, false, 0) // it does not answer any more
		}
	}
	got, err := Coverage(t.Context(), s, []string{"a", "b", "c"}, interval, began, began.Add(20*interval))
	want := []Covered{{Service: "a", Instance: "a-1", Expected: 20, Got: 20}, {Service: "b", Instance: "b-1", Expected: 20, Got: 10, Vanished: 3}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestNoServicesAndNoTimeNeedNoCoverage(t *testing.T) {
	s := still(t, time.Second)
	now := time.Now()
	for _, services := range [][]string{nil, {"a"}} {
		if covered, err := Coverage(t.Context(), s, services, time.Second, now, now); err != nil || len(covered) > 0 {
			t.Errorf("%v: %+v, %v", services, covered, err)
		}
	}
}
