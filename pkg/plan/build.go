package plan

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/fault"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// Site is where a plan is made for: one environment of chaos.yaml, what may be done there, and what can be done there.
type Site struct {
	Name         string // of the environment
	Environment  spec.Environment
	Policy       spec.Policy
	Secrets      map[string]spec.Secret
	Faults       []fault.Kind
	Capabilities []target.Capability
	Seed         uint64 // of the run
}

// fault finds a fault that can be used there by its name.
func (s Site) fault(name string) (fault.Kind, bool) {
	i := slices.IndexFunc(s.Faults, func(k fault.Kind) bool { return k.Name == name })
	if i < 0 {
		return fault.Kind{}, false
	}
	return s.Faults[i], true
}

// The defaults of what an experiment may leave out.
const (
	defaultInterval       = 250 * time.Millisecond
	defaultServerInterval = 15 * time.Second
	defaultWithin         = 30 * time.Second
	defaultFor            = 3 * time.Second
	defaultTraffic        = 5 * time.Second
	defaultEvery          = 500 * time.Millisecond // of probes that are no metrics
	defaultMostTime       = time.Hour              // of policy.timeout
	defaultMostRate       = 10_000                 // of policy.rate, per second
	leastTimeout          = time.Minute
)

// The rules about windows: one shorter than two scrape intervals shows nothing, shorter than four little.
const (
	leastIntervals = 2
	fewIntervals   = 4
)

// Build decides one experiment, offline. The problems have the places of the file; with an error among them there is no plan.
func Build(e *spec.Experiment, site Site) (*Plan, diag.List) {
	b := &builder{spec: e, site: site}
	b.plan = Plan{
		Name: e.Name, Title: e.Title, Description: e.Description, Owner: e.Owner, Tags: append([]string{}, e.Tags...), File: e.Doc.File,
		Environment: site.Name, Target: site.Environment.Target, Seed: site.Seed, Interval: b.interval(),
		Traffic: []Traffic{}, Steady: []Check{}, Steps: []Step{}, Abort: []Check{}, Critical: []string{},
	}
	b.traffic()
	b.steady()
	b.recovery()
	for i := range e.Steps {
		b.step("/steps/"+strconv.Itoa(i), &e.Steps[i])
	}
	b.abort()
	b.reach()
	b.plan.Places, b.plan.Ready = b.places(), b.ready(b.services())
	b.plan.Alone, b.plan.Shared = b.alone(), b.shared()
	if b.problems.Invalid() {
		return nil, b.problems.Bounded()
	}
	b.schedule()
	b.apart()
	b.timeout()
	b.feasible()
	b.sendable()
	if b.problems.Invalid() {
		return nil, b.problems.Bounded()
	}
	return &b.plan, b.problems.Bounded()
}

// builder decides one plan.
type builder struct {
	spec     *spec.Experiment
	site     Site
	plan     Plan
	problems diag.List
}

func (b *builder) problem(span diag.Span, s diag.Severity, rule, hint, format string, args ...any) {
	b.problems = append(b.problems, diag.Problem{Span: span, Severity: s, Rule: rule, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

func (b *builder) value(pointer, rule, hint, format string, args ...any) {
	b.problem(b.spec.Doc.Value(pointer), diag.Error, rule, hint, format, args...)
}

func (b *builder) key(pointer, rule, hint, format string, args ...any) {
	b.problem(b.spec.Doc.Key(pointer), diag.Error, rule, hint, format, args...)
}

func (b *builder) warn(pointer, rule, hint, format string, args ...any) {
	b.problem(b.spec.Doc.Key(pointer), diag.Warning, rule, hint, format, args...)
}

func (b *builder) interval() Duration {
	p := b.site.Environment.Prometheus
	switch {
	case p.Interval != "":
		d, err := quantity.ParseDuration(p.Interval)
		if err == nil {
			return Duration(d)
		}
	case !p.Embedded():
		return Duration(defaultServerInterval)
	}
	return Duration(defaultInterval)
}

// literal answers what a text stands for: a "$name" is looked up, and the environment's value goes before the experiment's.
func (b *builder) literal(text string) (value, threshold, override string) {
	if text == "" || text[0] != '$' {
		return text, "", ""
	}
	name := text[1:]
	if v, ok := b.site.Environment.Thresholds[name]; ok {
		return v, name, b.site.Name
	}
	return b.spec.Thresholds[name], name, ""
}

// duration reads a duration that spec has checked, except where the environment has replaced it.
func (b *builder) duration(pointer, text string, otherwise time.Duration) Duration {
	if text == "" {
		return Duration(otherwise)
	}
	v, _, _ := b.literal(text)
	d, err := quantity.ParseDuration(v)
	if err != nil {
		b.value(pointer, "quantity", "", "%v", err)
	}
	return Duration(d)
}

func (b *builder) services() []string {
	var names []string
	for name := range b.site.Environment.Services {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// service checks that a name is one of the environment's services.
func (b *builder) service(pointer, name string) bool {
	if _, ok := b.site.Environment.Services[name]; ok {
		return true
	}
	names := b.services()
	b.value(pointer, "unknown-service", diag.DidYouMean(name, names), "environment %s has no service %q; it has %s", b.site.Name, name, list(names))
	return false
}

func list(all []string) string {
	text := ""
	for i, s := range all {
		if i > 0 {
			text += ", "
		}
		text += s
	}
	return text
}

func (b *builder) traffic() {
	sum := 0.0
	for i, t := range b.spec.Traffic {
		p := "/traffic/" + strconv.Itoa(i)
		b.service(p+"/service", t.Service)
		rate, _, _ := b.literal(t.Rate)
		v, err := quantity.ParseRate(rate)
		if err != nil || v < 0.1 || v > 10_000 {
			b.value(p+"/rate", "quantity", "", "rate is %s, expected one from 0.1/s to 10000/s", t.Rate)
		}
		b.headers(p+"/headers", t.Service, t.Headers)
		sum += v
		b.plan.Traffic = append(b.plan.Traffic, Traffic{
			Service: t.Service, Method: or(t.Method, "GET"), Path: t.Path, Rate: v, Headers: t.Headers, Body: t.Body,
			Timeout: b.duration(p+"/timeout", t.Timeout, defaultTraffic),
		})
	}
	if most := b.mostRate(); sum > most {
		b.key("/traffic", "policy", "policy.rate in chaos.yaml says how much", "all traffic together sends %g/s, and the policy allows %g/s", sum, most)
	}
}

// mostRate is how much traffic an experiment may send.
func (b *builder) mostRate() float64 {
	v, err := quantity.ParseRate(b.site.Policy.Rate)
	if err != nil { // it says nothing; what it says has been checked
		return defaultMostRate
	}
	return v
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (b *builder) steady() {
	b.plan.SteadyFor = fewIntervals * b.plan.Interval
	for i := range b.spec.SteadyState {
		p := "/steadyState/" + strconv.Itoa(i)
		c := b.check(p, &b.spec.SteadyState[i])
		if c.Probe.Metric() && c.Window == 0 {
			c.Window = fewIntervals * b.plan.Interval
			b.warn(p, "window", "add window: with a longer time", "%s has no window; it gets four scrape intervals, %v", c.ID, time.Duration(c.Window))
		}
		b.plan.SteadyFor = max(b.plan.SteadyFor, c.Window)
		b.plan.Steady = append(b.plan.Steady, c)
	}
	for i := range b.spec.Steps {
		if s := &b.spec.Steps[i]; s.Baseline != "" {
			b.plan.SteadyFor = max(b.plan.SteadyFor, b.leastCompared(), b.comparedBefore(i, s))
		}
	}
}

func (b *builder) recovery() {
	r := b.spec.Recovery
	b.plan.Recovery = Recovery{Within: b.duration("/recovery/within", r.Within, defaultWithin), For: b.duration("/recovery/for", r.For, defaultFor)}
	b.plan.Recovery.Takes = b.plan.Recovery.For
	for _, c := range b.plan.Steady {
		b.plan.Recovery.Takes = max(b.plan.Recovery.Takes, c.Window)
	}
}

func (b *builder) abort() {
	for i := range b.spec.AbortWhen {
		s, p := &b.spec.AbortWhen[i], "/abortWhen/"+strconv.Itoa(i)
		c := b.check(p, s)
		c.Mode, c.Every, c.For = Continuous, b.duration(p+"/every", s.Every, time.Duration(b.plan.Interval)), b.duration(p+"/for", s.For, 0)
		b.often(p, c)
		if c.Window == 0 {
			c.Window = 2 * fewIntervals * b.plan.Interval
		}
		b.plan.Abort = append(b.plan.Abort, c)
	}
}

// timeout is twice what is expected, and the time that the recovery and the starts of services may take, as far as the policy allows it, unless the file says.
func (b *builder) timeout() {
	expected, most := time.Duration(b.plan.Expected), b.mostTime()
	otherwise := max(leastTimeout, 2*expected+time.Duration(b.plan.Recovery.Within+b.starting())).Round(time.Second)
	b.plan.Timeout = b.duration("/timeout", b.spec.Timeout, max(expected, min(otherwise, most)))
	if time.Duration(max(b.plan.Timeout, b.plan.Expected)) > most {
		b.value("/timeout", "policy", "policy.timeout in chaos.yaml says how long", "the experiment may take %v, and the policy allows %v", time.Duration(max(b.plan.Timeout, b.plan.Expected)), most)
	}
	if b.plan.Timeout < b.plan.Expected {
		b.value("/timeout", "timeout", "", "the timeout of %v is shorter than the %v that the experiment takes if all goes well",
			time.Duration(b.plan.Timeout), time.Duration(b.plan.Expected))
	}
}

// mostTime is how long an experiment may take.
func (b *builder) mostTime() time.Duration {
	d, err := quantity.ParseDuration(b.site.Policy.Timeout)
	if err != nil { // it says nothing; what it says has been checked
		return defaultMostTime
	}
	return d
}

// draw answers a number from the run's seed for one step of one experiment. It depends on nothing else, so that adding an experiment or a step changes no
// other pick: it is the 64-bit FNV-1a hash of the seed, the experiment's name and the step's id.
func draw(seed uint64, experiment, step string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d\x00%s\x00%s", seed, experiment, step)
	return h.Sum64()
}
