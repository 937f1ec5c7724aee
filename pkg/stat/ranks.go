// Package stat compares two samples without assuming how they are distributed, as latencies are not normal. It knows nothing of chaos.
package stat

import (
	"cmp"
	"math"
	"slices"
)

// exactLimit is up to which product of the sizes the distribution of U is computed exactly; beyond it the normal approximation is good to three digits.
const exactLimit = 2500

// MannWhitney answers U of the first sample (in how many pairs its value is the larger one, a tie counting half) and the two-sided p-value of the hypothesis that
// both samples come from one distribution. The p-value is exact without ties and for sizes up to 50 by 50, else it is the normal approximation with corrections
// for ties and continuity. It is 1 for an empty sample. NaN must not be among the values.
//
// Source: H. B. Mann and D. R. Whitney, "On a test of whether one of two random variables is stochastically larger than the other", Ann. Math. Statist. 18 (1947), 50-60.
func MannWhitney(a, b []float64) (u, p float64) {
	n, m := float64(len(a)), float64(len(b))
	if n == 0 || m == 0 {
		return 0, 1
	}
	rankSum, ties := ranks(a, b)
	u = rankSum - n*(n+1)/2
	if ties == 0 && n*m <= exactLimit {
		return u, exact(len(a), len(b), int(math.Round(math.Min(u, n*m-u))))
	}
	total := n + m
	variance := n * m / 12 * (total + 1 - ties/(total*(total-1)))
	if variance <= 0 { // all values are equal
		return u, 1
	}
	z := (math.Abs(u-n*m/2) - 0.5) / math.Sqrt(variance)
	return u, math.Min(1, math.Erfc(math.Max(z, 0)/math.Sqrt2))
}

// ranks answers the sum of the ranks of the first sample among all values, equal values sharing theirs, and the sum of t^3-t over the groups of equal values.
func ranks(a, b []float64) (sum, ties float64) {
	type value struct {
		v     float64
		first bool
	}
	all := make([]value, 0, len(a)+len(b))
	for _, v := range a {
		all = append(all, value{v, true})
	}
	for _, v := range b {
		all = append(all, value{v, false})
	}
	slices.SortFunc(all, func(x, y value) int { return cmp.Compare(x.v, y.v) })
	for from := 0; from < len(all); {
		to := from
		for to < len(all) && all[to].v == all[from].v {
			to++
		}
		rank := float64(from+1+to) / 2
		for _, x := range all[from:to] {
			if x.first {
				sum += rank
			}
		}
		t := float64(to - from)
		ties += t*t*t - t
		from = to
	}
	return sum, ties
}

// exact is the two-sided p-value of a U that is u or less on the nearer side: twice the part of all arrangements in which it is.
func exact(n, m, u int) float64 {
	counts := arrangements(n, m)
	var below, all float64
	for i, c := range counts {
		if i <= u {
			below += c
		}
		all += c
	}
	return math.Min(1, 2*below/all)
}

// arrangements answers in how many orders of n and m values U is 0, 1, 2, ...: the coefficients of the Gaussian binomial, built up by one value at a time.
func arrangements(n, m int) []float64 {
	counts := make([]float64, n*m+1)
	counts[0] = 1
	for i := 1; i <= n; i++ {
		// times (1 - q^(m+i)), divided by (1 - q^i)
		for u := len(counts) - 1; u >= m+i; u-- {
			counts[u] -= counts[u-m-i]
		}
		for u := i; u < len(counts); u++ {
			counts[u] += counts[u-i]
		}
	}
	return counts
}
