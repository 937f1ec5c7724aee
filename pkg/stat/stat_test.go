package stat

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The largest U that is significant at 5 %, two-sided, by the tables that textbooks print after Mann and Whitney (1947) and Auble (1953).
func TestCriticalValuesAreThoseOfTheTables(t *testing.T) {
	for _, c := range []struct{ n, m, u int }{
		{4, 4, 0}, {5, 5, 2}, {6, 6, 5}, {7, 7, 8}, {8, 8, 13}, {9, 9, 17}, {10, 10, 23}, {12, 12, 37}, {15, 15, 64}, {20, 20, 127},
		{3, 5, 0}, {5, 10, 8}, {8, 12, 22}, {10, 20, 55},
	} {
		if at, above := exact(c.n, c.m, c.u), exact(c.n, c.m, c.u+1); at > 0.05 || above <= 0.05 {
			t.Errorf("n=%d m=%d: p is %.4f at U=%d and %.4f at %d, want 0.05 between them", c.n, c.m, at, c.u, above, c.u+1)
		}
	}
}

func TestUCountsPairs(t *testing.T) {
	a, b := []float64{1, 4, 6, 6}, []float64{2, 3, 6}
	want := 0.0
	for _, x := range a {
		for _, y := range b {
			switch {
			case x > y:
				want++
			case x == y:
				want += 0.5
			}
		}
	}
	if u, _ := MannWhitney(a, b); u != want {
		t.Errorf("U is %g, want %g", u, want)
	}
}

// With ties and for large samples the approximation must agree with the exact value where both can be had.
func TestTheApproximationIsNearTheExactValue(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		a, b := normals(r, 20, 0), normals(r, 20, r.Float64())
		u, p := MannWhitney(a, b)
		n := 400.0
		z := (math.Abs(u-n/2) - 0.5) / math.Sqrt(n*41/12)
		if approximate := math.Erfc(math.Max(0, z) / math.Sqrt2); math.Abs(p-math.Min(1, approximate)) > 0.01 {
			t.Errorf("U=%g: p is %.4f, the approximation %.4f", u, p, approximate)
		}
	}
}

func TestNothingToCompareIsNoDifference(t *testing.T) {
	same := []float64{3, 3, 3, 3, 3, 3, 3, 3, 3, 3}
	for _, c := range [][2][]float64{{nil, same}, {same, nil}, {same, same}, {nil, nil}} {
		if _, p := MannWhitney(c[0], c[1]); p != 1 {
			t.Errorf("p is %g for %v and %v", p, c[0], c[1])
		}
	}
}

func normals(r *rand.Rand, n int, mean float64) []float64 {
	all := make([]float64, n)
	for i := range all {
		all[i] = mean + r.NormFloat64()
	}
	return all
}

// latencies are skewed with a long tail, as real ones are.
func latencies(r *rand.Rand, n int, scale float64) []float64 {
	all := make([]float64, n)
	for i := range all {
		all[i] = scale * math.Exp(0.5*r.NormFloat64())
	}
	return all
}

func TestFalseAlarmsAreAsRareAsTheLevelSays(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, size := range []int{10, 20, 40, 60} {
		const runs = 10_000
		alarms := 0
		for range runs {
			if _, p := MannWhitney(latencies(r, size, 1), latencies(r, size, 1)); p <= 0.05 {
				alarms++
			}
		}
		if rate := float64(alarms) / runs; rate < 0.03 || rate > 0.06 {
			t.Errorf("%d samples a side: %.2f%% false alarms, want 3%% to 6%%", size, rate*100)
		}
	}
}

func TestADoublingIsSeen(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const runs = 2_000
	seen := 0
	for range runs {
		if _, p := MannWhitney(latencies(r, 20, 1), latencies(r, 20, 2)); p <= 0.05 {
			seen++
		}
	}
	if power := float64(seen) / runs; power < 0.9 {
		t.Errorf("a doubling was seen in %.1f%% of runs, want over 90%%", power*100)
	}
}

func TestTheShiftIsFoundAndItsIntervalHoldsIt(t *testing.T) {
	if s := HodgesLehmann([]float64{1, 2, 3}, []float64{11, 12, 13}); s.Mid != 10 || !math.IsInf(s.Low, -1) || !math.IsInf(s.High, 1) {
		t.Errorf("got %+v", s)
	}
	r := rand.New(rand.NewPCG(7, 8))
	const runs, truth = 2_000, 1.5
	inside := 0
	for range runs {
		if s := HodgesLehmann(normals(r, 15, 0), normals(r, 12, truth)); s.Low <= truth && truth <= s.High {
			inside++
		}
	}
	if share := float64(inside) / runs; share < 0.93 || share > 0.98 {
		t.Errorf("the interval held the true shift in %.1f%% of runs, want about 95%%", share*100)
	}
}

// The example of Holm's paper: of .01, .02, .03 at 5 % with three hypotheses, the first is rejected and then the second is not.
func TestHolm(t *testing.T) {
	for _, c := range []struct{ p, want []float64 }{
		{[]float64{0.03, 0.01, 0.02}, []float64{0.04, 0.03, 0.04}},
		{[]float64{0.5, 0.9}, []float64{1, 1}},
		{[]float64{0.04}, []float64{0.04}},
		{nil, []float64{}},
	} {
		got := Holm(c.p)
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-12 }) {
			t.Errorf("Holm(%v) = %v, want %v", c.p, got, c.want)
		}
	}
}
