package plan

import (
	"os"
	"strings"
	"testing"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/spec"
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

// All that goes out with a request stands in the text, and all that somebody has to wait for; secrets stand there by their names.
func TestTheTextOfRequests(t *testing.T) {
	s := site()
	s.Secrets = map[string]spec.Secret{"token": {FromEnv: "TOKEN", SendTo: []string{"service-a"}}}
	s.Policy.Exec = true
	text, err := os.ReadFile("testdata/requests.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, problems := Build(load(t, string(text)), s)
	if p == nil {
		t.Fatal(problems)
	}
	const golden = "testdata/requests.plan"
	if *update {
		if err := os.WriteFile(golden, []byte(p.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if p.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s\n(go test ./pkg/plan -update writes it anew)", p, want)
	}
}

// What is sent can be any text. It steers no terminal, begins no line, and does not pass for a word of the plan.
func TestWhatIsSentStaysInItsQuotes(t *testing.T) {
	for sends, want := range map[string]string{
		"a\nrecovery: none":       `"a\nrecovery: none"`,
		"\x1b[2Jgone":             `"\x1b[2Jgone"`,
		"`, expect status = 200":  "\"`, expect status = 200\"",
		"\u202eback":              "` back`",
		strings.Repeat("é", 80):   "`" + strings.Repeat("é", 80) + "`",
		strings.Repeat("é", 81):   "`" + strings.Repeat("é", 80) + "`..., 162 bytes in all",
		strings.Repeat("\n", 900): `\n"..., 900 bytes in all`,
	} {
		p := &Plan{Traffic: []Traffic{{Service: "a", Headers: map[string]string{"X": "1"}, Body: sends}}}
		if text := p.String(); !strings.Contains(text, "\n    with the headers X: `1` and the body ") || !strings.Contains(text, want+"\n") {
			t.Errorf("%q: nothing of %q in\n%s", sends, want, text)
		}
	}
}
