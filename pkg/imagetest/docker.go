package imagetest

import (
	"os"
	"testing"
)

// dockerIsHere is set where a Docker engine and Compose were seen before the tests.
const dockerIsHere = "CHAOS_DOCKER"

// NeedsDocker skips a test if there is an error in meeting the machine's Docker engine, or its Compose. It fails where both were seen before: an engine that has ended since, or does
// not answer, would else have every test of containers skipped.
func NeedsDocker(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv(dockerIsHere) != "":
		t.Fatalf("Docker was here, and does not answer: %v", err)
	default:
		t.Skipf("it takes Docker: %v", err)
	}
}
