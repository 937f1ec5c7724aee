package verdict

import (
	"fmt"
	"slices"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

// The rules about scrapes: at least this part of those expected, where at least so many are.
const (
	leastCoverage = 0.9
	leastScrapes  = 4
)

// coverage is how well the targets were scraped in a phase; step is the fault whose active phase it is, or the check outside of those that looked over it.
type coverage struct {
	step string
	journal.Coverage
}

func (r *record) addUp(e journal.Event) error {
	info, err := journal.Decode[journal.EnvironmentInfo](e)
	r.up, r.upAt, r.services = true, e.Time, info.Services
	return err
}

func (r *record) addCoverage(e journal.Event) error {
	c, err := journal.Decode[journal.Coverage](e)
	r.coverage = append(r.coverage, coverage{e.Step, c})
	return err
}

// judgeCoverage closes the gate where evidence may be missing without a check noticing: a target that no fault has hit was not scraped often enough, or nobody knows
// how often. A replica that fails and is not scraped any more makes every ratio look better.
func (r *record) judgeCoverage(e *Experiment) {
	if !slices.ContainsFunc(r.allChecks(), func(c plan.Check) bool { return c.Probe.Metric() }) {
		return
	}
	if !slices.ContainsFunc(r.coverage, func(c coverage) bool { return c.Phase == journal.Steady }) && len(r.services) > 0 {
		e.close("", Inconclusive, RuleCoverage, "how well the targets were scraped was not recorded")
	}
	for _, c := range r.coverage {
		if check := r.checkOf(c.step); check != nil && !check.Required {
			continue
		}
		if c.Error != "" {
			e.close(c.step, Inconclusive, RuleCoverage, "how well the targets were scraped could not be asked: "+c.Error)
			continue
		}
		for _, service := range r.services {
			if c.Phase == journal.Steady || !r.hit(service) {
				r.judgeScrapes(e, c, service)
			}
		}
		r.judgeOthers(e, c)
	}
}

// judgeOthers judges what was scraped beside the services: the callers, whom no fault hits.
func (r *record) judgeOthers(e *Experiment, c coverage) {
	for _, t := range c.Targets {
		if !slices.Contains(r.services, t.Service) {
			r.judgeScrapes(e, c, t.Service)
		}
	}
}

func (r *record) judgeScrapes(e *Experiment, c coverage, service string) {
	where := r.stretch(c)
	seen := false
	for _, t := range c.Targets {
		if t.Service != service {
			continue
		}
		seen = true
		if t.Expected >= leastScrapes && t.Got < leastCoverage*t.Expected {
			e.close(c.step, Inconclusive, RuleCoverage, fmt.Sprintf("%s was scraped %.0f of %.0f times in the %s, expected at least %.0f%%: what it did meanwhile is not known",
				t.Instance, t.Got, t.Expected, where, leastCoverage*100))
		}
	}
	if !seen && c.To.Sub(c.From) >= leastScrapes*time.Duration(r.plan.Interval) {
		e.close(c.step, Inconclusive, RuleCoverage, fmt.Sprintf("%s was never scraped in the %s", service, where))
	}
}

// stretch says in words what a coverage is of.
func (r *record) stretch(c coverage) string {
	switch {
	case c.Phase == journal.Steady:
		return string(c.Phase) + " (nothing was injected yet: if the machine is too busy, run fewer experiments at once)"
	case c.step == "":
		return string(c.Phase)
	case r.checkOf(c.step) != nil:
		return "time in which " + c.step + " looked"
	default:
		return "active phase of " + c.step
	}
}

// checkOf is the check that a step is, nil if it is none.
func (r *record) checkOf(step string) *plan.Check {
	for _, s := range r.plan.Steps {
		if s.ID == step {
			return s.Check
		}
	}
	return nil
}

// hit says whether a fault of the experiment acts on a service itself; faults on links do not keep a service from being scraped.
func (r *record) hit(service string) bool {
	return slices.ContainsFunc(r.plan.Steps, func(s plan.Step) bool {
		if s.Fault == nil || !slices.Contains(s.Fault.Selection.Services, service) {
			return false
		}
		kind, known := fault.Find(s.Fault.Kind)
		return !known || !kind.Link
	})
}

func (r *record) allChecks() []plan.Check {
	all := slices.Concat(r.plan.Steady, r.plan.Abort)
	for _, s := range r.plan.Steps {
		if s.Check != nil {
			all = append(all, *s.Check)
		}
	}
	return all
}
