package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/fault"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// link checks that each service that may be hit calls the other end, as the links in chaos.yaml say.
func (b *builder) link(pointer string, kind fault.Kind, f *Fault) {
	if !kind.Link {
		b.key(pointer, "target", "remove it", "%s does not act on a link, so it has no other end", kind.Name)
		return
	}
	if !b.service(pointer, f.To) {
		return
	}
	if callee, known := b.site.Environment.Services[f.To]; known && f.Port == "" && callee.Ports[spec.HTTPPort] == "" {
		b.value(pointer, "target", b.provable(f), textUnproven, f.To, spec.HTTPPort)
	}
	for _, from := range f.mayHit() {
		if service, known := b.site.Environment.Services[from]; known && !slices.Contains(service.Links, f.To) {
			b.value(pointer, "target", b.otherWay(from, f.To), "there is no link from %s to %s", from, f.To)
		}
	}
}

// linked checks that each service that may be hit has a link, where all of them are meant.
func (b *builder) linked(pointer string, f *Fault) {
	if slices.Contains(b.site.Capabilities, target.CanImpair) && !slices.Contains(b.site.Capabilities, target.CanAllPeers) {
		b.value(pointer, "unsupported-fault", "name the other end, with to", "%s on all links of a service cannot be done in environment %s: its target, %s, cannot %s",
			f.Kind, b.site.Name, b.site.Environment.Target, target.CanAllPeers)
		return
	}
	for _, name := range f.mayHit() {
		service, known := b.site.Environment.Services[name]
		_, served := service.Ports[spec.HTTPPort]
		switch alone := known && !served && !b.called(name); {
		case alone && f.Port != "":
			b.value(pointer, "target", "see links in chaos.yaml", "no link leads to %s: no service calls it, and it has no port %s", name, spec.HTTPPort)
		case alone && len(service.Links) == 0:
			b.value(pointer, "target", "see links in chaos.yaml", "%s has no link that %s could act on: it calls no service, none calls it, and it has no port %s",
				name, f.Kind, spec.HTTPPort)
		}
	}
	for _, l := range b.linksOf(f) {
		if callee, known := b.site.Environment.Services[l.To]; known && f.Port == "" && callee.Ports[spec.HTTPPort] == "" {
			b.value(pointer, "target", "name another end, with to, or "+b.provable(f), textUnproven, l.To, spec.HTTPPort)
			return
		}
	}
}

// sparesDenied refuses a fault on a link of which an end that is not selected is denied: it acts on that service's connections, and in its network as well.
func (b *builder) sparesDenied(pointer string, f *Fault) {
	var ends, others []string
	for _, l := range b.linksOf(f) {
		switch {
		case b.denied(l.From) && !slices.Contains(f.mayHit(), l.From):
			ends = append(ends, l.From)
		case b.denied(l.To) && !slices.Contains(f.mayHit(), l.To):
			ends = append(ends, l.To)
		case slices.Contains(f.mayHit(), l.From):
			others = append(others, l.To)
		}
	}
	at, hint := pointer+"/to", ""
	if f.To == "" {
		at = pointer + "/service"
	}
	if f.To == "" && len(others) > 0 && len(f.mayHit()) == 1 {
		hint = "name another end, with to"
	}
	slices.Sort(ends)
	for _, name := range slices.Compact(ends) {
		b.value(at, "policy", hint, "the policy in chaos.yaml does not allow to hit %s, which is an end of a link that %s acts on", name, f.Kind)
	}
}

// denied says whether the policy lets nobody hit a service, or the host of a database.
func (b *builder) denied(name string) bool {
	return slices.Contains(b.site.Policy.Services.Deny, name)
}

const textUnproven = "a fault on a link is proven by a request over it, and %s has no port named %s"

// provable hints at what makes a fault on a link to a service without HTTP one that can be proven.
func (b *builder) provable(f *Fault) string {
	if kind, _ := b.site.fault(f.Kind); f.To != "" && kind.TakesPort() && slices.Contains(b.site.Capabilities, target.CanPorts) {
		return "name one of its ports, with port"
	}
	return "see ports in chaos.yaml"
}

// called says whether a service calls this one.
func (b *builder) called(name string) bool {
	for _, other := range b.site.Environment.Services {
		if slices.Contains(other.Links, name) {
			return true
		}
	}
	return false
}

// otherWay hints at the link that exists.
func (b *builder) otherWay(from, to string) string {
	if from != to && slices.Contains(b.site.Environment.Services[to].Links, from) {
		return fmt.Sprintf("it is %s that calls %s: write {service: %s, to: %s}", to, from, to, from)
	}
	return "see links in chaos.yaml"
}

// port checks that each service that may be called has the port, and that the fault and the target can act on it alone.
func (b *builder) port(pointer string, kind fault.Kind, f *Fault) {
	switch can := b.site.Capabilities; {
	case !kind.Link:
		b.key(pointer, "target", "remove it", "%s does not act on a link, so it has no port", kind.Name)
	case !kind.TakesPort():
		b.key(pointer, "target", "remove it", "%s acts on requests to the port named %s, and on no other", kind.Name, spec.HTTPPort)
	case !b.havePort(pointer, f):
	case f.Port != spec.HTTPPort && slices.Contains(can, target.CanImpair) && !slices.Contains(can, target.CanPorts):
		b.value(pointer, "unsupported-fault", "", "%s on the port %s cannot be done in environment %s: its target, %s, cannot %s; links lead to the port named %s there",
			f.Kind, f.Port, b.site.Name, b.site.Environment.Target, target.CanPorts, spec.HTTPPort)
	}
}

// havePort says whether each service that may be called has the port, and reports those that do not.
func (b *builder) havePort(pointer string, f *Fault) bool {
	callees, all := f.mayHit(), true
	if f.To != "" {
		callees = []string{f.To}
	}
	for _, name := range callees {
		s, known := b.site.Environment.Services[name]
		if _, has := s.Ports[f.Port]; known && !has {
			ports := slices.Sorted(maps.Keys(s.Ports))
			b.value(pointer, "target", cmp.Or(diag.DidYouMean(f.Port, ports), "there are "+list(ports)), "%s has no port named %q in chaos.yaml", name, f.Port)
			all = false
		}
	}
	return all
}
