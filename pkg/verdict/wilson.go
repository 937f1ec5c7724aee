package verdict

import "math"

// z95 is the 95 % point of the normal distribution, for one-sided bounds: each bound is wrong in at most one case of twenty.
const z95 = 1.6448536269514722

// wilson answers the lower and upper 95 % bounds (one-sided each) of a proportion of which k in n were seen.
//
// Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209-212.
func wilson(k, n float64) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	p := math.Min(math.Max(k/n, 0), 1)
	z2 := z95 * z95
	mid := (p + z2/(2*n)) / (1 + z2/n)
	half := z95 / (1 + z2/n) * math.Sqrt(p*(1-p)/n+z2/(4*n*n))
	return math.Max(0, mid-half), math.Min(1, mid+half)
}

// faultless is how many events without a single hit show, with 95 % confidence, that a proportion is below limit: the least n with
// (1-limit)^n <= 0.05. It is 299 for 1 %.
func faultless(limit float64) float64 {
	if limit <= 0 || limit >= 1 {
		return 1
	}
	return math.Ceil(math.Log(0.05) / math.Log(1-limit))
}

// settling estimates how many events would settle whether a proportion that now looks like k in n is on one side of limit, by the distance
// between the two: the bound's half width shrinks with the root of n. It is +Inf if the two are equal.
func settling(k, n, limit float64) float64 {
	p := k / n
	distance := math.Abs(limit - p)
	if distance == 0 {
		return math.Inf(1)
	}
	need := z95 * z95 * math.Max(p*(1-p), limit*(1-limit)) / (distance * distance)
	return math.Ceil(math.Max(math.Max(need, faultless(limit)), n+1))
}
