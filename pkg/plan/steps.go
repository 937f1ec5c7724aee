package plan

import (
	"math/rand/v2"
	"path"
	"slices"
	"strconv"
	"time"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/fault"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

func (b *builder) step(pointer string, s *spec.Step) {
	step := Step{
		ID: s.ID, Line: b.spec.Doc.Value(pointer + "/id").Line, Needs: append([]string{}, s.Needs...), During: s.During, When: When(or(s.When, string(WhenPass))),
		Timeout: b.duration(pointer+"/timeout", s.Timeout, 0),
	}
	b.lasts(pointer+"/during", s.During)
	if s.Retry != nil {
		step.Retry.Times, _ = strconv.Atoi(s.Retry.Times)
		step.Retry.Every = b.duration(pointer+"/retry/every", s.Retry.Every, defaultEvery)
	}
	switch {
	case s.Fault != "":
		step.Fault = b.fault(pointer, s)
	case s.Wait != "":
		step.Wait = b.duration(pointer+"/wait", s.Wait, 0)
	case s.Action != nil:
		step.Action = b.action(pointer+"/action", s.Action)
	default:
		c := b.stepCheck(pointer, s)
		step.Check = &c
	}
	b.plan.Steps = append(b.plan.Steps, step)
}

func (b *builder) action(pointer string, a *spec.Action) *Action {
	if a.HTTP != nil {
		return &Action{HTTP: b.http(pointer+"/http", a.HTTP)}
	}
	return &Action{Exec: b.exec(pointer+"/exec", a.Exec)}
}

// fault decides an injection: what, on which services, with which parameters.
func (b *builder) fault(pointer string, s *spec.Step) *Fault {
	kind, ok := b.kind(pointer+"/fault", s.Fault)
	if s.Target == nil { // spec has reported it
		return &Fault{Kind: s.Fault}
	}
	if !ok {
		b.selection(pointer+"/target", s) // for its problems
		return &Fault{Kind: s.Fault}
	}
	f := &Fault{Kind: s.Fault, To: s.Target.To, Port: s.Target.Port, Duration: b.duration(pointer+"/duration", s.Duration, 0), Proof: kind.Proof}
	b.durationRule(pointer, kind, s)
	f.Selection = b.selection(pointer+"/target", s)
	if s.Target.Pick != "" {
		f.Candidates = append([]string{}, s.Target.Service...)
	}
	if s.Target.To != "" {
		b.link(pointer+"/target/to", kind, f)
	} else if kind.Link {
		b.linked(pointer+"/target/service", f)
	}
	if f.Port != "" {
		b.port(pointer+"/target/port", kind, f)
	}
	if kind.Link {
		b.sparesDenied(pointer+"/target", f)
	}
	b.database(pointer, kind, s)
	with := map[string]string{}
	for name, text := range s.With {
		with[name], _, _ = b.literal(text)
	}
	params, problems := kind.CheckParams(with)
	for _, p := range problems {
		b.key(pointer+"/with/"+spec.Escape(p.Name), "parameter", p.Hint, "%s", p.Message)
	}
	f.Params = params
	if kind.StartsAgain(time.Duration(f.Duration)) {
		f.Ready = comingBack(b.ready(f.mayHit()), Duration(params.Duration("grace")))
	}
	if s.Target.Database != "" {
		f.Params["database"] = s.Target.Database
	}
	return f
}

// kind finds the fault, and says why it cannot be used here.
func (b *builder) kind(pointer, name string) (fault.Kind, bool) {
	kind, ok := b.site.fault(name)
	if !ok {
		var names []string
		for _, k := range b.site.Faults {
			names = append(names, k.Name)
		}
		hint := diag.DidYouMean(name, names)
		if hint == "" {
			hint = "there are " + list(names)
		}
		b.value(pointer, "unknown-fault", hint, "there is no fault %q", name)
		return fault.Kind{}, false
	}
	for _, need := range kind.Needs {
		if !slices.Contains(b.site.Capabilities, need) {
			b.value(pointer, "unsupported-fault", "", "%s cannot be done in environment %s: its target, %s, cannot %s", name, b.site.Name, b.site.Environment.Target, need)
		}
	}
	if allowed := b.site.Policy.Faults; len(allowed) > 0 && !slices.ContainsFunc(allowed, func(p string) bool { return matches(p, name) }) {
		b.value(pointer, "policy", "", "the policy in chaos.yaml does not allow %s; it allows %s", name, list(allowed))
	}
	return kind, true
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

func (b *builder) durationRule(pointer string, kind fault.Kind, s *spec.Step) {
	switch {
	case kind.Duration == fault.DurationRequired && s.Duration == "":
		b.key(pointer+"/fault", "duration", "add duration: 5s", "%s needs a duration", kind.Name)
	case kind.Duration == fault.DurationNone && s.Duration != "":
		b.key(pointer+"/duration", "duration", "remove it", "%s happens once and has no duration", kind.Name)
	}
}

// lasts checks that a fault which something is during has a phase. Of one that always needs a duration it is said at the fault that it has none.
func (b *builder) lasts(pointer, id string) {
	if id == "" {
		return
	}
	i := slices.IndexFunc(b.spec.Steps, func(s spec.Step) bool { return s.ID == id })
	if i < 0 || b.spec.Steps[i].Duration != "" {
		return
	}
	switch kind, _ := b.site.fault(b.spec.Steps[i].Fault); kind.Duration {
	case fault.DurationOptional:
		b.value(pointer, "during", "give "+id+" a duration, or use needs", "%q has no duration, so it has no active phase to be during", id)
	case fault.DurationNone:
		b.value(pointer, "during", "use needs", "%q happens once, so it has no active phase to be during", id)
	}
}

func (b *builder) selection(pointer string, s *spec.Step) target.Selection {
	t := s.Target
	known := true
	for i, name := range t.Service {
		at := pointer + "/service"
		if len(t.Service) > 1 {
			at += "/" + strconv.Itoa(i)
		}
		known = b.service(at, name) && known
		if b.denied(name) {
			b.value(at, "policy", "", "the policy in chaos.yaml does not allow to hit %s", name)
		}
	}
	b.instances(pointer+"/instances", t.Instances)
	sel := target.Selection{Services: append([]string{}, t.Service...), Instances: or(t.Instances, "all"), Seed: draw(b.site.Seed, b.spec.Name, s.ID)}
	if known && t.Pick == "random" {
		random := rand.New(rand.NewPCG(sel.Seed, 0))
		sel.Services = []string{t.Service[random.IntN(len(t.Service))]}
	}
	return sel
}

func (b *builder) instances(pointer, text string) {
	if text == "" || text == "one" || text == "all" {
		return
	}
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		if n > 1 && !slices.Contains(b.site.Capabilities, target.CanScale) {
			b.value(pointer, "instances", "leave it out", "instances is %d, but each service of environment %s has one: its target, %s, cannot %s",
				n, b.site.Name, b.site.Environment.Target, target.CanScale)
		}
		return
	}
	if share, err := quantity.ParsePercent(text); err == nil && share > 0 && share <= 1 {
		return
	}
	b.value(pointer, "instances", "", "instances is %q, expected one, all, a number or a percentage", text)
}

// mayHit answers the services that a fault may hit: another seed picks another one of its candidates.
func (f *Fault) mayHit() []string {
	if len(f.Candidates) > 0 {
		return f.Candidates
	}
	return f.Selection.Services
}
