package target_test

import (
	"slices"
	"strings"
	"testing"

	"chaosgate/pkg/target"
)

func names(n int) []string {
	var all []string
	for i := range n {
		all = append(all, "web-"+string(rune('a'+i%26))+string(rune('a'+i/26)))
	}
	return all
}

func TestHowManyInstancesArePicked(t *testing.T) {
	for _, c := range []struct {
		wanted string
		of     int
		want   int
	}{
		{"", 3, 3}, {"all", 1, 1}, {"all", 3, 3}, {"one", 3, 1}, {"2", 3, 2}, {"3", 3, 3}, {"50%", 3, 2}, {"50%", 4, 2}, {"1%", 3, 1}, {"0.0000000001%", 3, 1}, {"100%", 3, 3}, {"7%", 100, 7}, {"33.4%", 3, 2},
	} {
		got, err := target.Pick("web", names(c.of), target.Selection{Instances: c.wanted, Seed: 4})
		if err != nil || len(got) != c.want {
			t.Errorf("%q of %d: got %q, %v, want %d", c.wanted, c.of, got, err, c.want)
		}
	}
	for wanted, says := range map[string]string{"0": "instances is", "-1": "instances is", "4": "instances is 4, but it has 3", "half": "instances is", "0%": "nothing would be selected", "101%": "nothing would be selected", "NaN%": "nothing would be selected", "x%": "nothing would be selected"} {
		if got, err := target.Pick("web", names(3), target.Selection{Instances: wanted}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q of 3: got %q, %v", wanted, got, err)
		}
	}
	if got, err := target.Pick("web", nil, target.Selection{}); err == nil {
		t.Errorf("all of none: got %q", got)
	}
}

// The same seed picks the same, in whatever order the instances are found; over many seeds each instance is picked.
func TestTheSeedPicks(t *testing.T) {
	all := names(5)
	backwards := slices.Clone(all)
	slices.Reverse(backwards)
	seen := map[string]int{}
	for seed := range uint64(200) {
		sel := target.Selection{Instances: "2", Seed: seed}
		a, err := target.Pick("web", all, sel)
		b, err2 := target.Pick("web", backwards, sel)
		if err != nil || err2 != nil || !slices.Equal(a, b) || len(a) != 2 || !slices.IsSorted(a) || a[0] == a[1] {
			t.Fatalf("seed %d: %q and %q, %v %v", seed, a, b, err, err2)
		}
		for _, name := range a {
			seen[name]++
		}
	}
	for _, name := range all {
		if seen[name] < 40 { // 80 expected
			t.Errorf("%s was picked %d times of 200", name, seen[name])
		}
	}
}
