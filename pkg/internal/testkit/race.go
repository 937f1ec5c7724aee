//go:build race

package testkit

import "testing"

// NotUnderRace skips a test of which the race detector sees nothing that it does not see in others: those run in a third of the time then.
func NotUnderRace(t testing.TB) {
	t.Helper()
	t.Skip("the race detector sees the same in other tests")
}
