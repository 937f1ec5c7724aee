package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"chaosgate/pkg/fault"
)

// writeFault writes a fault with its parameters and its proof, and below it the steps that are during it.
func (p *Plan) writeFault(w *writer, indent int, s Step) {
	f := s.Fault
	span := "once"
	if f.Duration > 0 {
		span = "for " + dur(f.Duration)
	}
	w.line(indent, "%s %s: INJECT %s on %s %s%s%s%s", at(s.Starts), s.ID, f.Kind, f.blast(p.Seed), span, p.params(f), readyWithin(", ready again within %s", f.Ready), conditions(s))
	w.line(indent+1, "proven by: %s", f.Proof)
	for _, inner := range p.Steps {
		if inner.During == s.ID {
			p.writeStep(w, indent+1, inner)
		}
	}
	if f.Duration > 0 {
		w.line(indent, "%s %s: REVERT, verified by readback", at(s.Starts+s.Takes), s.ID)
	}
}

// blast is the blast radius in words.
func (f Fault) blast(seed uint64) string {
	text := strings.Join(f.Selection.Services, " and ")
	if f.Candidates != nil {
		text += fmt.Sprintf(" (picked at random from %s; seed %d)", strings.Join(f.Candidates, ", "), seed)
	}
	switch {
	case f.To != "" && f.Port != "":
		text = "the link " + text + " -> " + f.To + ":" + f.Port
	case f.To != "":
		text = "the link " + text + " -> " + f.To
	case f.Port != "":
		text = "all links to the port " + f.Port + " of " + text
	}
	if f.Selection.Instances != "all" {
		text += ", instances: " + f.Selection.Instances
	}
	return text
}

// params are the parameters, and in brackets what holds where none was given.
func (p *Plan) params(f *Fault) string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(f.Params)) {
		if f.Params[name] != "" {
			text += ", " + name + " " + f.Params[name]
		}
	}
	kind, _ := fault.Find(f.Kind)
	if len(kind.Engines) > 0 && f.Params.Text("database") == "" {
		text += ", database (" + strings.Join(p.databases(f.Selection.Services), ", ") + ")"
	}
	for _, open := range kind.Open(f.Params) {
		without := open.Without
		if open.Engine != "" {
			without = "of " + string(open.Engine) + ": " + without
		}
		text += ", " + open.Name + " (" + without + ")"
	}
	return text
}

// databases are those of services; a service whose database is not named has only one.
func (p *Plan) databases(services []string) []string {
	var names []string
	for _, place := range p.Places {
		if place.Database != "" && slices.Contains(services, place.Service) && !slices.Contains(names, place.Database) {
			names = append(names, place.Database)
		}
	}
	return names
}
