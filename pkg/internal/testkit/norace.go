//go:build !race

package testkit

import "testing"

// NotUnderRace skips a test where the race detector is at work.
func NotUnderRace(testing.TB) {}
