package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chaosgate/pkg/target"
)

// silence is how long a link must not answer to count as cut; where a round trip takes long anyway, twice that.
const silence = 400 * time.Millisecond

// partition is network.partition: nothing passes a link, and callers wait until they give up.
type partition struct{ anyTraffic }

func newPartition(r Request) (Fault, error) { return newLinks(r, "network.partition", partition{}) }

func partitionOnset(Params) time.Duration { return silence }

func (partition) impairment() target.LinkFault { return target.LinkFault{Partition: true} }

func (partition) held() string { return "the partition" }

func (partition) felt(ctx context.Context, on *onLink) (Effect, error) {
	limit := max(silence, 2*on.before)
	took, err := on.trip(ctx, limit)
	if ctx.Err() != nil {
		return Effect{}, context.Cause(ctx)
	}
	silent := errors.Is(err, target.ErrUnanswered)
	e := Effect{Proven: silent, Readings: map[string]float64{"rtt_before_ms": milliseconds(on.before), "silent_ms": milliseconds(took)}}
	switch {
	case silent:
		e.Summary = fmt.Sprintf("%s: no answer within %s, after %s before the fault", on.name(), show(limit), show(on.before))
	case err != nil:
		e.Summary = fmt.Sprintf("%s: instead of silence there was an error after %s: %v", on.name(), show(took), err)
	default:
		e.Summary = fmt.Sprintf("%s still answers, after %s", on.name(), show(took))
	}
	return e, nil
}

func (partition) gone(_, _ target.Answer, err error) bool { return err == nil }
