package process

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// settings are a service's numbers, read, with their defaults.
type settings struct {
	within  time.Duration // until ready
	grace   time.Duration // of an orderly stop
	policy  string
	backoff time.Duration
	times   int
	memory  int64 // bytes; 0 is no limit
}

// The restart policies.
const (
	restartNever     = "never"
	restartOnFailure = "on-failure"
	restartAlways    = "always"
)

// readSettings answers the settings and everything that is wrong with them.
func readSettings(s spec.Service) (settings, []error) {
	var errs []error
	problem := func(pointer, format string, args ...any) {
		errs = append(errs, &target.Problem{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
	}
	duration := func(pointer, text string, otherwise time.Duration) time.Duration {
		if text == "" {
			return otherwise
		}
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			problem(pointer, "%q is not a duration above zero; write it as 500ms, 15s or 1m", text)
		}
		return d
	}
	out := settings{
		within:  duration("/ready/within", s.Ready.Within, target.DefaultReady),
		grace:   duration("/stop", s.Stop, 5*time.Second),
		backoff: duration("/restart/backoff", s.Restart.Backoff, 100*time.Millisecond),
		policy:  s.Restart.Policy,
		times:   10,
	}
	if out.policy == "" {
		out.policy = restartNever
	}
	if policies := []string{restartNever, restartOnFailure, restartAlways}; !slices.Contains(policies, out.policy) {
		problem("/restart/policy", "there is no restart policy %q; there are %s", out.policy, strings.Join(policies, ", "))
	}
	if s.Restart.Times != "" {
		n, err := strconv.Atoi(s.Restart.Times)
		if err != nil || n < 0 {
			problem("/restart/times", "%q is not a number of restarts", s.Restart.Times)
		}
		out.times = n
	}
	if s.Memory != "" {
		n, err := parseBytes(s.Memory)
		if err != nil {
			problem("/memory", "%v", err)
		}
		out.memory = n
	}
	return out, errs
}

// byteUnits are the units of memory, longest first.
var byteUnits = []struct {
	name  string
	bytes float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1},
}

func parseBytes(text string) (int64, error) {
	for _, u := range byteUnits {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if err == nil && n > 0 && n*u.bytes < math.MaxInt64 {
			return int64(n * u.bytes), nil
		}
		break
	}
	return 0, fmt.Errorf("%q is not an amount of memory; write it as 64MiB or 1GiB", text)
}
