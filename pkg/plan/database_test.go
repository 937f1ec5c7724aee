package plan

import (
	"strings"
	"testing"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// servers is a site whose service-b has a file, and a database on a service and on a server elsewhere.
func servers() Site {
	s := site()
	s.Capabilities = append(s.Capabilities, target.CanDatabase)
	s.Environment.Services["db"] = spec.Service{Ports: map[string]string{"sql": "5432"}}
	s.Environment.Services["service-b"] = spec.Service{Ports: map[string]string{"http": "5001"}, Databases: map[string]string{
		"file": "x.db", "own": "postgres://chaos@db/orders", "elsewhere": "postgres://chaos@127.0.0.1/orders",
	}}
	s.Faults = []fault.Kind{
		{Name: "db.lock", Duration: fault.DurationRequired, Engines: []fault.Engine{fault.SQLite, fault.PostgreSQL}, Params: []fault.Param{{Name: "table", Type: fault.Text, Engine: fault.PostgreSQL}}},
		{Name: "db.readonly", Duration: fault.DurationRequired, Engines: []fault.Engine{fault.SQLite}},
		{Name: "db.exhaust", Duration: fault.DurationRequired, Engines: []fault.Engine{fault.PostgreSQL}},
	}
	return s
}

// What a fault can act on is known before anything runs, and so is who may not be hit through a database.
func TestFaultsOnTheirDatabases(t *testing.T) {
	const head = "apiVersion: chaos/v1\nname: db\nsteadyState:\n  - {id: up, http: {service: service-a, path: /}, expect: {status: 200}}\nsteps:\n"
	denied := servers()
	denied.Policy.Services.Deny = []string{"db"}
	for name, c := range map[string]struct {
		site  Site
		step  string
		want  string // of the problem; none if empty
		alone bool
	}{
		"a lock on a file":              {servers(), "fault: db.lock, target: {service: service-b, database: file}", "", false},
		"a lock on the project's own":   {servers(), "fault: db.lock, target: {service: service-b, database: own}, with: {table: orders}", "", false},
		"a lock on one that all share":  {servers(), "fault: db.lock, target: {service: service-b, database: elsewhere}", "", true},
		"a table of a file":             {servers(), "fault: db.lock, target: {service: service-b, database: file}, with: {table: orders}", "table is for databases of PostgreSQL, and file of service-b in environment local is one of SQLite", false},
		"read-only on a server":         {servers(), "fault: db.readonly, target: {service: service-b, database: own}", "db.readonly acts on databases of SQLite, and own of service-b in environment local is one of PostgreSQL", false},
		"connections of a file":         {servers(), "fault: db.exhaust, target: {service: service-b, database: file}", "db.exhaust acts on databases of PostgreSQL, and file of service-b in environment local is one of SQLite", false},
		"of one that has none":          {servers(), "fault: db.lock, target: {service: service-a}", "db.lock acts on a database, and service-a has none in chaos.yaml", false},
		"a name where there is none":    {servers(), "fault: db.lock, target: {service: service-a, database: own}", "service-a has no database \"own\" in chaos.yaml", false},
		"one of several":                {servers(), "fault: db.exhaust, target: {service: service-b}", "has 3 databases", false},
		"one whose server is protected": {denied, "fault: db.lock, target: {service: service-b, database: own}", "does not allow to hit db, where the database is", false},
		"one beside the protected":      {denied, "fault: db.lock, target: {service: service-b, database: file}", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			p, problems := Build(load(t, head+"  - {id: hit, "+c.step+", duration: 5s}\n"), c.site)
			if c.want != "" {
				if len(problems) != 1 || !strings.Contains(problems[0].Message, c.want) || problems[0].Span.Line != 6 {
					t.Errorf("got %v, want %q on line 6", problems, c.want)
				}
				return
			}
			if p == nil {
				t.Fatal(problems)
			}
			const says = "no other experiment runs beside it: hit hits a server that all share"
			if p.BearsNobody() != c.alone || strings.Contains(p.String(), says) != c.alone {
				t.Errorf("it bears nobody: %v, want %v, in\n%s", p.BearsNobody(), c.alone, p)
			}
		})
	}
}
