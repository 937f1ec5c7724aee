package verdict

import (
	"fmt"
	"math"
	"slices"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
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

// judgeCoverage closes the gate where evidence may be missing without a check noticing: a target was not scraped often enough while no fault on it kept it from answering, or
// nobody knows how often. A replica that fails and is not scraped any more makes every ratio look better, also beside one that was hit.
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
		for _, service := range r.measured(c) {
			r.judgeService(e, c, service)
		}
	}
}

// measured are the services, and what was scraped beside them: the callers, whom no fault hits.
func (r *record) measured(c coverage) []string {
	names := slices.Clone(r.services)
	for _, t := range c.Targets {
		if !slices.Contains(names, t.Service) {
			names = append(names, t.Service)
		}
	}
	return names
}

func (r *record) judgeService(e *Experiment, c coverage, service string) {
	targets, hit := r.expected(c, service), r.hit(service)
	switch {
	case c.Phase == journal.Steady:
		hit = nil // nothing was injected yet
	case slices.ContainsFunc(hit, func(i string) bool { return !named(targets, i) }):
		r.judgeUnnamed(e, c, service, hit)
		return
	}
	if len(targets) == 0 && r.scrapes(c) >= leastScrapes {
		e.close(c.step, Inconclusive, RuleCoverage, fmt.Sprintf("%s was never scraped in the %s", service, r.stretch(c)))
	}
	for _, t := range targets {
		part := 1.0
		if slices.Contains(hit, t.Instance) {
			part = r.answering(t.Instance, c.Coverage)
		}
		if sparse(t, part) {
			e.close(c.step, Inconclusive, RuleCoverage, fmt.Sprintf("%s was scraped %.0f of %.0f times in the %s%s, expected at least %.0f%%: what it did meanwhile is not known",
				t.Instance, t.Got, t.Expected*part, r.stretch(c), leftOut(part), leastCoverage*100))
		}
	}
}

// leftOut says what a part of a stretch is.
func leftOut(part float64) string {
	if part < 1 {
		return ", without the time in which a fault may have kept it silent"
	}
	return ""
}

// sparse says whether a target has too few scrapes in the part of a stretch in which it had to answer.
func sparse(t metrics.Covered, part float64) bool {
	expected := part * t.Expected
	return expected >= leastScrapes && t.Got < leastCoverage*expected
}

// expected are the targets of a service in a stretch. One that was scraped in the steady state and of which nothing is on record since was never scraped.
func (r *record) expected(c coverage, service string) []metrics.Covered {
	all := c.of(service)
	for _, t := range r.steadily(service) {
		if !named(all, t.Instance) {
			t.Expected, t.Got = r.scrapes(c), 0
			all = append(all, t)
		}
	}
	return all
}

// steadily are the targets of a service in the steady state.
func (r *record) steadily(service string) (all []metrics.Covered) {
	for _, c := range r.coverage {
		if c.Phase == journal.Steady {
			all = append(all, c.of(service)...)
		}
	}
	return all
}

func (c coverage) of(service string) (all []metrics.Covered) {
	for _, t := range c.Targets {
		if t.Service == service {
			all = append(all, t)
		}
	}
	return all
}

func named(targets []metrics.Covered, instance string) bool {
	return slices.ContainsFunc(targets, func(t metrics.Covered) bool { return t.Instance == instance })
}

// scrapes is how many there should be in a stretch; without end if the plan does not say how often.
func (r *record) scrapes(c coverage) float64 {
	if r.plan.Interval <= 0 {
		return math.Inf(1)
	}
	return float64(c.To.Sub(c.From) / time.Duration(r.plan.Interval))
}

// judgeUnnamed judges a service whose instances a server knows by names of its own, such as their addresses, which may be others after a start: as many as no fault has silenced
// must have been scraped often enough.
func (r *record) judgeUnnamed(e *Experiment, c coverage, service string, hit []string) {
	good, silenced, before := 0, 0, len(r.steadily(service))
	for _, t := range c.of(service) {
		if !sparse(t, 1) {
			good++
		}
	}
	for _, i := range hit {
		if r.answering(i, c.Coverage) < 1 {
			silenced++
		}
	}
	if r.scrapes(c) >= leastScrapes && good < before-silenced {
		e.close(c.step, Inconclusive, RuleCoverage, fmt.Sprintf("%d of %d targets of %s were scraped at least %.0f%% of the times in the %s, expected %d, since faults may have kept %d silent: what the others did meanwhile is not known",
			good, before, service, leastCoverage*100, r.stretch(c), before-silenced, silenced))
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

func (r *record) allChecks() []plan.Check {
	all := slices.Concat(r.plan.Steady, r.plan.Abort)
	for _, s := range r.plan.Steps {
		if s.Check != nil {
			all = append(all, *s.Check)
		}
	}
	return all
}
