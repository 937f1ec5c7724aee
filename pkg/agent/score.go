package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ScoreJob reads or sets the OOM score of the first process of the helper's own process namespace: from -1000 (never killed) to 1000 (killed first).
const ScoreJob = "oom-score"

// ScoreConfig says what the score is to be.
type ScoreConfig struct {
	Score *int `json:"score,omitempty"` // nil leaves it as it is
}

// ScoreStatus is what inject and status answer, read back from the kernel.
type ScoreStatus struct {
	Score int `json:"score"`
}

const firstScore = "/proc/1/oom_score_adj"

type score struct{ config ScoreConfig }

func newScore(config json.RawMessage) (job, error) {
	s := &score{}
	if err := decode(config, &s.config); err != nil {
		return nil, err
	}
	if v := s.config.Score; v != nil && (*v < -1000 || *v > 1000) {
		return nil, fmt.Errorf("score is %d, expected -1000 to 1000", *v)
	}
	return s, nil
}

func (s *score) inject(ctx context.Context) (any, error) {
	if s.config.Score != nil {
		if err := os.WriteFile(firstScore, []byte(strconv.Itoa(*s.config.Score)), 0); err != nil {
			return nil, fmt.Errorf("set the OOM score: %w", err)
		}
	}
	return s.status(ctx)
}

func (s *score) status(context.Context) (any, error) {
	text, err := os.ReadFile(firstScore)
	if err != nil {
		return nil, fmt.Errorf("read the OOM score: %w", err)
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(text)))
	return ScoreStatus{Score: v}, err
}

// revert leaves the score: whoever has set it knows what it was, and sets that.
func (s *score) revert(context.Context) error { return nil }
