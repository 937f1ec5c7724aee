//go:build !race

package main

import "testing"

func notUnderRace(*testing.T) {}
