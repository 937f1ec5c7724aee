package verdict

import (
	"math"

	"chaosgate/pkg/stat"
)

// z95 is the point of one-sided 95 % bounds.
const z95 = stat.OneIn20

// settling estimates how many events would settle whether a proportion that now looks like k in n is on one side of limit, by the distance
// between the two: the bound's half width shrinks with the root of n. It is +Inf if the two are equal, other than at 0 and 100 %.
func settling(k, n, limit float64) float64 {
	p := k / n
	if sheer(p, limit) {
		return stat.Faultless(0)
	}
	distance := math.Abs(limit - p)
	if distance == 0 {
		return math.Inf(1)
	}
	need := z95 * z95 * math.Max(p*(1-p), limit*(1-limit)) / (distance * distance)
	return math.Ceil(math.Max(math.Max(need, stat.Faultless(limit)), n+1))
}
