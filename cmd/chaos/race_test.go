//go:build race

package main

import "testing"

// notUnderRace skips a test of many whole runs: they pass through the same code as the scripts do, which the race detector sees.
func notUnderRace(t *testing.T) { t.Skip("many whole runs; the race detector sees the scripts") }
