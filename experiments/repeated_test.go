package experiments

import (
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	repeats = flag.Int("repeated.times", 0, "how often TestTheGateIsNotFlaky runs all experiments")
	busy    = flag.Int("repeated.busy", 0, "how many processors are kept busy meanwhile")
	lanes   = flag.String("repeated.jobs", "3", "how many experiments run at once")
)

// tally counts what experiments came to, and keeps why one did not pass.
type tally struct {
	states map[string]map[string]int // by experiment and state
	why    []string
}

func (c *tally) add(round int, r report) {
	for _, s := range r.Scenarios {
		if c.states[s.Name] == nil {
			c.states[s.Name] = map[string]int{}
		}
		c.states[s.Name][s.State]++
		for _, reason := range s.Reasons {
			c.why = append(c.why, fmt.Sprintf("round %d: %s %s: %s", round, s.Name, reason.State, reason.Text))
		}
	}
}

// String is a line for each experiment, and one for all.
func (c *tally) String() string {
	var out strings.Builder
	all := map[string]int{}
	line := func(name string, states map[string]int) {
		fmt.Fprintf(&out, "%-20s", name)
		for _, s := range []string{"PASS", "INCONCLUSIVE", "FAIL", "ERROR", "DIRTY"} {
			fmt.Fprintf(&out, " %s %d", s, states[s])
		}
		out.WriteByte('\n')
	}
	for _, name := range slices.Sorted(maps.Keys(c.states)) {
		line(name, c.states[name])
		for s, n := range c.states[name] {
			all[s] += n
		}
	}
	line("all", all)
	return out.String()
}

// A gate that closes for no reason is soon ignored. All experiments are run again and again against the services as they are, where nothing but PASS is true; `make
// repeated` does it a hundred times.
func TestTheGateIsNotFlaky(t *testing.T) {
	if *repeats == 0 {
		t.Skip("asked for with -repeated.times")
	}
	program := chaos(t)
	stop := burn(*busy)
	defer stop()
	count := &tally{states: map[string]map[string]int{}}
	for round := range *repeats {
		_, r, _ := run(t, program, append([]string{"--quiet", "--jobs", *lanes}, files(t)...)...)
		count.add(round+1, r)
		if len(count.why) > 0 {
			t.Logf("after %d rounds:\n%s%s", round+1, count, strings.Join(count.why, "\n"))
		}
	}
	t.Logf("%d rounds with --jobs %s, %d processors of %d busy besides:\n%s", *repeats, *lanes, *busy, runtime.NumCPU(), count)
	for name, states := range count.states {
		for _, bad := range []string{"FAIL", "ERROR", "DIRTY"} {
			if states[bad] > 0 {
				t.Errorf("%s came to %s %d times, which is not true", name, bad, states[bad])
			}
		}
	}
	if len(count.states) != len(files(t)) {
		t.Errorf("%d experiments were counted, want %d", len(count.states), len(files(t)))
	}
}

// burn keeps some processors busy until stop is called.
func burn(processors int) (stop func()) {
	var over atomic.Bool
	var burning sync.WaitGroup
	for range processors {
		burning.Go(func() {
			for !over.Load() { // that is all it is for
			}
		})
	}
	return func() { over.Store(true); burning.Wait() }
}
