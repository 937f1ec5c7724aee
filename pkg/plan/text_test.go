package plan

import (
	"strings"
	"testing"

	"chaosgate/pkg/fault"
)

// textOf is the text of an experiment with these steps on the small site.
func textOf(t *testing.T, s Site, steps string) string {
	t.Helper()
	const head = "apiVersion: chaos/v1\nname: small\nsteadyState:\n  - {id: up, http: {service: service-a, path: /}, expect: {status: 200}}\nsteps:\n"
	p, problems := Build(load(t, head+steps), s)
	if p == nil {
		t.Fatal(problems)
	}
	return p.String()
}

// What a fault does where its parameters were left out is a decision like any other.
func TestTheTextSaysWhatHoldsWithoutAParameter(t *testing.T) {
	s := site()
	s.Faults = fault.Catalogue()
	for _, k := range s.Faults {
		s.Capabilities = append(s.Capabilities, k.Needs...)
	}
	for steps, want := range map[string]string{
		"{id: hit, fault: cpu.stress, target: {service: service-b}, duration: 5s}":                              " on service-b for 5s, load 100%, workers (one for each CPU)\n",
		"{id: hit, fault: cpu.stress, target: {service: service-b}, with: {workers: 3}, duration: 5s}":          " for 5s, load 100%, workers 3\n",
		"{id: hit, fault: db.readonly, target: {service: service-b}, duration: 5s}":                             " for 5s, database (orders)\n",
		"{id: hit, fault: db.readonly, target: {service: service-b, database: orders}, duration: 5s}":           " for 5s, database orders\n",
		"{id: hit, fault: db.lock, target: {service: service-b, database: orders}, duration: 5s}":               ", mode write, table (of PostgreSQL: all ordinary ones that the role may lock)\n",
		"{id: hit, fault: disk.fill, target: {service: service-b}, with: {path: /d}, duration: 5s}":             " for 5s, path /d, leave (nothing)\n",
		"{id: hit, fault: disk.fill, target: {service: service-b}, with: {path: /d, size: 1MiB}, duration: 5s}": " for 5s, path /d, size 1MiB\n",
	} {
		if text := textOf(t, s, "  - "+steps+"\n"); !strings.Contains(text, want) {
			t.Errorf("%s: nothing of %q in\n%s", steps, want, text)
		}
	}
}
