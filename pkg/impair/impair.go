// Package impair puts a fault on the packets of a link where they arrive: they are held, thinned out, doubled, spoiled or dropped before anybody in the network namespace of the
// calling process sees them, or new connections are led to another port there. It needs Linux 5.12 and the capability NET_ADMIN in that namespace.
//
// Packets are held on arrival and not on departure, where a held packet would count against its sender's small queue and starve a stream of its own. What is in the kernel
// belongs to sockets of this process: when it ends, however it ends, the kernel removes it and everything flows as before. What is held at a kill is lost, and what other
// faults hold in the same namespace when a fault begins or ends there may be: the kernel drops it.
package impair

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Side is the end of a link at which packets arrive.
type Side string

// The sides.
const (
	Callee Side = "callee" // requests arrive
	Caller Side = "caller" // responses arrive
	// Replies is the callee's end, where responses depart: for callers in whose network nothing can be done. A stream of responses is slower under a delay there.
	Replies Side = "replies"
)

// Link is the packets that are meant: TCP and UDP from one of the peers (of Replies: to one), to or from the callee's ports. What a namespace sends to itself is not among
// them, unless its addresses are peers.
type Link struct {
	Side  Side         `json:"side"`
	Peers []netip.Addr `json:"peers,omitempty"` // at the other end, IPv4 and IPv6
	Ports []uint16     `json:"ports"`           // of the callee
	// Strangers means everybody but those in Except, instead of the peers.
	Strangers bool         `json:"strangers,omitempty"`
	Except    []netip.Addr `json:"except,omitempty"`
	// Surveys are ports of the caller whose connections are met by the fault and not counted; those of Spared are not met. Both are ours, and only where the caller's
	// address is one of Ours, if any are given.
	Surveys Range        `json:"surveys"`
	Spared  Range        `json:"spared"`
	Ours    []netip.Addr `json:"ours,omitempty"`
}

// Range is ports from First to Last, both included; none if Last is 0.
type Range struct {
	First uint16 `json:"first"`
	Last  uint16 `json:"last"`
}

// Has says whether a port is in the range.
func (r Range) Has(port uint16) bool { return r.Last > 0 && r.First <= port && port <= r.Last }

// Fault is what becomes of packets. Zero fields do nothing. The parts are from 0 to 1.
type Fault struct {
	Delay   time.Duration `json:"delay,omitempty"`
	Jitter  time.Duration `json:"jitter,omitempty"`  // up and down, evenly distributed; packets of one connection keep their order
	Rate    int64         `json:"rate,omitempty"`    // bytes of payload per second and connection
	Loss    float64       `json:"loss,omitempty"`    // part that is dropped
	Corrupt float64       `json:"corrupt,omitempty"` // part of which one bit is changed
	Reorder float64       `json:"reorder,omitempty"` // part that is not delayed, so that it overtakes what was before it
	Double  float64       `json:"double,omitempty"`  // part that goes on twice, before other faults in the namespace meet either
	Drop    bool          `json:"drop,omitempty"`    // nothing passes
	Reset   bool          `json:"reset,omitempty"`   // TCP only: whoever sends gets a reset
}

// Counts is what the fault has met so far, without surveys.
type Counts struct {
	Connections int64 `json:"connections"` // TCP connections that were begun, each attempt by itself; seen by the callee only
	Bytes       int64 `json:"bytes"`       // of payload, what was sent again included
	Packets     int64 `json:"packets"`
	Changed     int64 `json:"changed"` // packets that were dropped, spoiled, doubled, or let overtake
	Limited     int64 `json:"limited"` // packets that a rate held back for a millisecond or longer, or dropped
	// Missed is packets that came too fast, or that there were too many of: they passed, or were lost where nothing is to pass.
	Missed int64 `json:"missed"`
}

// maxDelay keeps a packet from being held longer than any connection lives.
const maxDelay = 10 * time.Minute

// Survey says whether a caller is ours.
func (l Link) Survey(caller netip.AddrPort) bool {
	return l.Surveys.Has(caller.Port()) && (len(l.Ours) == 0 || slices.Contains(l.Ours, caller.Addr()))
}

func (l Link) check() error {
	switch {
	case l.Side != Callee && l.Side != Caller && l.Side != Replies:
		return fmt.Errorf("side is %q, expected %s, %s or %s", l.Side, Callee, Caller, Replies)
	case len(l.Peers) == 0 && !l.Strangers:
		return errors.New("there are no peers")
	case len(l.Peers) > 0 && l.Strangers, len(l.Except) > 0 && !l.Strangers:
		return errors.New("it is for peers, or for strangers except some")
	case len(l.Ports) == 0:
		return errors.New("there are no ports")
	}
	for _, p := range slices.Concat(l.Peers, l.Except, l.Ours) {
		if !p.IsValid() || p.IsUnspecified() {
			return fmt.Errorf("the peer %q is no address", p)
		}
	}
	return nil
}

func (f Fault) check() error {
	for name, part := range map[string]float64{"loss": f.Loss, "corrupt": f.Corrupt, "reorder": f.Reorder, "double": f.Double} {
		if math.IsNaN(part) || part < 0 || part > 1 {
			return fmt.Errorf("%s is %v, expected a part from 0 to 1", name, part)
		}
	}
	switch {
	case f.Delay < 0 || f.Delay > maxDelay:
		return fmt.Errorf("delay is %v, expected at most %v", f.Delay, maxDelay)
	case f.Jitter < 0 || f.Jitter > f.Delay:
		return fmt.Errorf("jitter is %v, expected at most the delay of %v", f.Jitter, f.Delay)
	case f.Rate < 0:
		return fmt.Errorf("rate is %d", f.Rate)
	}
	return nil
}

// Check says whether a fault can be put on a link, as far as that can be seen without doing it.
func Check(l Link, f Fault) error { return errors.Join(l.check(), f.check()) }

// Impairment is a fault at work. It is safe for concurrent use.
type Impairment struct {
	loop *loop

	mu    sync.Mutex
	rules *table
}

// Start puts a fault on a link and returns when it is there.
func Start(l Link, f Fault) (*Impairment, error) {
	if err := Check(l, f); err != nil {
		return nil, err
	}
	loop, err := startLoop(l, f)
	if err != nil {
		return nil, err
	}
	rules, err := install(l, f, loop.queue.number)
	if err != nil {
		return nil, errors.Join(err, loop.stop())
	}
	return &Impairment{rules: rules, loop: loop}, nil
}

// Counts answers what the fault has met so far.
func (i *Impairment) Counts() Counts { return i.loop.counts() }

// On reads back whether the fault is on the link; nil if it is.
func (i *Impairment) On() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.rules.whole(); err != nil {
		return err
	}
	return errors.Join(i.loop.failure(), i.loop.queue.bound())
}

// Stop takes the fault off the link: what is held is let go at once, in its order. It verifies that nothing is left, and is idempotent.
func (i *Impairment) Stop() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	// Nothing new may come before what is held has gone: the kernel drops what is still held in the namespace when a hook goes.
	err := i.rules.empty()
	return errors.Join(err, i.loop.stop(), i.rules.remove())
}
