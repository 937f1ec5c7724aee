package process

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Shopify/toxiproxy/v2/toxics"

	"chaosgate/pkg/target"
)

// chain answers the names of the toxics that make up one fault.
func (l *link) chain(name string) []string {
	var found []string
	for _, t := range l.proxy.Toxics.GetToxicArray() {
		if n := t.(*toxics.ToxicWrapper).Name; faultOf(n) == name {
			found = append(found, n)
		}
	}
	return found
}

// toxic is a toxic as Toxiproxy's API takes it.
type toxic struct {
	Name       string           `json:"name"`
	Type       string           `json:"type"`
	Stream     string           `json:"stream"`
	Toxicity   float32          `json:"toxicity"`
	Attributes map[string]int64 `json:"attributes"`
}

func (l *link) addToxic(t toxic) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	_, err = l.proxy.Toxics.AddToxicJson(bytes.NewReader(text))
	return err
}

// removeToxic takes a toxic off the chain, from the end of the chain: those behind it are taken off first and put on again. Toxiproxy would push what the toxic
// holds through the ones behind it before it lets go of the chain, which takes minutes if one of them limits the bandwidth.
func (l *link) removeToxic(name string) error {
	var behind []toxic
	chain := l.proxy.Toxics.GetToxicArray()
	for i := len(chain) - 1; i >= 0; i-- {
		t := asToxic(chain[i].(*toxics.ToxicWrapper))
		if t.Stream != streamOf(name) {
			continue
		}
		if err := l.settle(func() error { return l.proxy.Toxics.RemoveToxic(context.Background(), t.Name) }); err != nil {
			return err
		}
		if t.Name == name {
			break
		}
		behind = append(behind, t)
	}
	for _, t := range slices.Backward(behind) {
		if err := l.settle(func() error { return l.addToxic(t) }); err != nil {
			return err
		}
	}
	return nil
}

// asToxic reads a toxic of the chain back into what it was made of.
func asToxic(w *toxics.ToxicWrapper) toxic {
	t := toxic{Name: w.Name, Type: w.Type, Stream: w.Stream, Toxicity: w.Toxicity}
	switch kind := w.Toxic.(type) {
	case *toxics.LatencyToxic:
		t.Attributes = map[string]int64{"latency": kind.Latency, "jitter": kind.Jitter}
	case *toxics.BandwidthToxic:
		t.Attributes = map[string]int64{"rate": kind.Rate}
	case *toxics.TimeoutToxic:
		t.Attributes = map[string]int64{"timeout": kind.Timeout}
	}
	return t
}

// streamOf is the direction in a toxic's name.
func streamOf(toxic string) string { return toxic[strings.LastIndexByte(toxic, 0)+1:] }

// faultOf is the name of the fault that a toxic belongs to.
func faultOf(toxic string) string {
	name, _, _ := strings.Cut(toxic, "\x00")
	return name
}

// streams are Toxiproxy's words for directions.
var streams = map[string][]string{
	"": {"upstream", "downstream"}, "both": {"upstream", "downstream"}, "request": {"upstream"}, "response": {"downstream"},
}

// toxicsOf translates a fault. Toxiproxy counts whole milliseconds and kilobytes (1000 bytes) per second.
func toxicsOf(name string, f target.LinkFault) ([]toxic, error) {
	directions, ok := streams[f.Direction]
	switch {
	case !ok:
		return nil, fmt.Errorf("direction is %q, expected request, response or both", f.Direction)
	case f.Latency < 0 || f.Jitter < 0 || f.Bandwidth < 0:
		return nil, fmt.Errorf("latency, jitter and bandwidth cannot be negative")
	case f.Loss > 0 || f.Corrupt > 0 || f.Reorder > 0 || f.Duplicate > 0:
		return nil, fmt.Errorf("a local process has links without packets, so none can be lost, corrupted, reordered or duplicated")
	case f.Bandwidth > 0 && f.Bandwidth < 1000:
		return nil, fmt.Errorf("bandwidth is %d bytes per second, the least possible is 1000", f.Bandwidth)
	}
	var all []toxic
	for _, d := range directions {
		add := func(kind string, attributes map[string]int64) {
			all = append(all, toxic{Name: name + "\x00" + kind + "\x00" + d, Type: kind, Stream: d, Toxicity: 1, Attributes: attributes})
		}
		if f.Latency > 0 || f.Jitter > 0 {
			add("latency", map[string]int64{"latency": milliseconds(f.Latency), "jitter": milliseconds(f.Jitter)})
		}
		if f.Bandwidth > 0 {
			add("bandwidth", map[string]int64{"rate": (f.Bandwidth + 500) / 1000})
		}
		if f.Partition {
			add("timeout", map[string]int64{"timeout": 0})
		}
	}
	return all, nil
}

// milliseconds rounds up, so that a small delay is not none.
func milliseconds(d target.Duration) int64 {
	return int64((time.Duration(d) + time.Millisecond - 1) / time.Millisecond)
}
