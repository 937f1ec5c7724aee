package process

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// checkInstances says whether the one instance that a service has here satisfies how many were asked for.
func checkInstances(wanted string) error {
	switch wanted {
	case "", "one", "all", "1":
		return nil
	}
	if share, ok := strings.CutSuffix(wanted, "%"); ok {
		p, err := strconv.ParseFloat(share, 64)
		if err == nil && p > 0 && p <= 100 && !math.IsNaN(p) {
			return nil // rounded up: a share of one instance is that instance
		}
		return fmt.Errorf("instances is %q, expected a share above 0%% and up to 100%%: nothing would be selected", wanted)
	}
	n, err := strconv.Atoi(wanted)
	switch {
	case err != nil || n < 1:
		return fmt.Errorf("instances is %q, expected one, all, a number above 0 or a share such as 50%%", wanted)
	default:
		return fmt.Errorf("instances is %d, but on local processes a service has 1 instance", n)
	}
}
