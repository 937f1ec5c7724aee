package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"chaosgate/pkg/target"
)

// Limits of what is measured on a link.
const (
	baselines   = 3               // round trips before the fault, of which the fastest counts
	tripLimit   = 2 * time.Second // one round trip, beyond what the fault itself adds
	calmLimit   = 5 * time.Second // until the link is as before again
	calmTripMax = time.Second     // one round trip meanwhile
)

// linkEffect is what a kind of link fault does and how that shows.
type linkEffect interface {
	impairment() target.LinkFault
	// felt reads back whether the link behaves as it should now. It is asked right after the change.
	felt(context.Context, *onLink) (Effect, error)
	// gone says whether a round trip could not have been like this under the fault.
	gone(before, now target.Answer, err error) bool
	// met says whether the fault has met traffic, by what has passed since its effect was proven.
	met(moved target.LinkStats) bool
	// held says in words what is on the link: "requests 300ms later".
	held() string
}

// anyTraffic is met by whatever passes.
type anyTraffic struct{}

func (anyTraffic) met(moved target.LinkStats) bool {
	return moved.Connections > 0 || moved.BytesIn > 0 || moved.BytesOut > 0
}

// onLink is a link fault on one link.
type onLink struct {
	target.Link
	kind    string
	id      string // the fault's name on the link
	runtime target.Runtime
	linker  target.Linker
	effect  linkEffect

	before  time.Duration    // a round trip before the fault
	asked   target.Answer    // what came of it
	since   target.LinkStats // when the effect was proven
	touched bool
}

// links is a fault on all links that it covers.
type links struct {
	group
	all []*onLink
}

// linkUndo is enough to take a fault off a link.
type linkUndo struct {
	Link target.Link `json:"link"`
	Name string      `json:"name"`
}

func newLinks(r Request, kind string, effect linkEffect) (Fault, error) {
	linker, err := able[target.Linker](r.Runtime, target.CanImpair)
	if err != nil {
		return nil, err
	}
	found, err := linker.Links(r.Targets, r.To, r.Port)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errors.New("it covers no link")
	}
	fault := &links{}
	for _, l := range found {
		one := &onLink{Link: l, kind: kind, id: r.ID, runtime: r.Runtime, linker: linker, effect: effect}
		fault.all = append(fault.all, one)
		fault.group = append(fault.group, one)
	}
	return fault, nil
}

// Check implements Fault: the fault must still be on every link, and at least one of them must have carried traffic under it. Which ones did not is said.
func (f *links) Check(ctx context.Context) (Effect, error) {
	whole, err := f.group.Check(ctx)
	if err != nil || !whole.Proven {
		return whole, err
	}
	var used int
	for _, l := range f.all {
		moved, err := l.moved(ctx)
		if err != nil {
			return Effect{}, err
		}
		if l.effect.met(moved) {
			used++
		}
	}
	if used == 0 {
		whole.Proven = false
		whole.Summary += ": nobody could have felt the fault"
	}
	return whole, nil
}

func (l *onLink) name() string { return l.Link.String() }

// Prepare implements Fault.
func (l *onLink) Prepare(ctx context.Context) ([]target.Undo, error) {
	if err := l.linker.ArmLink(ctx, l.Link, l.id, l.effect.impairment()); err != nil {
		return nil, err
	}
	for range baselines {
		a, err := l.ask(ctx, tripLimit)
		if err != nil {
			return nil, fmt.Errorf("a round trip before the fault: %w", err)
		}
		if l.before == 0 || a.Took < l.before {
			l.before, l.asked = a.Took, a
		}
	}
	data, err := json.Marshal(linkUndo{Link: l.Link, Name: l.id})
	if err != nil {
		return nil, err
	}
	return []target.Undo{{Kind: l.kind, Target: l.linker.Ref(l.Link), Data: data, Manual: rollback}}, nil
}

// trip measures one round trip.
func (l *onLink) trip(ctx context.Context, limit time.Duration) (time.Duration, error) {
	a, err := l.ask(ctx, limit)
	return a.Took, err
}

// ask makes one round trip.
func (l *onLink) ask(ctx context.Context, limit time.Duration) (target.Answer, error) {
	a, err := l.linker.Ask(ctx, l.Link, limit)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return a, err
}

// Inject implements Fault.
func (l *onLink) Inject(ctx context.Context) (Effect, error) {
	l.touched = true
	if err := l.linker.Impair(ctx, l.Link, l.id, l.effect.impairment()); err != nil {
		return Effect{}, err
	}
	e, err := l.effect.felt(ctx, l)
	if err != nil || !e.Proven {
		return e, err
	}
	on, err := l.on(ctx)
	if err == nil && !on {
		e.Proven, e.Summary = false, l.name()+": "+l.effect.held()+" is not on the link"
	}
	if err == nil {
		l.since, err = l.linker.Stats(ctx, l.Link, l.id)
	}
	return e, err
}

// question is what a round trip is: a port that need not speak HTTP is only connected to.
func (l *onLink) question() string {
	if l.asked.Status == 0 {
		return "connection"
	}
	return "request"
}

// on reads back whether the fault is on the link.
func (l *onLink) on(ctx context.Context) (bool, error) {
	names, err := l.linker.Impaired(ctx, l.Link)
	return slices.Contains(names, l.id), err
}

// there shows that a fault is on the link that a round trip cannot show: what it has hit is counted later.
func (l *onLink) there(ctx context.Context) (Effect, error) {
	on, err := l.on(ctx)
	e := Effect{Proven: on, Summary: fmt.Sprintf("%s: %s is on the link", l.name(), l.effect.held()), Readings: map[string]float64{"rtt_before_ms": milliseconds(l.before)}}
	if !on {
		e.Summary = fmt.Sprintf("%s: %s is not on the link", l.name(), l.effect.held())
	}
	return e, err
}

// moved is what the link has carried since the effect was proven; no probe of ours is among it.
func (l *onLink) moved(ctx context.Context) (target.LinkStats, error) {
	now, err := l.linker.Stats(ctx, l.Link, l.id)
	return target.LinkStats{
		Connections: now.Connections - l.since.Connections, BytesIn: now.BytesIn - l.since.BytesIn, BytesOut: now.BytesOut - l.since.BytesOut,
		Limited: now.Limited - l.since.Limited, Packets: now.Packets - l.since.Packets, Changed: now.Changed - l.since.Changed, Missed: now.Missed - l.since.Missed,
		Requests: now.Requests - l.since.Requests, Hit: now.Hit - l.since.Hit, Foreign: now.Foreign - l.since.Foreign,
	}, err
}

// Check implements Fault. It makes no round trip, because that would take as long as the fault's delay, and the links count what has passed.
func (l *onLink) Check(ctx context.Context) (Effect, error) {
	on, err := l.on(ctx)
	if err != nil {
		return Effect{}, err
	}
	moved, err := l.moved(ctx)
	if err != nil {
		return Effect{}, err
	}
	e := Effect{Proven: on, Readings: map[string]float64{
		"connections": float64(moved.Connections), "bytes_in": float64(moved.BytesIn), "bytes_out": float64(moved.BytesOut),
	}}
	if moved.Changed > 0 {
		e.Readings["packets_changed"] = float64(moved.Changed)
	}
	if moved.Limited > 0 {
		e.Readings["pieces_held_back"] = float64(moved.Limited)
	}
	if moved.Requests > 0 {
		e.Readings["requests"], e.Readings["requests_hit"] = float64(moved.Requests), float64(moved.Hit)
	}
	if moved.Foreign > 0 {
		e.Readings["connections_not_http"] = float64(moved.Foreign)
	}
	switch {
	case !on && !l.touched:
		e.Summary = fmt.Sprintf("%s: %s is not on the link", l.name(), l.effect.held())
	case !on:
		e.Summary = fmt.Sprintf("%s: %s is no longer on the link", l.name(), l.effect.held())
	case moved.Missed*100 > moved.Packets:
		e.Proven = false
		e.Summary = fmt.Sprintf("%s: %d of %s passed by %s, because there were too many", l.name(), moved.Missed, count(moved.Packets+moved.Missed, "packet"), l.effect.held())
	case !l.effect.met(moved) && moved.Packets > 0:
		e.Summary = fmt.Sprintf("%s: none of %s was hit by %s", l.name(), count(moved.Packets, "packet"), l.effect.held())
	case !l.effect.met(moved) && moved.Requests > 0:
		e.Summary = fmt.Sprintf("%s: none of %s met %s", l.name(), count(moved.Requests, "request"), l.effect.held())
	case !l.effect.met(moved) && moved.Foreign > 0:
		e.Summary = fmt.Sprintf("%s: no request met %s: %s passed that did not speak HTTP/1.x", l.name(), l.effect.held(), count(moved.Foreign, "connection"))
	case moved.Hit > 0:
		e.Summary = fmt.Sprintf("%s: %d of %s met %s", l.name(), moved.Hit, count(moved.Requests, "request"), l.effect.held())
	case !l.effect.met(moved) && moved.BytesIn+moved.BytesOut > 0:
		e.Summary = fmt.Sprintf("%s: %s from callers and %s to them passed, and none of it had to wait for %s", l.name(), count(moved.BytesIn, "byte"), count(moved.BytesOut, "byte"), l.effect.held())
	case !l.effect.met(moved):
		e.Summary = fmt.Sprintf("%s: no traffic met %s", l.name(), l.effect.held())
	default:
		e.Summary = fmt.Sprintf("%s: %s, %s from callers and %s to them met %s", l.name(), count(moved.Connections, "connection attempt"),
			count(moved.BytesIn, "byte"), count(moved.BytesOut, "byte"), l.effect.held())
	}
	return e, nil
}

// Revert implements Fault.
func (l *onLink) Revert(ctx context.Context) (Effect, error) {
	if err := restore(ctx, l.linker, linkUndo{Link: l.Link, Name: l.id}); err != nil { // also what was only readied
		return Effect{}, err
	}
	if !l.touched {
		return Effect{Proven: true, Summary: l.name() + ": nothing was done, so there is nothing to revert"}, nil
	}
	return l.calm(ctx)
}

// restore takes a fault off a link and reads back that it is off.
func restore(ctx context.Context, linker target.LinkRestorer, u linkUndo) error {
	if err := linker.Restore(ctx, u.Link, u.Name); err != nil {
		return err
	}
	names, err := linker.Impaired(ctx, u.Link)
	if err == nil && slices.Contains(names, u.Name) {
		err = fmt.Errorf("the fault %s is still on the link %s", u.Name, u.Link)
	}
	return err
}

// revertLink takes a fault off a link whose runner has died.
func revertLink(ctx context.Context, rt target.Runtime, data json.RawMessage, _ target.Ref) error {
	var u linkUndo
	if err := json.Unmarshal(data, &u); err != nil {
		return fmt.Errorf("read the undo: %w", err)
	}
	linker, err := able[target.LinkRestorer](rt, target.CanImpair)
	if err != nil {
		return err
	}
	return restore(ctx, linker, u)
}
