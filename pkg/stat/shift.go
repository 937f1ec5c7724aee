package stat

import (
	"math"
	"slices"
)

// z95 is the two-sided 95 % point of the normal distribution.
const z95 = 1.959963984540054

// Shift is by how much the values of one sample lie above those of another: the median of all pairwise differences, and its 95 % confidence interval.
type Shift struct{ Low, Mid, High float64 }

// HodgesLehmann estimates the shift from before to after. Both samples must have at least one value; with fewer than four a side the interval is unbounded.
//
// Source: J. L. Hodges and E. L. Lehmann, "Estimates of location based on rank tests", Ann. Math. Statist. 34 (1963), 598-611; the interval is that of P. K. Sen and of
// M. Hollander and D. A. Wolfe, "Nonparametric Statistical Methods", section 4.3.
func HodgesLehmann(before, after []float64) Shift {
	differences := make([]float64, 0, len(before)*len(after))
	for _, b := range before {
		for _, a := range after {
			differences = append(differences, a-b)
		}
	}
	slices.Sort(differences)
	s := Shift{Low: math.Inf(-1), Mid: middle(differences), High: math.Inf(1)}
	n, m := float64(len(before)), float64(len(after))
	k := int(math.Floor(n*m/2 - z95*math.Sqrt(n*m*(n+m+1)/12)))
	if k >= 1 {
		s.Low, s.High = differences[k-1], differences[len(differences)-k]
	}
	return s
}

// Median is the middle value, or the mean of the two middle ones; NaN if there is none.
func Median(values []float64) float64 { return middle(slices.Sorted(slices.Values(values))) }

func middle(sorted []float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// Holm adjusts p-values for being several, so that with all hypotheses true the chance of even one false alarm stays below the level that they are compared with.
// The order is kept.
//
// Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979), 65-70.
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case p[a] < p[b]:
			return -1
		case p[a] > p[b]:
			return 1
		}
		return 0
	})
	adjusted := make([]float64, len(p))
	least := 0.0
	for rank, i := range order {
		least = math.Max(least, math.Min(1, float64(len(p)-rank)*p[i]))
		adjusted[i] = least
	}
	return adjusted
}
