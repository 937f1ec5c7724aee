package plan

import (
	"math"
	"slices"
	"strconv"
	"time"

	"chaosgate/pkg/dag"
	"chaosgate/pkg/stat"
	"chaosgate/pkg/target"
)

// schedule computes when each step starts and how long it takes if all goes well, and the longest chain.
func (b *builder) schedule() {
	s := scheduler{plan: &b.plan, site: b.site, byID: map[string]*Step{}, inside: map[string][]string{}, ends: map[string]Duration{}, last: map[string]string{}}
	for i := range b.plan.Steps {
		step := &b.plan.Steps[i]
		s.byID[step.ID] = step
		if step.During != "" {
			s.inside[step.During] = append(s.inside[step.During], step.ID)
		}
	}
	g, err := dag.New(s.nodes())
	if err != nil { // spec reports cycles with their places; this is for plans that were built otherwise
		b.key("/steps", "cycle", "", "%v", err)
		return
	}
	for _, id := range g.Order() {
		s.place(id)
	}
	b.fitInside(s)
	b.expected(s)
}

// scheduler places the nodes of the graph in time. A fault is two nodes: its begin, and its end, which has the step's own id.
type scheduler struct {
	plan   *Plan
	site   Site
	byID   map[string]*Step
	inside map[string][]string
	ends   map[string]Duration // of nodes
	last   map[string]string   // node -> the node it waited for longest
}

const beginSuffix = "\x00begin"

func (s *scheduler) nodes() []dag.Node {
	var nodes []dag.Node
	for _, step := range s.plan.Steps {
		needs := slices.Clone(step.Needs)
		if step.During != "" {
			needs = append(needs, step.During+beginSuffix)
		}
		if step.Fault == nil {
			nodes = append(nodes, dag.Node{ID: step.ID, Needs: needs})
			continue
		}
		nodes = append(nodes, dag.Node{ID: step.ID + beginSuffix, Needs: needs}, dag.Node{ID: step.ID, Needs: append(slices.Clone(s.inside[step.ID]), step.ID+beginSuffix)})
	}
	return nodes
}

func (s *scheduler) place(node string) {
	if id, isBegin := cutBegin(node); isBegin {
		step := s.byID[id]
		step.Starts = s.ready(node, s.needs(step))
		s.ends[node] = step.Starts + s.onset(step)
		return
	}
	step := s.byID[node]
	if step.Fault == nil {
		step.Starts = s.ready(node, s.needs(step))
		step.Takes = s.takes(step)
		s.ends[node] = step.Starts + step.Takes
		return
	}
	end := s.ends[node+beginSuffix] + step.Fault.Duration
	s.last[node] = node + beginSuffix
	for _, id := range s.inside[node] {
		if s.ends[id] > end {
			end, s.last[node] = s.ends[id], id
		}
	}
	step.Takes = end - step.Starts
	s.ends[node] = end
}

func cutBegin(node string) (string, bool) {
	n := len(node) - len(beginSuffix)
	if n > 0 && node[n:] == beginSuffix {
		return node[:n], true
	}
	return node, false
}

func (s *scheduler) needs(step *Step) []string {
	needs := slices.Clone(step.Needs)
	if step.During != "" {
		needs = append(needs, step.During+beginSuffix)
	}
	return needs
}

func (s *scheduler) ready(node string, needs []string) Duration {
	var at Duration
	for _, need := range needs {
		if end := s.ends[need]; end >= at {
			at = end
			s.last[node] = need
		}
	}
	return at
}

func (s *scheduler) onset(step *Step) Duration {
	kind, ok := s.site.fault(step.Fault.Kind)
	if !ok || kind.Onset == nil {
		return 0
	}
	return Duration(kind.Onset(step.Fault.Params))
}

// takes is how long a step that is no fault lasts if all goes well.
func (s *scheduler) takes(step *Step) Duration {
	c := step.Check
	switch {
	case c == nil:
		return step.Wait
	case c.Mode == Eventually && c.Probe.Metric():
		return c.Window + c.For
	case c.Mode == Eventually:
		return c.For
	case c.Mode == Continuous && c.For > 0:
		return c.For
	case step.During != "" && (c.Mode == Continuous || c.Mode == AtEnd && c.Probe.Metric()):
		return max(0, s.ends[step.During+beginSuffix]+s.byID[step.During].Fault.Duration-step.Starts)
	case c.Probe.Metric():
		return c.Window
	}
	return 0
}

// fitInside finds what is during a fault and does not end in time.
func (b *builder) fitInside(s scheduler) {
	for i := range b.plan.Steps {
		step := &b.plan.Steps[i]
		if step.During == "" {
			continue
		}
		outer := s.byID[step.During]
		end := s.ends[step.During+beginSuffix] + outer.Fault.Duration
		if over := s.ends[step.ID] - end; over > 0 {
			b.key(pointerOf(b, step.ID), "during", "make "+step.During+" longer, or this shorter", "%s ends %v after the active phase of %s, which lasts %v",
				step.ID, time.Duration(over), step.During, time.Duration(outer.Fault.Duration))
		}
	}
}

func pointerOf(b *builder, id string) string {
	for i := range b.spec.Steps {
		if b.spec.Steps[i].ID == id {
			return "/steps/" + strconv.Itoa(i)
		}
	}
	return "/steps"
}

// expected is the whole experiment: the steady state, the longest chain, and the recovery, which is watched from the end of the last fault on.
func (b *builder) expected(s scheduler) {
	var chain, lastFault Duration
	end, faults := "", 0
	for i := range b.plan.Steps {
		step := &b.plan.Steps[i]
		if s.ends[step.ID] >= chain {
			chain, end = s.ends[step.ID], step.ID
		}
		if step.Fault != nil {
			faults++
			lastFault = max(lastFault, s.ends[step.ID])
		}
	}
	if faults == 0 {
		lastFault = chain
	}
	for node := end; node != ""; node = s.last[node] {
		id, _ := cutBegin(node)
		if len(b.plan.Critical) == 0 || b.plan.Critical[len(b.plan.Critical)-1] != id {
			b.plan.Critical = append(b.plan.Critical, id)
		}
	}
	slices.Reverse(b.plan.Critical)
	b.plan.Expected = b.plan.SteadyFor + max(chain, lastFault+b.plan.Recovery.Takes)
}

// MaxInFlight is the most requests of one load that are in flight at a time.
const MaxInFlight = 2000

// InFlight is how many requests of a load are in flight if each hangs until its caller gives up (Little's law).
func (t Traffic) InFlight() float64 { return math.Ceil(t.Rate * time.Duration(t.Timeout).Seconds()) }

// sendable warns of traffic that could not be sent while a service hangs.
func (b *builder) sendable() {
	for i, t := range b.plan.Traffic {
		if need := t.InFlight(); need > MaxInFlight {
			b.warn("/traffic/"+strconv.Itoa(i), "in-flight", "give up sooner, with timeout, or send less", "while %s hangs, %.0f of its requests are in flight (%g/s for %v each) and more than %d are not "+
				"sent; what is not sent leaves the experiment INCONCLUSIVE", t.Service, need, t.Rate, time.Duration(t.Timeout), MaxInFlight)
		}
	}
}

// feasible warns where the traffic cannot give a check the events it needs.
func (b *builder) feasible() {
	rate := 0.0
	for _, t := range b.plan.Traffic {
		rate += t.Rate
	}
	if rate == 0 {
		return
	}
	for i, c := range b.plan.Steady {
		b.feasibleCheck("/steadyState/"+strconv.Itoa(i), c, rate, c.Window)
	}
	for i, s := range b.plan.Steps {
		if s.Check == nil || s.Check.Mode != AtEnd {
			continue
		}
		window := s.Check.Window
		if window == 0 {
			window = s.Takes
		}
		b.feasibleCheck("/steps/"+strconv.Itoa(i), *s.Check, rate, window)
	}
}

func (b *builder) feasibleCheck(pointer string, c Check, rate float64, window Duration) {
	events := math.Floor(rate * time.Duration(window).Seconds())
	for _, e := range c.Expect {
		need, what := needed(c, e)
		if need > events {
			b.warn(pointer, "too-few-events", "look longer, or send more traffic", "at %g/s a window of %v holds %.0f events; %s takes %.0f",
				rate, time.Duration(window), events, what, need)
		}
	}
}

// needed is how many events it takes to show that a limit is kept, if nothing goes wrong.
func needed(c Check, e Expect) (float64, string) {
	switch {
	case c.Probe.Quantile != nil:
		return math.Ceil(10/(1-c.Probe.Quantile.Q) - 1e-9), "this quantile"
	case c.Probe.Ratio != nil && e.Op == Max && e.Limit >= 0 && e.Limit < 1:
		return stat.Faultless(e.Limit), "showing a ratio of at most " + e.Written
	case c.Probe.Ratio != nil && e.Op == Min && e.Limit > 0 && e.Limit <= 1:
		return stat.Faultless(1 - e.Limit), "showing a ratio of at least " + e.Written
	case c.Probe.Ratio != nil && e.Op == Equals && (e.Limit == 0 || e.Limit == 1):
		return stat.Faultless(0), "showing a ratio of " + e.Written
	}
	return 0, ""
}

// alone answers the faults that keep the whole machine busy.
func (b *builder) alone() []string {
	if slices.Contains(b.site.Capabilities, target.CanConfine) {
		return nil
	}
	var ids []string
	for _, s := range b.plan.Steps {
		if s.Fault == nil {
			continue
		}
		if kind, ok := b.site.fault(s.Fault.Kind); ok && kind.Loads {
			ids = append(ids, s.ID)
		}
	}
	return ids
}
