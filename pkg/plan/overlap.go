package plan

import (
	"slices"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// apart finds faults that are on one link, in one directory or on one database at the same time and cannot be there together.
func (b *builder) apart() {
	for i := range b.plan.Steps {
		for k := range b.plan.Steps[:i] {
			first, second := &b.plan.Steps[k], &b.plan.Steps[i]
			if first.Fault == nil || second.Fault == nil || !overlap(first, second) {
				continue
			}
			const hint = "let one begin after the other, with needs"
			if l, both := common(b.linksOf(first.Fault), b.linksOf(second.Fault)); both && b.excludes(first, second) {
				b.key(pointerOf(b, second.ID), "overlap", hint, "%s is on the link %s while %s is, and a fault on HTTP requests has a link to itself", second.ID, l.AllPorts(), first.ID)
			}
			if in, both := b.within(first.Fault, second.Fault); both {
				b.key(pointerOf(b, second.ID), "overlap", hint, "%s is in %s while %s is, and %s has a directory to itself, with all that is below it", second.ID, in, first.ID, second.Fault.Kind)
			}
			if by, other, why := b.hindered(first, second); why != "" {
				b.key(pointerOf(b, second.ID), "overlap", "let "+by.ID+" be during "+other.ID+", or one begin after the other, with needs", why, by.ID, other.ID, other.Fault.Kind)
			}
		}
	}
}

// within answers the smaller of the directories of two faults of a kind that may be one, or one in the other, in an instance of both.
func (b *builder) within(x, y *Fault) (string, bool) {
	kind, _ := b.site.fault(x.Kind)
	if kind.Within == "" || x.Kind != y.Kind || !meet(x, y) {
		return "", false
	}
	outer, inner := x.Params.Text(kind.Within), y.Params.Text(kind.Within)
	if len(outer) > len(inner) {
		outer, inner = inner, outer
	}
	return inner, target.IsIn(inner, outer)
}

// meet says whether two faults may hit the same service.
func meet(x, y *Fault) bool {
	return slices.ContainsFunc(x.mayHit(), func(s string) bool { return slices.Contains(y.mayHit(), s) })
}

// hindered answers which of two steps keeps the other one's fault from being taken back, and why. What is during the other one ends before it.
func (b *builder) hindered(first, second *Step) (by, other *Step, why string) {
	for _, s := range [][2]*Step{{first, second}, {second, first}} {
		if why := b.hinders(s[0].Fault, s[1].Fault); why != "" && !b.inside(s[0], s[1]) {
			return s[0], s[1], why
		}
	}
	return nil, nil, ""
}

// hinders says, given the ids of two faults' steps and the kind of the second, why that one could not be taken back.
func (b *builder) hinders(x, y *Fault) string {
	by, _ := b.site.fault(x.Kind)
	of, _ := b.site.fault(y.Kind)
	switch {
	case by.Fills && of.Room && meet(x, y) && sameDatabase(x, y):
		return "%s takes the room on the disk of a database while %s is on it, and %s needs room to be taken back"
	case by.Within != "" && of.Writes && b.holds(x, by.Within, y):
		return "%s makes the directory of a database read-only while %s is on it, and %s is taken back by a write to its file"
	}
	return ""
}

// holds says whether the directory of one fault holds the database of another, by its path in chaos.yaml, in a service that both may hit.
func (b *builder) holds(x *Fault, directory string, y *Fault) bool {
	return slices.ContainsFunc(x.mayHit(), func(service string) bool {
		return slices.Contains(y.mayHit(), service) && slices.ContainsFunc(b.databasesOf(service, y), func(file string) bool { return target.IsIn(file, x.Params.Text(directory)) })
	})
}

// databasesOf answers where the databases of a service lie on which a fault may be: the one that it names, or the only one.
func (b *builder) databasesOf(service string, f *Fault) (files []string) {
	for name, file := range b.site.Environment.Services[service].Databases {
		if named := f.Params.Text("database"); named == "" || named == name {
			files = append(files, file)
		}
	}
	return files
}

// sameDatabase says whether two faults are on one database of a service that both hit. Where one names none, there is only one.
func sameDatabase(x, y *Fault) bool {
	of, on := x.Params.Text("database"), y.Params.Text("database")
	return of == on || of == "" || on == ""
}

// inside says whether a step is during another, or during one that is.
func (b *builder) inside(s, outer *Step) bool {
	for s.During != "" && s.During != outer.ID {
		s = &b.plan.Steps[slices.IndexFunc(b.plan.Steps, func(o Step) bool { return o.ID == s.During })]
	}
	return s.During != ""
}

// excludes says whether two steps are faults on links of which one bears no other.
func (b *builder) excludes(first, second *Step) bool {
	x, _ := b.site.fault(first.Fault.Kind)
	y, _ := b.site.fault(second.Fault.Kind)
	return x.Link && y.Link && (x.Sole || y.Sole)
}

// overlap says whether two steps are at work at the same time, if all goes well.
func overlap(x, y *Step) bool {
	return x.Starts < y.Starts+y.Takes && y.Starts < x.Starts+x.Takes
}

// linksOf answers the links that a fault may hit.
func (b *builder) linksOf(f *Fault) []target.Link {
	var all []target.Link
	for from, s := range b.site.Environment.Services {
		for _, to := range s.Links {
			all = append(all, target.Link{From: from, To: to})
		}
		if s.Ports[spec.HTTPPort] != "" {
			all = append(all, target.Link{From: target.Outside, To: from})
		}
	}
	all = slices.DeleteFunc(all, func(l target.Link) bool {
		from, into := slices.Contains(f.mayHit(), l.From), slices.Contains(f.mayHit(), l.To)
		if f.To != "" {
			return !from || l.To != f.To
		}
		return !into && (!from || f.Port != "")
	})
	for i := range all {
		all[i].Port = f.Port
	}
	return all
}

// common answers the first link, by name, of which two faults share a part.
func common(x, y []target.Link) (first target.Link, found bool) {
	for _, l := range x {
		if slices.ContainsFunc(y, l.Overlaps) && (!found || l.String() < first.String()) {
			first, found = l, true
		}
	}
	return first, found
}
