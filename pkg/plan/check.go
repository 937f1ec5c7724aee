package plan

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/spec"
)

// LookTimeout bounds a look that has no timeout of its own.
const LookTimeout = Duration(5 * time.Second)

// stepCheck is check for a step: it may reuse a check of the steady state, and it says when it looks.
func (b *builder) stepCheck(pointer string, s *spec.Step) Check {
	c := Check{}
	if s.Check != "" {
		c = b.reused(s)
		c.Line = b.spec.Doc.Value(pointer + "/id").Line
		if s.Window != "" {
			c.Window = b.duration(pointer+"/window", s.Window, 0)
		}
		if s.Timeout != "" {
			c.Timeout = b.duration(pointer+"/timeout", s.Timeout, 0)
		}
	} else {
		c = b.check(pointer, s)
	}
	c.Required = s.Required == nil || *s.Required
	b.mode(pointer, s, &c)
	b.window(pointer, s, &c)
	if phase := b.phaseOf(s.During); c.Mode == AtStart && c.Timeout == 0 && phase > 0 && phase < LookTimeout {
		c.Timeout = phase // a fault must not last longer because a service does not answer
	}
	return c
}

func (b *builder) reused(s *spec.Step) Check {
	for _, c := range b.plan.Steady {
		if c.ID == s.Check {
			c.Reuses, c.ID = c.ID, s.ID
			return c
		}
	}
	return Check{ID: s.ID} // spec has reported it
}

// check decides what is looked at and what it must show.
func (b *builder) check(pointer string, s *spec.Step) Check {
	c := Check{ID: s.ID, Line: b.spec.Doc.Value(pointer + "/id").Line, Required: s.Required == nil || *s.Required, Expect: []Expect{}, Baseline: s.Baseline != ""}
	c.Probe = b.probe(pointer, s)
	c.Timeout = b.duration(pointer+"/timeout", s.Timeout, 0)
	c.Mode = AtStart
	if c.Probe.Metric() {
		c.Mode = AtEnd
		c.Window = b.duration(pointer+"/window", s.Window, 0)
		if c.Window > 0 && c.Window < leastIntervals*b.plan.Interval {
			b.value(pointer+"/window", "window", "", "a window of %v holds less than two scrapes; they are %v apart", time.Duration(c.Window), time.Duration(b.plan.Interval))
		} else if c.Window > 0 && c.Window < fewIntervals*b.plan.Interval {
			b.warn(pointer+"/window", "window", "", "a window of %v holds fewer than four scrapes; they are %v apart", time.Duration(c.Window), time.Duration(b.plan.Interval))
		}
	}
	c.Chart = b.chart(c)
	if s.Expect != nil {
		c.Expect = b.expect(pointer+"/expect", c, s.Expect)
	}
	return c
}

func (b *builder) probe(pointer string, s *spec.Step) Probe {
	switch {
	case s.Promql != nil:
		query := strings.ReplaceAll(s.Promql.Query, metrics.IntervalVariable, millis(b.plan.Interval))
		_, _, proportion := metrics.Proportion(metrics.Render(query, time.Minute, time.Duration(b.plan.Interval)))
		return Probe{Kind: "promql", Promql: &Promql{
			Query: query, Each: s.Promql.Each, NoData: or(s.Promql.NoData, "inconclusive"), Presence: s.Promql.Presence, Proportion: proportion && s.Promql.Each == "",
		}}
	case s.Ratio != nil:
		return Probe{Kind: "ratio", Ratio: &Ratio{Part: s.Ratio.Part, Total: s.Ratio.Total}}
	case s.Quantile != nil:
		q, _ := strconv.ParseFloat(s.Quantile.Q, 64)
		return Probe{Kind: "quantile", Quantile: &Quantile{Q: q, Of: s.Quantile.Of}}
	case s.HTTP != nil:
		return Probe{Kind: "http", HTTP: b.http(pointer+"/http", s.HTTP)}
	case s.TCP != nil:
		b.service(pointer+"/tcp/service", s.TCP.Service)
		return Probe{Kind: "tcp", TCP: &TCP{Service: s.TCP.Service}}
	case s.Exec != nil:
		return Probe{Kind: "exec", Exec: b.exec(pointer+"/exec", s.Exec)}
	default:
		b.service(pointer+"/state/service", s.State.Service)
		return Probe{Kind: "state", State: &State{Service: s.State.Service}}
	}
}

func millis(d Duration) string {
	return strconv.FormatInt(time.Duration(d).Milliseconds(), 10) + "ms"
}

func (b *builder) http(pointer string, h *spec.HTTP) *HTTP {
	b.service(pointer+"/service", h.Service)
	b.headers(pointer+"/headers", h.Service, h.Headers)
	return &HTTP{Service: h.Service, Method: or(h.Method, "GET"), Path: h.Path, Headers: h.Headers, Body: h.Body}
}

// headers checks that what they refer to may be sent to the service. The references stay: nobody but the sender knows the secrets.
func (b *builder) headers(pointer, service string, headers map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		at := pointer + "/" + spec.Escape(name)
		for _, secret := range spec.SecretsIn(headers[name]) {
			s, ok := b.site.Secrets[secret]
			switch {
			case !ok:
				b.value(at, "secret", diag.DidYouMean(secret, slices.Sorted(maps.Keys(b.site.Secrets))), "there is no secret %q in chaos.yaml", secret)
			case !slices.Contains(s.SendTo, service):
				b.value(at, "policy", "a project allows it with sendTo in chaos.yaml", "the secret %s may not be sent to %s", secret, service)
			}
		}
	}
}

func (b *builder) exec(pointer string, x *spec.Exec) *Exec {
	if !b.site.Policy.Exec {
		b.key(pointer, "policy", "a project allows it with policy: {exec: true} in chaos.yaml", "running commands is not allowed")
	}
	return &Exec{Command: x.Command, Env: x.Env}
}

// mode decides when a check of a step looks.
func (b *builder) mode(pointer string, s *spec.Step, c *Check) {
	otherwise := defaultEvery
	if c.Probe.Metric() {
		otherwise = time.Duration(b.plan.Interval)
	}
	hold, err := spec.ParseHold(s.Hold)
	if err != nil {
		b.value(pointer+"/hold", "quantity", "", "%v", err)
	}
	switch {
	case s.Within != "":
		c.Mode, c.Within = Eventually, b.duration(pointer+"/within", s.Within, 0)
	case s.Every != "":
		c.Mode, c.Hold = Continuous, Hold{MinRatio: hold.MinRatio, MaxBreach: Duration(hold.MaxBreach)}
	default:
		return
	}
	c.Timeout = 0 // the step's is for all of its looks
	c.Every = b.duration(pointer+"/every", s.Every, otherwise)
	b.often(pointer, *c)
	c.For = b.duration(pointer+"/for", s.For, 0)
	if c.Mode == Continuous && c.For == 0 && s.During == "" {
		b.key(pointer+"/every", "looking", "add for: with how long", "%s looks again and again without an end", c.ID)
	}
}

// leastEvery is how often a check may look at most: each look is recorded.
const leastEvery = 10 * time.Millisecond

func (b *builder) often(pointer string, c Check) {
	if time.Duration(c.Every) < leastEvery {
		b.value(pointer+"/every", "looking", "", "%s looks every %v, expected at least %v between two looks", c.ID, time.Duration(c.Every), leastEvery)
	}
}

// window checks that a window fits its phase. Without one a metric probe needs a fault's phase to look over.
func (b *builder) window(pointer string, s *spec.Step, c *Check) {
	if !c.Probe.Metric() {
		return
	}
	if s.During == "" {
		if c.Window == 0 {
			b.key(pointer, "window", "add window: with how long to look, or during: with a fault", "%s is not during a fault, so it needs a window", c.ID)
		}
		b.sample(pointer, c, c.Window)
		return
	}
	phase := b.phaseOf(s.During)
	b.sample(pointer, c, phase)
	if c.Window == 0 && c.Mode != AtEnd {
		c.Window = fewIntervals * b.plan.Interval
	}
	if phase > 0 && c.Window > phase {
		b.value(pointer+"/window", "window", "", "a window of %v does not fit into the active phase of %s, which lasts %v", time.Duration(c.Window), s.During, time.Duration(phase))
	}
}

func (b *builder) phaseOf(id string) Duration {
	for i := range b.spec.Steps {
		if b.spec.Steps[i].ID == id {
			return b.duration("/steps/"+strconv.Itoa(i)+"/duration", b.spec.Steps[i].Duration, 0)
		}
	}
	return 0
}

// chart is what is drawn of a metric check: its expression over a short sliding window.
func (b *builder) chart(c Check) Chart {
	w, interval := max(2*time.Second, fewIntervals*time.Duration(b.plan.Interval)), time.Duration(b.plan.Interval)
	switch {
	case c.Probe.Ratio != nil:
		r, err := metrics.Ratio(c.Probe.Ratio.Part, c.Probe.Ratio.Total, w)
		if err == nil {
			return Chart{Query: r.Value, Unit: "ratio"}
		}
	case c.Probe.Quantile != nil:
		r, err := metrics.Quantile(c.Probe.Quantile.Q, c.Probe.Quantile.Of, w)
		if err == nil {
			return Chart{Query: r.Value, Unit: unitOf(c.Probe.Quantile.Of)}
		}
	case c.Probe.Promql != nil:
		return Chart{Query: metrics.Render(c.Probe.Promql.Query, w, interval)}
	}
	return Chart{}
}

func unitOf(selector string) string {
	name, _, _ := strings.Cut(selector, "{")
	if strings.HasSuffix(strings.TrimSpace(name), "_seconds") {
		return "seconds"
	}
	return ""
}

// unit is the dimension of what a metric check measures; ok is false where it can be any.
func unit(c Check) (u quantity.Unit, ok bool) {
	switch {
	case c.Probe.Ratio != nil:
		return quantity.Percent, true
	case c.Probe.Quantile != nil && c.Chart.Unit == "seconds":
		return quantity.Time, true
	}
	return quantity.None, false
}
