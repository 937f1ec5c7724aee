package fault

import (
	"context"
	"fmt"
	"time"

	"chaosgate/pkg/target"
)

// bandwidth is network.bandwidth: a link carries at most so many bytes per second.
type bandwidth struct {
	rate int64
	text string // as the author wrote it
}

// tripBytes is about what the request for a readiness page and its answer come to.
const tripBytes = 260

// bandwidthOnset is one such round trip.
func bandwidthOnset(p Params) time.Duration {
	return time.Duration(float64(tripBytes) / float64(p.Flow("rate")) * float64(time.Second)).Round(time.Millisecond)
}

func newBandwidth(r Request) (Fault, error) {
	return newLinks(r, "network.bandwidth", bandwidth{rate: r.Params.Flow("rate"), text: r.Params.Text("rate")})
}

func (b bandwidth) impairment() target.LinkFault { return target.LinkFault{Bandwidth: b.rate} }

func (b bandwidth) held() string {
	return "the limit of " + b.text
}

// felt shows that the limit is on the link and that a round trip still passes. It is too small to feel it; what traffic it met is counted later.
func (b bandwidth) felt(ctx context.Context, on *onLink) (Effect, error) {
	took, err := on.trip(ctx, tripLimit)
	if err != nil {
		return Effect{}, fmt.Errorf("a round trip under the fault: %w", err)
	}
	there, err := on.on(ctx)
	e := Effect{Proven: there, Readings: map[string]float64{
		"rtt_before_ms": milliseconds(on.before), "rtt_after_ms": milliseconds(took), "rate_bytes_per_second": float64(b.rate),
	}}
	if there {
		e.Summary = fmt.Sprintf("%s: %s is on the link, and a %s still passes it (%s)", on.name(), b.held(), on.question(), show(took))
	} else {
		e.Summary = fmt.Sprintf("%s: %s is not on the link", on.name(), b.held())
	}
	return e, err
}

// met says whether anything had to wait: a limit that is above what the link carries is none.
func (bandwidth) met(moved target.LinkStats) bool { return moved.Limited > 0 }

func (bandwidth) gone(_, _ target.Answer, err error) bool { return err == nil }
