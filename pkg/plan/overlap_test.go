package plan

import (
	"strings"
	"testing"

	"chaosgate/pkg/spec"
)

// What would keep a fault from being taken back cannot be there at its end: it is during it, and so over before it in any case, or at another time.
func TestFaultsThatKeepOthersFromBeingTakenBack(t *testing.T) {
	step := func(id, how, kind, target string) string {
		return "  - {id: " + id + ", " + how + "fault: " + kind + ", target: {" + target + "}, duration: 3s}\n"
	}
	shut := func(how, service, path string) string {
		return "  - {id: y, " + how + "fault: disk.readonly, target: {service: " + service + "}, with: {path: " + path + "}, duration: 3s}\n"
	}
	const one, two = "service: service-b, database: orders", "service: service-a, database: orders"
	const full, closed = "takes the room on the disk of a database while", "makes the directory of a database read-only while"
	damage, mark := step("x", "", "db.corrupt", one), step("x", "", "db.readonly", one)
	for name, c := range map[string]struct{ steps, refused string }{
		"full beside damage":              {damage + step("y", "", "db.full", one), "y " + full + " x is on it, and db.corrupt needs room to be taken back"},
		"full before damage":              {step("x", "", "db.full", one) + step("y", "", "db.corrupt", one), "x " + full + " y is on it"},
		"full around damage":              {step("x", "", "db.full", one) + step("y", "during: x, ", "db.corrupt", one), "x " + full + " y is on it"},
		"without a name":                  {damage + step("y", "", "db.full", "service: service-b"), "y " + full + " x is on it"},
		"of either":                       {damage + step("y", "", "db.full", "service: [service-a, service-b], pick: random, database: orders"), "y " + full + " x is on it"},
		"during it":                       {damage + step("y", "during: x, ", "db.full", one), ""},
		"deep in it":                      {damage + step("z", "during: x, ", "service.pause", "service: service-a") + step("y", "during: z, ", "db.full", one), ""},
		"in another":                      {damage + step("z", "", "service.pause", "service: service-a") + step("y", "during: z, ", "db.full", one), "y " + full + " x is on it"},
		"of another service":              {damage + step("y", "", "db.full", two), ""},
		"of another database":             {damage + step("y", "", "db.full", "service: service-b, database: users"), ""},
		"one after another":               {damage + step("y", "needs: [x], ", "db.full", one), ""},
		"full beside a lock":              {step("x", "", "db.lock", one) + step("y", "", "db.full", one), ""},
		"full beside a mark":              {mark + step("y", "", "db.full", one), ""},
		"closed beside a mark":            {mark + shut("", "service-b", "/data/b"), "y " + closed + " x is on it, and db.readonly is taken back by a write to its file"},
		"closed beside damage":            {damage + shut("", "service-b", "/data"), "y " + closed + " x is on it, and db.corrupt is taken back by a write to its file"},
		"the root closed":                 {mark + shut("", "service-b", "/"), "y " + closed + " x is on it"},
		"another directory closed":        {mark + shut("", "service-b", "/dat"), ""},
		"that of another database":        {mark + shut("", "service-b", "/users"), ""},
		"of one that is meant by no name": {step("x", "", "db.readonly", "service: service-b") + shut("", "[service-a, service-b]", "/data"), "y " + closed + " x is on it"},
		"of another service, closed":      {mark + shut("", "service-a", "/data"), ""},
		"closed during a mark":            {mark + shut("during: x, ", "service-b", "/data"), ""},
		"closed after a mark":             {mark + shut("needs: [x], ", "service-b", "/data"), ""},
		"closed beside a lock":            {step("x", "", "db.lock", one) + shut("", "service-b", "/data"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := site()
			s.Environment.Services["service-a"] = spec.Service{Ports: map[string]string{"http": "5000"}, Databases: map[string]string{"orders": "/data/a/x.db"}}
			b := s.Environment.Services["service-b"]
			b.Databases = map[string]string{"orders": "/data/b/x.db"}
			if strings.Contains(c.steps, "users") {
				b.Databases["users"] = "/users/x.db"
			}
			s.Environment.Services["service-b"] = b
			const begin = "apiVersion: chaos/v1\nname: two\nsteadyState:\n  - {id: up, http: {service: service-a, path: /}, expect: {status: 200}}\nsteps:\n"
			p, problems := Build(load(t, begin+c.steps), s)
			switch {
			case c.refused == "" && p == nil:
				t.Errorf("refused: %v", problems)
			case c.refused != "" && (p != nil || len(problems) != 1 || problems[0].Rule != "overlap" || !strings.Contains(problems[0].Message, c.refused)):
				t.Errorf("want it refused saying %q, got plan %v and %+v", c.refused, p != nil, problems)
			}
		})
	}
}
