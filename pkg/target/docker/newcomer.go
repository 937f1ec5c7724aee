package docker

import (
	"context"

	"github.com/docker/docker/api/types/events"

	"chaosgate/pkg/impair"
	"chaosgate/pkg/target"
)

// brings says whether an event brings a container into a network.
func brings(m events.Message) bool {
	return m.Type == events.ContainerEventType && m.Action == events.ActionStart || m.Type == events.NetworkEventType && m.Action == events.ActionConnect
}

// newcomer ends the faults on callers outside that would meet one who is not outside, and was not there, or had another address, when they began. Whoever asks next sees that
// they are not on their links, so they are not proven.
func (e *Environment) newcomer(ctx context.Context) {
	for l, faults := range e.links.fromOutside() {
		now, err := e.endsOf(ctx, l)
		if err != nil {
			continue // a callee that does not run is not called
		}
		for _, f := range faults {
			if !among(now.insiders, f.ends.insiders) {
				e.links.end(ctx, f)
			}
		}
	}
}

// fromOutside answers the faults that were begun on links from outside.
func (l *links) fromOutside() map[target.Link][]*linkFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[target.Link][]*linkFault{}
	for key, f := range l.faults {
		if key.From == target.Outside && f.begun {
			found[key.Link] = append(found[key.Link], f)
		}
	}
	return found
}

// end takes a fault off its link before its time, and keeps what it has met until then.
func (l *links) end(ctx context.Context, f *linkFault) {
	l.ending.Lock() // one who comes is told of twice
	defer l.ending.Unlock()
	if met, err := l.counts(ctx, f); err == nil {
		l.keep(f, met)
	}
	_ = f.takeOff(ctx) // it is tried again with the next who comes, and at the end of the step
}

func (l *links) keep(f *linkFault, met map[impair.Side]status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.met = met
}

// counts is what a fault's helpers have met.
func (l *links) counts(ctx context.Context, f *linkFault) (map[impair.Side]status, error) {
	l.mu.Lock()
	met := f.met
	l.mu.Unlock()
	if met != nil {
		return met, nil
	}
	return f.call(ctx, "status")
}
