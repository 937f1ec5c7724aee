package process

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"chaosgate/pkg/target"
)

// OOMScore implements target.OOMScorer.
func (e *Environment) OOMScore(_ context.Context, t target.Target) (int, error) {
	file, err := e.scoreFile(t)
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("read the OOM score of %s: %w", t.Instance, err)
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// SetOOMScore implements target.OOMScorer. Going below the score that the process was started with takes a privilege; back to it does not.
func (e *Environment) SetOOMScore(_ context.Context, t target.Target, score int) error {
	file, err := e.scoreFile(t)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(score)), 0); err != nil {
		return fmt.Errorf("set the OOM score of %s: %w", t.Instance, err)
	}
	return nil
}

func (e *Environment) scoreFile(t target.Target) (string, error) {
	s, err := e.service(t)
	if err != nil {
		return "", err
	}
	now, _ := s.look()
	if !now.alive() {
		return "", fmt.Errorf("%s does not run, so it has no OOM score", s.instance)
	}
	return fmt.Sprintf("/proc/%d/oom_score_adj", now.process.PID()), nil
}
