package plan

import (
	"strings"
	"testing"

	"chaosgate/pkg/spec"
)

// What needs room to be taken back cannot be where a disk is full, unless that is over before it in any case.
func TestFaultsThatLeaveOthersNoRoom(t *testing.T) {
	step := func(id, how, kind, target string) string {
		return "  - {id: " + id + ", " + how + "fault: " + kind + ", target: {" + target + "}, duration: 3s}\n"
	}
	const one, two = "service: service-b, database: orders", "service: service-a, database: orders"
	const refused = "takes the room on the disk of a database while"
	for name, c := range map[string]struct{ steps, refused string }{
		"beside it":         {step("x", "", "db.corrupt", one) + step("y", "", "db.full", one), "y " + refused + " x is on it, and db.corrupt needs room to be taken back"},
		"before it":         {step("x", "", "db.full", one) + step("y", "", "db.corrupt", one), "x " + refused + " y is on it"},
		"around it":         {step("x", "", "db.full", one) + step("y", "during: x, ", "db.corrupt", one), "x " + refused + " y is on it"},
		"without a name":    {step("x", "", "db.corrupt", one) + step("y", "", "db.full", "service: service-b"), "y " + refused + " x is on it"},
		"of either":         {step("x", "", "db.corrupt", one) + step("y", "", "db.full", "service: [service-a, service-b], pick: random, database: orders"), "y " + refused + " x is on it"},
		"during it":         {step("x", "", "db.corrupt", one) + step("y", "during: x, ", "db.full", one), ""},
		"deep in it":        {step("x", "", "db.corrupt", one) + step("z", "during: x, ", "service.pause", "service: service-a") + step("y", "during: z, ", "db.full", one), ""},
		"in another":        {step("x", "", "db.corrupt", one) + step("z", "", "service.pause", "service: service-a") + step("y", "during: z, ", "db.full", one), "y " + refused + " x is on it"},
		"of another":        {step("x", "", "db.corrupt", one) + step("y", "", "db.full", two), ""},
		"another of it":     {step("x", "", "db.corrupt", one) + step("y", "", "db.full", "service: service-b, database: users"), ""},
		"one after another": {step("x", "", "db.corrupt", one) + step("y", "needs: [x], ", "db.full", one), ""},
		"another fault":     {step("x", "", "db.lock", one) + step("y", "", "db.full", one), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := site()
			s.Environment.Services["service-a"] = spec.Service{Ports: map[string]string{"http": "5000"}, Databases: map[string]string{"orders": "y.db"}}
			if strings.Contains(c.steps, "users") {
				s.Environment.Services["service-b"].Databases["users"] = "z.db"
			}
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
