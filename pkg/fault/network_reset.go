package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"chaosgate/pkg/target"
)

// reset is network.reset: connections over a link are reset, existing and new ones.
type reset struct{ anyTraffic }

func newReset(r Request) (Fault, error) { return newLinks(r, "network.reset", reset{}) }

func (reset) impairment() target.LinkFault { return target.LinkFault{Reset: true} }

func (reset) held() string { return "the reset of connections" }

// resetTries is how many connections to a port that need not speak HTTP are made: nothing is sent there, so the reset comes by itself, and a busy machine may let it come too late
// to be seen.
const resetTries = 3

func (reset) felt(ctx context.Context, on *onLink) (Effect, error) {
	took, err := on.trip(ctx, tripLimit)
	for n := 1; n < resetTries && err == nil && on.asked.Path == ""; n++ {
		took, err = on.trip(ctx, tripLimit)
	}
	if ctx.Err() != nil {
		return Effect{}, context.Cause(ctx)
	}
	e := Effect{Proven: isReset(err), Readings: map[string]float64{"rtt_before_ms": milliseconds(on.before)}}
	switch {
	case e.Proven:
		e.Summary = fmt.Sprintf("%s: a new connection was reset after %s", on.name(), show(took))
	case err != nil:
		e.Summary = fmt.Sprintf("%s: instead of a reset there was: %v", on.name(), err)
	default:
		e.Summary = fmt.Sprintf("%s still answers, after %s", on.name(), show(took))
	}
	return e, nil
}

// isReset says whether a connection ended the way a reset shows: while reading, while writing, or before anything was read.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF)
}

func (reset) gone(_, _ target.Answer, err error) bool { return err == nil }
