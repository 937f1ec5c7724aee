package stat

import "math"

// The points of the normal distribution for one-sided bounds: each bound is wrong in at most one case of twenty, or of a thousand.
const (
	OneIn20   = 1.6448536269514722
	OneIn1000 = 3.090232306167813
)

// Wilson answers the lower and upper bound of a proportion of which k in n were seen, for a point z of the normal distribution. Nothing seen leaves everything
// possible.
//
// Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209-212.
func Wilson(k, n, z float64) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	p := math.Min(math.Max(k/n, 0), 1)
	z2 := z * z
	mid := (p + z2/(2*n)) / (1 + z2/n)
	half := z / (1 + z2/n) * math.Sqrt(p*(1-p)/n+z2/(4*n*n))
	return math.Max(0, mid-half), math.Min(1, mid+half)
}

// Nought is what a proportion of 0 is taken for where it is asked how many events show it: no number of them shows that something never happens.
const Nought = 0.01

// Faultless answers how many events without a single hit show, with 95 % confidence, that a proportion is below limit: the least n with (1-limit)^n <= 0.05. It is
// 299 for 1 %, as many as for Nought for 0 and less, and 1 for a limit of 1 and more, which nothing exceeds.
func Faultless(limit float64) float64 {
	if limit <= 0 {
		limit = Nought
	}
	if limit >= 1 {
		return 1
	}
	return math.Ceil(math.Log(0.05) / math.Log(1-limit))
}

// Rise answers the lower bound of the difference between two proportions, the second less the first: above zero it has risen.
//
// Source: R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statist. Med. 17 (1998), 873-890, method 10.
func Rise(k1, n1, k2, n2, z float64) float64 {
	if n1 <= 0 || n2 <= 0 {
		return -1
	}
	_, high := Wilson(k1, n1, z)
	low, _ := Wilson(k2, n2, z)
	p1, p2 := k1/n1, k2/n2
	return p2 - p1 - math.Hypot(high-p1, p2-low)
}
