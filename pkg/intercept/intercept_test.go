package intercept

import (
	"math"
	"testing"
	"time"
)

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		method, path string // of the fault
		asked, at    string
		want         bool
	}{
		{"", "", "GET", "/", true},
		{"", "", "OPTIONS", "*", true},
		{"GET", "", "GET", "/work", true},
		{"GET", "", "HEAD", "/work", false},
		{"", "/work", "POST", "/work", true},
		{"", "/work", "POST", "/work/", false},
		{"", "/work", "POST", "/worker", false},
		{"", "/work*", "POST", "/worker", true},
		{"", "/work*", "POST", "/work", true},
		{"", "/work*", "POST", "/wor", false},
		{"", "/work/*", "GET", "/work", false},
		{"", "/work/*", "GET", "/work/1/2", true},
		{"", "/*", "GET", "/", true},
		{"POST", "/work", "POST", "/work", true},
		{"POST", "/work", "GET", "/work", false},
		{"", "/a b", "GET", "/a b", true},
		{"", "/*", "OPTIONS", "*", false},
	} {
		if got := (Fault{Method: c.method, Path: c.path}).Matches(c.asked, c.at); got != c.want {
			t.Errorf("%q %q, asked %s %s: got %v", c.method, c.path, c.asked, c.at, got)
		}
	}
}

func TestFaultsThatAreNone(t *testing.T) {
	for want, f := range map[string]Fault{
		"probability is 0":        {Status: 503},
		"probability is 1.5":      {Status: 503, Probability: 1.5},
		"probability is NaN":      {Status: 503, Probability: math.NaN()},
		"either answered or held": {Probability: 1},
		"expected a status or":    {Probability: 1, Status: 503, Delay: time.Second},
		"status is 200":           {Probability: 1, Status: 200},
		"status is 600":           {Probability: 1, Status: 600},
		"delay is -1s":            {Probability: 1, Delay: -time.Second},
		"delay is 1h0m0s":         {Probability: 1, Delay: time.Hour},
		"jitter is 2s":            {Probability: 1, Delay: time.Second, Jitter: 2 * time.Second},
		"does not begin with /":   {Probability: 1, Status: 503, Path: "work"},
		"a * that is not its end": {Probability: 1, Status: 503, Path: "/*/work"},
		"has a query":             {Probability: 1, Status: 503, Path: "/work?key=1"},
	} {
		_, err := New(f, nil)
		wantError(t, err, want)
	}
	if (Fault{}).On() || !(Fault{Status: 500}).On() {
		t.Error("the zero fault is the only one that is none")
	}
}
