package fault

import (
	"context"
	"fmt"
	"time"

	"chaosgate/pkg/target"
)

// hold is http.delay: requests are held before they are passed on.
type hold struct {
	requests
	like latency // a round trip that meets it takes as much longer as under a delay of the link
}

func newHold(r Request) (Fault, error) {
	h := hold{requestsOf(r.Params), latency{delay: r.Params.Duration("delay"), jitter: r.Params.Duration("jitter"), direction: request}}
	h.fault.Delay, h.fault.Jitter = h.like.delay, h.like.jitter
	return newLinks(r, "http.delay", h)
}

func checkHold(p Params) []ParamProblem { return append(checkPath(p), checkLatency(p)...) }

// holdOnset is one round trip that is held.
func holdOnset(p Params) time.Duration { return p.Duration("delay") }

func (h hold) held() string {
	if h.like.jitter > 0 {
		return fmt.Sprintf("the delay of %s ± %s on %s", show(h.like.delay), show(h.like.jitter), h.what)
	}
	return fmt.Sprintf("the delay of %s on %s", show(h.like.delay), h.what)
}

// felt measures a round trip, if that must be held.
func (h hold) felt(ctx context.Context, on *onLink) (Effect, error) {
	if !h.certain(on.asked) {
		return on.there(ctx)
	}
	return h.like.felt(ctx, on)
}

func (h hold) gone(before, now target.Answer, err error) bool {
	if !h.certain(before) {
		return err == nil
	}
	return h.like.gone(before, now, err)
}
