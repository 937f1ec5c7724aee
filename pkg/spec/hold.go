package spec

import (
	"fmt"
	"strings"
	"time"

	"chaosgate/pkg/quantity"
)

// HoldRule is what a repeated probe may miss; the zero value is "nothing".
type HoldRule struct {
	MinRatio  float64       // of looks that must hold
	MaxBreach time.Duration // the longest stretch that may be missed
}

// ParseHold reads all, ratio>=95% or breach<=5s.
func ParseHold(text string) (HoldRule, error) {
	compact := strings.ReplaceAll(text, " ", "")
	if compact == "" || compact == "all" {
		return HoldRule{}, nil
	}
	if share, ok := strings.CutPrefix(compact, "ratio>="); ok {
		v, err := quantity.ParsePercent(share)
		if err == nil && (v <= 0 || v > 1) {
			err = fmt.Errorf("%s is no part of all looks", share)
		}
		return HoldRule{MinRatio: v}, err
	}
	if longest, ok := strings.CutPrefix(compact, "breach<="); ok {
		d, err := quantity.ParseDuration(longest)
		if err == nil && d <= 0 {
			err = fmt.Errorf("a breach of at most %s is none: write all", longest)
		}
		return HoldRule{MaxBreach: d}, err
	}
	return HoldRule{}, fmt.Errorf("hold is %q, expected all, ratio>=95%% or breach<=5s", text)
}
