package fault

import (
	"context"
	"encoding/json"
	"fmt"

	"chaosgate/pkg/target"
)

// firstVictim is the OOM score of what the kernel kills first.
const firstVictim = 1000

// giveScoreBack lets the service be as likely to be killed as before. One that was started again meanwhile has its own score.
func (m *memoryStress) giveScoreBack(ctx context.Context) error {
	if m.scorer == nil {
		return nil
	}
	now, err := m.inspect(ctx)
	if err != nil || !m.same(now) {
		return err
	}
	return setScore(ctx, m.scorer, m.Target, m.score)
}

// setScore sets an OOM score and reads it back.
func setScore(ctx context.Context, scorer target.OOMScorer, t target.Target, score int) error {
	if err := scorer.SetOOMScore(ctx, t, score); err != nil {
		return err
	}
	got, err := scorer.OOMScore(ctx, t)
	if err == nil && got != score {
		err = fmt.Errorf("the OOM score of %s is %d after it was set to %d", t.Instance, got, score)
	}
	return err
}

// revertMemory ends the helper of a dead runner and gives the service its score back.
func revertMemory(ctx context.Context, rt target.Runtime, data json.RawMessage, ref target.Ref) error {
	u, err := readHelperUndo(data)
	if err != nil {
		return err
	}
	if err := endHelper(ctx, rt, u, ref); err != nil || u.Score == nil {
		return err
	}
	scorer, err := able[target.OOMScorer](rt, target.CanHost)
	if err != nil {
		return err
	}
	return setScore(ctx, scorer, target.Target{Ref: ref}, *u.Score)
}
