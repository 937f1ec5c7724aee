package experiments

import (
	"slices"
	"strings"
	"testing"

	"chaosgate/pkg/propagation"
)

// way is how far the fault of an experiment is known to travel in the shipped environment, as its services are built. Only what is certain is listed: a busy
// machine may make anything slow.
type way struct {
	variant, scenario string
	rises             []string // "place signal"
	stays             []string // likewise, of what must not rise
	reaches           string   // the places that it must get to, in this order
}

var ways = []way{
	// service-a retries, breaks and falls back: errors end inside of it.
	{"", "database-failure", []string{"service-b/orders errors", "service-b errors", "service-a inside"}, []string{"service-a errors", "callers errors"}, "service-b/orders service-b service-a"},
	{"", "network-partition", []string{"service-a inside"}, []string{"service-b errors", "service-a errors", "callers errors"}, "service-a"},
	{"", "service-pause", []string{"service-b unreachable", "service-a inside"}, []string{"service-a errors", "callers errors"}, "service-b service-a"},
	// service-b reads only, so nobody who calls it sees an error.
	{"", "database-readonly", []string{"service-b/orders errors", "service-b inside"}, []string{"service-b errors", "service-a errors", "callers errors"}, "service-b/orders service-b"},

	// Without its fallback nothing ends at service-a.
	{"no-fallback", "database-failure", []string{"service-b/orders errors", "service-b errors", "service-a errors", "callers errors"}, nil, "service-b/orders service-b service-a callers"},
	{"no-fallback", "service-kill", []string{"service-b unreachable", "service-a errors", "callers errors"}, nil, "service-b service-a callers"},
	{"no-fallback", "service-stop", []string{"service-b unreachable", "service-a errors", "callers errors"}, nil, "service-b service-a callers"},
	{"no-degraded-mode", "database-readonly", []string{"service-b/orders errors", "service-b errors", "service-a errors", "callers errors"}, nil, "service-b/orders service-b service-a callers"},
	// Without its time-outs it is as slow as what it calls.
	{"no-timeout", "network-latency", []string{"service-a slow", "callers slow"}, []string{"service-b errors"}, "service-a callers"},
}

// tookTheirWays compares what a report says about the spread of faults with what is known.
func tookTheirWays(t *testing.T, variant string, r report) {
	t.Helper()
	for _, w := range ways {
		i := slices.IndexFunc(r.Scenarios, func(s scenario) bool { return s.Name == w.scenario })
		if w.variant != variant || i < 0 {
			continue
		}
		if len(r.Scenarios[i].Spreads) != 1 {
			t.Errorf("%s: how %d faults spread is told, want one", w.scenario, len(r.Scenarios[i].Spreads))
			continue
		}
		spread := r.Scenarios[i].Spreads[0]
		for _, wanted := range w.rises {
			if !rose(spread, wanted) {
				t.Errorf("%s %s: %s did not rise: %s", variant, w.scenario, wanted, spread.Summary)
			}
		}
		for _, unwanted := range w.stays {
			if rose(spread, unwanted) {
				t.Errorf("%s %s: %s rose: %s", variant, w.scenario, unwanted, spread.Summary)
			}
		}
		if got := strings.Join(spread.Reach, " "); !strings.HasPrefix(got+" ", w.reaches+" ") {
			t.Errorf("%s %s: it reached %s, want %s: %s", variant, w.scenario, got, w.reaches, spread.Summary)
		}
	}
}

func rose(s propagation.Spread, what string) bool {
	place, signal, _ := strings.Cut(what, " ")
	for _, p := range s.Places {
		for _, measured := range p.Signals {
			if p.Name == place && measured.Name == signal {
				return measured.Rose
			}
		}
	}
	return false
}

// A way that no run of the tests takes shows nothing.
func TestEveryWayIsTaken(t *testing.T) {
	for _, w := range ways {
		taken := w.variant == "" && slices.Contains(files(t), "experiments/"+w.scenario+".yaml")
		for _, v := range weakened {
			taken = taken || v.variant == w.variant && slices.Contains(v.scenarios, w.scenario)
		}
		if !taken {
			t.Errorf("no test runs %s with %q", w.scenario, w.variant)
		}
	}
}
