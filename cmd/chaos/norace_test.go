//go:build !race

package main

import "testing"

func notUnderRace(*testing.T) {}

// perProcessor is how many tests run at once for each processor: they wait for a time to pass most of the time.
const perProcessor = 2
