// Package progress tells a Prometheus server where the experiments of a run are, so that its graphs and alerts can tell a fault from an outage. It follows the journal.
package progress

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
)

// The metrics. Each series has the experiment's name; a server that is told what to scrape adds the run to it (metrics.ExperimentLabel).
const (
	// Phase is 1 for the phase in which the experiment is, and 0 for the others.
	Phase = "chaos_phase"
	// FaultActive is 1 from the proven effect of a fault until it is reverted; of a one-shot fault that is a moment.
	FaultActive = "chaos_fault_active"
	// RecoverySeconds is how long the steady state took to hold again after the last fault; while it does not, the time so far. Before, there is no such series.
	RecoverySeconds = "chaos_recovery_seconds"
)

// Service is what the runner is called among the services.
const Service = "chaos"

// Progress is where the experiments of one run are. It is safe for concurrent use.
type Progress struct {
	now func() time.Time

	mu    sync.Mutex
	known map[string]*experiment
}

type experiment struct {
	phases  map[journal.PhaseName]bool // those under way: the steps and the recovery may overlap
	faults  map[string]step            // by step
	over    time.Time                  // when the last fault was reverted; zero before
	settled time.Duration              // how long the recovery took, or until it was given up
	ended   bool                       // settled is known
}

type step struct {
	kind   string
	active bool
}

// New makes the progress of a run that has not begun.
func New() *Progress { return &Progress{now: time.Now, known: map[string]*experiment{}} }

// Observe takes notice of an event; it is a journal.Observer.
func (p *Progress) Observe(e journal.Event) {
	if e.Experiment == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.known[e.Experiment]
	if x == nil {
		x = &experiment{faults: map[string]step{}, phases: map[journal.PhaseName]bool{}}
		p.known[e.Experiment] = x
	}
	x.observe(e, p.now())
}

func (x *experiment) observe(e journal.Event, now time.Time) {
	switch e.Type {
	case journal.Planned:
		x.plan(e.Data)
	case journal.PhaseStarted:
		x.phases[phaseOf(e.Data)] = true
	case journal.PhaseEnded:
		x.phases[phaseOf(e.Data)] = false
	case journal.FaultActive:
		x.set(e.Step, provenIn(e.Data))
	case journal.FaultReverted:
		if x.faults[e.Step].active {
			x.over = now
		}
		x.set(e.Step, false)
	case journal.Recovered:
		var r journal.RecoveryResult
		if json.Unmarshal(e.Data, &r) == nil && r.Held {
			x.settled, x.ended = time.Duration(r.Took), true
		}
	case journal.ExperimentEnded:
		x.settle(now)
	}
}

// settle ends the count of a recovery that was given up.
func (x *experiment) settle(now time.Time) {
	if !x.ended && !x.over.IsZero() {
		x.settled, x.ended = now.Sub(x.over), true
	}
}

func (x *experiment) plan(data json.RawMessage) {
	var p plan.Plan
	if json.Unmarshal(data, &p) != nil {
		return
	}
	for _, s := range p.Steps {
		if s.Fault != nil {
			x.faults[s.ID] = step{kind: s.Fault.Kind}
		}
	}
}

func phaseOf(data json.RawMessage) journal.PhaseName {
	var p journal.Phase
	if json.Unmarshal(data, &p) != nil {
		return ""
	}
	return p.Name
}

// provenIn says whether the effect of a fault was proven.
func provenIn(data json.RawMessage) bool {
	var e fault.Effect
	return json.Unmarshal(data, &e) == nil && e.Proven
}

func (x *experiment) anyActive() bool {
	for _, f := range x.faults {
		if f.active {
			return true
		}
	}
	return false
}

func (x *experiment) set(step string, active bool) {
	f := x.faults[step]
	f.active = active
	x.faults[step] = f
}

// Collector answers what one experiment has to tell.
func (p *Progress) Collector(name string) metrics.Collector {
	return metrics.Collector{
		Labels:  map[string]string{"service": Service, "instance": Service},
		Collect: func() []metrics.Sample { return p.collect(name) },
	}
}

func (p *Progress) collect(name string) []metrics.Sample {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.known[name]
	if x == nil {
		return nil
	}
	var all []metrics.Sample
	for _, phase := range []journal.PhaseName{journal.Steady, journal.Method, journal.Recovery} {
		all = append(all, gauge(Phase, truth(x.phases[phase]), "experiment", name, "phase", string(phase)))
	}
	for _, step := range slices.Sorted(maps.Keys(x.faults)) {
		all = append(all, gauge(FaultActive, truth(x.faults[step].active), "experiment", name, "step", step, "fault", x.faults[step].kind))
	}
	if took, ok := x.recovery(p.now()); ok {
		all = append(all, gauge(RecoverySeconds, took.Seconds(), "experiment", name))
	}
	return all
}

// recovery is how long it took, or takes so far; false if no fault is over.
func (x *experiment) recovery(now time.Time) (time.Duration, bool) {
	switch {
	case x.ended:
		return x.settled, true
	case x.over.IsZero() || x.anyActive():
		return 0, false
	}
	return now.Sub(x.over), true
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func gauge(name string, value float64, labels ...string) metrics.Sample {
	s := metrics.Sample{Name: name, Value: value, Labels: map[string]string{}}
	for i := 0; i+1 < len(labels); i += 2 {
		s.Labels[labels[i]] = labels[i+1]
	}
	return s
}
