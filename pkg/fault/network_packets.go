package fault

import (
	"context"
	"fmt"

	"chaosgate/pkg/target"
)

// packets is a fault that hits some packets of a link: network.loss, network.corrupt, network.reorder and network.duplicate.
type packets struct {
	fault target.LinkFault
	what  string // "the loss of 10% of packets"
}

// probability is of each packet by itself.
var probability = Param{Name: "probability", Type: Percent, Required: true, Min: "0.1%", Max: "100%", Doc: "of each packet by itself, in both directions"}

func newLoss(r Request) (Fault, error) {
	return newLinks(r, "network.loss", packets{
		target.LinkFault{Loss: r.Params.Percent("probability")}, "the loss of " + r.Params.Text("probability") + " of packets",
	})
}

func newCorrupt(r Request) (Fault, error) {
	return newLinks(r, "network.corrupt", packets{
		target.LinkFault{Corrupt: r.Params.Percent("probability")}, "the corruption of " + r.Params.Text("probability") + " of packets",
	})
}

func newReorder(r Request) (Fault, error) {
	delay := r.Params.Duration("delay")
	return newLinks(r, "network.reorder", packets{
		target.LinkFault{Reorder: r.Params.Percent("probability"), Latency: target.Duration(delay)},
		fmt.Sprintf("the delay of %s that %s of packets skip", show(delay), r.Params.Text("probability")),
	})
}

func newDuplicate(r Request) (Fault, error) {
	return newLinks(r, "network.duplicate", packets{
		target.LinkFault{Duplicate: r.Params.Percent("probability")}, "the duplication of " + r.Params.Text("probability") + " of packets",
	})
}

func (p packets) impairment() target.LinkFault { return p.fault }
func (p packets) held() string                 { return p.what }

// met says whether a packet was hit. That others passed proves nothing.
func (p packets) met(moved target.LinkStats) bool { return moved.Changed > 0 }

// felt is that the fault is there: whether it hits a packet of a round trip is up to chance.
func (packets) felt(ctx context.Context, on *onLink) (Effect, error) { return on.there(ctx) }

func (packets) gone(_, _ target.Answer, err error) bool { return err == nil }
