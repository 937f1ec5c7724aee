package fault

import (
	"context"
	"fmt"
	"time"

	"chaosgate/pkg/target"
)

// The directions of a delay.
const (
	request  = "request"
	response = "response"
	both     = "both"
)

// A round trip proves a delay when it takes at least this part of what must be added; with jitter one may be lucky, so several are tried.
const (
	latencyPart  = 0.8
	latencyTries = 5
)

// latency is network.latency: what passes a link arrives later.
type latency struct {
	anyTraffic
	delay, jitter time.Duration
	direction     string
}

func newLatency(r Request) (Fault, error) { return newLinks(r, "network.latency", latencyOf(r.Params)) }

func latencyOf(p Params) latency {
	return latency{delay: p.Duration("delay"), jitter: p.Duration("jitter"), direction: p.Text("direction")}
}

// checkLatency refuses a jitter that would make delays negative.
func checkLatency(p Params) []ParamProblem {
	l := latencyOf(p)
	if l.jitter <= l.delay {
		return nil
	}
	return []ParamProblem{{
		Name: "jitter", Message: fmt.Sprintf("jitter is %s, more than the delay of %s", p["jitter"], p["delay"]), Hint: "make it at most " + p["delay"],
	}}
}

// added is how much longer a round trip takes.
func (l latency) added() time.Duration {
	if l.direction == both {
		return 2 * l.delay
	}
	return l.delay
}

// latencyOnset is one delayed round trip.
func latencyOnset(p Params) time.Duration { return latencyOf(p).added() }

func (l latency) impairment() target.LinkFault {
	return target.LinkFault{Latency: target.Duration(l.delay), Jitter: target.Duration(l.jitter), Direction: l.direction}
}

func (l latency) held() string {
	what := map[string]string{request: "requests", response: "responses", both: "requests and responses"}[l.direction]
	if l.jitter > 0 {
		return fmt.Sprintf("the delay of %s ± %s on %s", show(l.delay), show(l.jitter), what)
	}
	return fmt.Sprintf("the delay of %s on %s", show(l.delay), what)
}

// least is by how much a round trip must rise: most of the least delay possible, or of half the delay if jitter leaves less.
func (l latency) least() time.Duration {
	part := 1 - float64(l.jitter)/float64(l.delay)
	return time.Duration(latencyPart * max(part, 0.5) * float64(l.added()))
}

func (l latency) felt(ctx context.Context, on *onLink) (Effect, error) {
	var took time.Duration
	var err error
	for range latencyTries {
		took, err = on.trip(ctx, l.added()+2*l.jitter+tripLimit)
		if err != nil {
			return Effect{}, fmt.Errorf("a round trip under the fault: %w", err)
		}
		if took-on.before >= l.least() {
			break
		}
	}
	return Effect{
		Proven:  took-on.before >= l.least(),
		Summary: fmt.Sprintf("round trip %s %s from %s to %s with %s", on.name(), rose(took, on.before), show(on.before), show(took), on.effect.held()),
		Readings: map[string]float64{
			"rtt_before_ms": milliseconds(on.before), "rtt_after_ms": milliseconds(took), "added_expected_ms": milliseconds(l.added()),
		},
	}, nil
}

func rose(now, before time.Duration) string {
	if now > before {
		return "rose"
	}
	return "fell"
}

func (l latency) gone(before, now target.Answer, err error) bool {
	return err == nil && now.Took-before.Took < l.added()/2
}
