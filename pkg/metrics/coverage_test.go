package metrics

import (
	"fmt"
	"testing"
	"time"
)

// Trap: the failing replica whose scrapes die makes every ratio look better.
func TestCoverageKnowsWhoWasNotScraped(t *testing.T) {
	good, failing := newExporter(t, fmt.Sprintf(errorsBorn, 1)), newExporter(t, fmt.Sprintf(errorsBorn, 1)+"other 1\n")
	s := still(t, 50*time.Millisecond, target(good, "a"), target(failing, "b"))
	from := time.Now()
	for i := range 10 {
		if i == 5 {
			failing.say("") // answers 500 from now on
		}
		flush(t, s)
		time.Sleep(50 * time.Millisecond) // samples need to be an interval apart
	}
	to := time.Now()
	covered, err := Coverage(t.Context(), s, []string{"a", "b", "c"}, 50*time.Millisecond, from, to)
	if err != nil || len(covered) != 2 {
		t.Fatalf("%+v, %v, want a and b", covered, err)
	}
	a, b := covered[0], covered[1]
	if a.Instance != "a-1" || a.Got < 0.9*a.Expected || a.Vanished != 0 {
		t.Errorf("the good one: %+v", a)
	}
	if b.Instance != "b-1" || b.Got > 0.6*b.Expected || b.Vanished != 2 {
		t.Errorf("the one that fails from the middle on: %+v, want about half of the scrapes and two series gone", b)
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
