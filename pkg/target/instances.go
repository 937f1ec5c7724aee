package target

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Pick chooses among a service's instances those that a selection asks for: the same seed picks the same of the same names, whatever their order. The answer is
// sorted. A share is rounded up, so that it is at least one; more than there are is an error, since a smaller blast radius than was approved proves less.
func Pick(service string, instances []string, sel Selection) ([]string, error) {
	n, err := countOf(sel.Instances, len(instances))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", service, err)
	}
	all := slices.Sorted(slices.Values(instances))
	h := fnv.New64a()
	_, _ = h.Write([]byte(service)) // never fails
	r := rand.New(rand.NewPCG(sel.Seed, h.Sum64()))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return slices.Sorted(slices.Values(all[:n])), nil
}

// countOf is how many of n instances are asked for, at least one.
func countOf(wanted string, n int) (int, error) {
	if n < 1 {
		return 0, fmt.Errorf("it has no instance, so nothing would be selected")
	}
	switch wanted {
	case "", "all":
		return n, nil
	case "one":
		return 1, nil
	}
	if share, ok := strings.CutSuffix(wanted, "%"); ok {
		p, err := strconv.ParseFloat(share, 64)
		if err == nil && p > 0 && p <= 100 { // NaN is neither
			const nothing = 1e-9 // 7% of 100 is 7 and not 7.000000000000001
			return max(1, int(math.Ceil(float64(n)*p/100-nothing))), nil
		}
		return 0, fmt.Errorf("instances is %q, expected a share above 0%% and up to 100%%: nothing would be selected", wanted)
	}
	asked, err := strconv.Atoi(wanted)
	switch {
	case err != nil || asked < 1:
		return 0, fmt.Errorf("instances is %q, expected one, all, a number above 0 or a share such as 50%%", wanted)
	case asked > n:
		return 0, fmt.Errorf("instances is %d, but it has %d", asked, n)
	}
	return asked, nil
}
