package stat

import (
	"math"
	"testing"
)

// The bounds of 1 in 10 by the score interval at z = 1.6449: computed from Wilson's formula by hand.
func TestWilson(t *testing.T) {
	low, high := Wilson(1, 10, OneIn20)
	if math.Abs(low-0.02263) > 1e-4 || math.Abs(high-0.34772) > 1e-4 {
		t.Errorf("bounds of 1 in 10: %.5f to %.5f", low, high)
	}
	if low, high := Wilson(0, 0, OneIn20); low != 0 || high != 1 {
		t.Errorf("bounds of nothing: %v to %v, want everything", low, high)
	}
}

// The intervals are those of Newcombe's Table II, method 10, at z = 1.96; only their lower ends are wanted.
func TestRise(t *testing.T) {
	const z = 1.959963984540054
	for _, c := range []struct{ k1, n1, k2, n2, low float64 }{
		{48, 80, 56, 70, 0.0524},
		{3, 10, 9, 10, 0.1705},
		{2, 7, 6, 7, 0.0582},
		{0, 29, 5, 56, -0.0381},
		{0, 20, 0, 10, -0.1611},
	} {
		if low := Rise(c.k1, c.n1, c.k2, c.n2, z); math.Abs(low-c.low) > 1e-4 {
			t.Errorf("%v/%v after %v/%v has risen by at least %.4f, want %.4f", c.k2, c.n2, c.k1, c.n1, low, c.low)
		}
	}
	if Rise(0, 0, 5, 10, z) > 0 {
		t.Error("nothing before, and yet it has risen")
	}
}
