package metrics

import "fmt"

// The limits of what one target may make us keep: each series that it ever had stays until the end.
const (
	maxKnown      = 50_000
	maxKnownBytes = 32 << 20
)

// room says whether what was read can be kept beside what is.
func (f *feed) room(readings []reading) error {
	more, bytes := 0, 0
	for _, r := range readings {
		if _, ok := f.known[r.key]; !ok {
			more++
			bytes += len(r.key)
		}
	}
	if len(f.known)+more > maxKnown || f.knownBytes+bytes > maxKnownBytes {
		return fmt.Errorf("it has had more than %d series, or %d MiB of their labels: they seem to be named anew all the time", maxKnown, maxKnownBytes>>20)
	}
	f.knownBytes += bytes
	return nil
}
