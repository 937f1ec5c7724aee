package fault

import (
	"context"
	"fmt"

	"chaosgate/pkg/target"
)

// abort is http.abort: requests are answered with a status, and the callee never sees them.
type abort struct{ requests }

func newAbort(r Request) (Fault, error) {
	a := abort{requestsOf(r.Params)}
	a.fault.Status = r.Params.Int("status")
	return newLinks(r, "http.abort", a)
}

func (a abort) held() string { return fmt.Sprintf("the answer %d to %s", a.fault.Status, a.what) }

// felt asks for the readiness page, if that must be answered so and was not before.
func (a abort) felt(ctx context.Context, on *onLink) (Effect, error) {
	if !a.certain(on.asked) || on.asked.Status == a.fault.Status {
		return on.there(ctx)
	}
	now, err := on.ask(ctx, tripLimit)
	if err != nil {
		return Effect{}, fmt.Errorf("a round trip under the fault: %w", err)
	}
	return Effect{
		Proven:   now.Status == a.fault.Status,
		Summary:  fmt.Sprintf("%s: GET %s is answered with %d, and was with %d before; %s is to be on the link", on.name(), now.Path, now.Status, on.asked.Status, a.held()),
		Readings: map[string]float64{"status_before": float64(on.asked.Status), "status_after": float64(now.Status)},
	}, nil
}

func (a abort) gone(before, now target.Answer, err error) bool {
	return err == nil && (now.Status != a.fault.Status || before.Status == a.fault.Status)
}
