package verdict

import "fmt"

var stateNames = [...]string{Pass: "PASS", Inconclusive: "INCONCLUSIVE", Fail: "FAIL", Error: "ERROR", Dirty: "DIRTY"}

// String is the name that reports show.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return stateNames[s]
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *State) UnmarshalText(text []byte) error {
	for state, name := range stateNames {
		if name == string(text) {
			*s = State(state)
			return nil
		}
	}
	return fmt.Errorf("unknown state %q", text)
}

// Merge answers the worst of the states, and Inconclusive for none: nothing seen is not a success.
func Merge(states ...State) State {
	if len(states) == 0 {
		return Inconclusive
	}
	worst := states[0]
	for _, s := range states[1:] {
		worst = max(worst, s)
	}
	return worst
}

// The exit codes of a run. They are part of the command's contract.
const (
	ExitOpen         = 0
	ExitFail         = 1
	ExitUsage        = 2
	ExitInvalid      = 3
	ExitInconclusive = 4
	ExitError        = 5
	ExitDirty        = 6
	ExitHangup       = 129
	ExitInterrupt    = 130
	ExitTerminated   = 143
)

// ExitCode is the exit code for a verdict: a dirty environment overrides everything, then an interruption.
func (v Verdict) ExitCode() int {
	switch {
	case v.State == Dirty:
		return ExitDirty
	case v.Interrupted == "SIGTERM":
		return ExitTerminated
	case v.Interrupted == "SIGHUP":
		return ExitHangup
	case v.Interrupted != "":
		return ExitInterrupt
	}
	switch v.State {
	case Pass:
		if v.Gate == Open {
			return ExitOpen
		}
		return ExitInconclusive
	case Fail:
		return ExitFail
	case Inconclusive:
		return ExitInconclusive
	default:
		return ExitError
	}
}
