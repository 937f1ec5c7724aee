package plan

import (
	"maps"
	"slices"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/fault"
	"chaosgate/pkg/spec"
)

// database checks that each service that may be hit has the database, and that the fault can act on it.
func (b *builder) database(step string, kind fault.Kind, s *spec.Step) {
	pointer, t := step+"/target/database", s.Target
	if t.Database != "" && len(kind.Engines) == 0 {
		b.key(pointer, "target", "remove it", "%s does not act on a database", kind.Name)
		return
	}
	if len(kind.Engines) == 0 {
		return
	}
	for _, name := range t.Service {
		service, ok := b.site.Environment.Services[name]
		names := slices.Sorted(maps.Keys(service.Databases))
		switch {
		case !ok:
		case t.Database == "" && len(names) == 0:
			b.key(step+"/target", "target", "declare it under databases of "+name, "%s acts on a database, and %s has none in chaos.yaml", kind.Name, name)
		case t.Database == "" && len(names) != 1:
			b.key(step+"/target", "target", "", "%s has %d databases in chaos.yaml, so one must be named; there are: %s", name, len(names), list(names))
		case t.Database != "" && !slices.Contains(names, t.Database):
			b.value(pointer, "target", diag.DidYouMean(t.Database, names), "%s has no database %q in chaos.yaml", name, t.Database)
		case t.Database != "":
			b.engine(step, kind, s, place{name, t.Database})
		default:
			b.engine(step, kind, s, place{name, names[0]})
		}
	}
}

// place is a database of a service.
type place struct{ service, database string }

// engine checks that a fault, and what is said of it, is for databases of this kind, and that the server of one may be hit.
func (b *builder) engine(step string, kind fault.Kind, s *spec.Step, p place) {
	text := b.site.Environment.Services[p.service].Databases[p.database]
	engine := fault.SQLite
	if spec.IsServer(text) {
		engine = fault.PostgreSQL
		b.mayHitServer(step, text)
	}
	if !slices.Contains(kind.Engines, engine) {
		b.value(step+"/fault", "unsupported-fault", "", "%s acts on databases of %s, and %s of %s in environment %s is one of %s", kind.Name, enginesOf(kind), p.database, p.service, b.site.Name, engine)
		return
	}
	for _, param := range kind.Params {
		if _, given := s.With[param.Name]; given && param.Engine != "" && param.Engine != engine {
			b.key(step+"/with/"+spec.Escape(param.Name), "parameter", "remove it", "%s is for databases of %s, and %s of %s in environment %s is one of %s",
				param.Name, param.Engine, p.database, p.service, b.site.Name, engine)
		}
	}
}

// mayHitServer refuses a database whose server is a service that the policy lets nobody hit.
func (b *builder) mayHitServer(step, text string) {
	if at, _ := spec.ParseServer(text); b.denied(at.Host) {
		b.key(step+"/target", "policy", "", "the policy in chaos.yaml does not allow to hit %s, where the database is", at.Host)
	}
}

func enginesOf(kind fault.Kind) string {
	var names []string
	for _, e := range kind.Engines {
		names = append(names, string(e))
	}
	return list(names)
}

// shared answers the faults on servers that are no services of the environment.
func (b *builder) shared() []string {
	var ids []string
	for _, s := range b.plan.Steps {
		if s.Fault == nil {
			continue
		}
		if kind, ok := b.site.fault(s.Fault.Kind); ok && len(kind.Engines) > 0 && slices.ContainsFunc(s.Fault.Selection.Services, b.outside(s.Fault.Params.Text("database"))) {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// outside says of a service whether a database of it, the only one if it is not named, is on a server that is no service of the environment.
func (b *builder) outside(database string) func(string) bool {
	return func(service string) bool {
		for name, text := range b.site.Environment.Services[service].Databases {
			if (database == "" || name == database) && spec.IsServer(text) {
				at, _ := spec.ParseServer(text)
				_, is := at.On(b.site.Environment.Services)
				return !is
			}
		}
		return false
	}
}
