package spec

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"chaosgate/pkg/diag"
)

var update = flag.Bool("update", false, "write the expected files anew")

// sources answers lines of files as the loader has read them.
func sources(text []byte) diag.Source {
	d, _ := newDocument("x", text, experimentForm)
	return func(_ string, n int) string { return d.Line(n) }
}

// Each bad file has the message that its author gets, word for word, beside it.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d bad files, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, problems := ParseExperiment(filepath.Base(file), text)
		if len(problems) == 0 {
			t.Errorf("%s: nothing is wrong with it", file)
		}
		var got bytes.Buffer
		if err := problems.WriteText(&got, sources(text), diag.Style{}); err != nil {
			t.Fatal(err)
		}
		compare(t, strings.TrimSuffix(file, ".yaml")+".out", got.Bytes())
	}
}

func compare(t *testing.T, golden string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s: got\n%s\nwant\n%s\n(go test ./pkg/spec -update writes them anew)", golden, got, want)
	}
}

func TestGoodFilesHaveNoProblem(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	all, problems := Load(files)
	if len(problems) > 0 || len(all) != len(files) {
		t.Errorf("%d of %d loaded: %v", len(all), len(files), problems)
	}
}

func TestEveryRuleHasABadFile(t *testing.T) {
	seen := map[string]bool{}
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, problems := ParseExperiment(file, text)
		for _, p := range problems {
			seen[p.Rule] = true
			if rule(p.Rule) == "" {
				t.Errorf("%s: the rule %s is not in the list of rules", file, p.Rule)
			}
			if marked := strings.HasPrefix(rule(p.Rule), "*Warning:*"); marked != (p.Severity == diag.Warning) {
				t.Errorf("%s: the rule %s makes a problem of severity %s, and is marked as a warning: %v", file, p.Rule, p.Severity, marked)
			}
		}
	}
	elsewhere := map[string]bool{"read": true, "file-size": true, "duplicate-name": true, "unknown-service": true, "unknown-database": true, "too-many-problems": true, "mapping-size": true, "schema": true}
	for _, r := range Rules() {
		if !seen[r.ID] && !elsewhere[r.ID] {
			t.Errorf("no bad file breaks the rule %s", r.ID)
		}
	}
}

func rule(id string) string {
	for _, r := range Rules() {
		if r.ID == id {
			return r.Doc
		}
	}
	return ""
}

func TestLoadReportsEverythingAtOnce(t *testing.T) {
	dir := t.TempDir()
	good, err := os.ReadFile("testdata/good/least.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	huge := write("huge.yaml", bytes.Repeat([]byte("# filler\n"), 10<<20/9))
	files := []string{write("a.yaml", good), write("b.yaml", good), filepath.Join(dir, "missing.yaml"), dir, huge}
	all, problems := Load(files)
	if len(all) != 2 {
		t.Errorf("%d experiments, want the two that are in order", len(all))
	}
	want := []string{"duplicate-name", "read", "read", "file-size"}
	for _, rule := range want {
		found := false
		for _, p := range problems {
			found = found || p.Rule == rule
		}
		if !found {
			t.Errorf("no problem by rule %s in %v", rule, problems)
		}
	}
}

func TestConfig(t *testing.T) {
	c, problems := LoadConfig("../../chaos.yaml")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if c.Environments.Names[0] != "local" || c.Environments.ByName["local"].Services["service-b"].Env["RECEIPT_ROUNDS"] != "1000" {
		t.Errorf("got %+v", c)
	}
	bad := "apiVersion: chaos/v1\nenvironments:\n  b:\n    target: process\n    prometheus: ftp://x\n    services:\n      s: {build: ./s, ports: {http: 0}, links: [t], memory: 5s, signals: {inside: 'rate(x[1m])', latency: x_seconds_bucket, databases: {orders: {errors: 'x{'}}}}\n      u: {}\n    weakened: {w: {services: {r: {X: 1}}}}\n"
	_, problems = ParseConfig("chaos.yaml", []byte(bad))
	var rules []string
	for _, p := range problems {
		rules = append(rules, fmt.Sprintf("%d:%s", p.Line, p.Rule))
	}
	for _, want := range []string{"5:value", "7:quantity", "7:unknown-service", "7:promql", "7:value", "7:unknown-database", "8:missing-key", "9:unknown-service"} {
		if !strings.Contains(strings.Join(rules, " "), want) {
			t.Errorf("no %s in %v", want, rules)
		}
	}
}

func TestSecretsInTheConfig(t *testing.T) {
	text := `apiVersion: chaos/v1
secrets: {token: {fromEnv: TOKEN, sendTo: [a]}}
environments:
  e:
    target: process
    prometheus: {url: http://localhost, passwordEnv: P}
    services:
      a: {command: [x], ports: {http: 1}, env: {T: "${secret.token}"}}
    weakened: {w: {services: {a: {T: "${secret.token}"}}}}
policy: {timeout: 5m, rate: 10/s}
`
	if _, problems := ParseConfig("chaos.yaml", []byte(text)); len(problems) > 0 {
		t.Fatal(problems)
	}
	for name, c := range map[string]struct{ old, new, says string }{
		"not declared":       {`env: {T: "${secret.token}"}`, `env: {T: "${secret.tokn}"}`, `did you mean "token"?`},
		"in a variant":       {`{a: {T: "${secret.token}"}}`, `{a: {T: "${secret.other}"}}`, `no secret "other"`},
		"on a command line":  {"command: [x]", `command: [x, "${secret.token}"]`, "everybody on the machine"},
		"in a database":      {"ports:", `databases: {d: "postgres://chaos:${secret.tokn}@db/x"}, ports:`, `did you mean "token"?`},
		"in a database URL":  {"ports:", `databases: {d: "postgres://chaos:s3cret@db/x"}, ports:`, "holds a password"},
		"in a path":          {"ports:", `databases: {d: "/${secret.token}"}, ports:`, "a part of a path"},
		"sent to nobody":     {"sendTo: [a]", "sendTo: [b]", `no environment has a service "b"`},
		"a value in place":   {"fromEnv: TOKEN", "fromEnv: 's3cret value'", "expected the name of an environment variable"},
		"in a URL":           {"http://localhost", "http://me:s3cret@localhost", "usernameEnv and passwordEnv"},
		"a policy of length": {"5m", "0s", "more than nothing"},
		"a policy of rate":   {"10/s", "0/s", "more than nothing"},
	} {
		bad := strings.Replace(text, c.old, c.new, 1)
		_, problems := ParseConfig("chaos.yaml", []byte(bad))
		var said strings.Builder
		if err := problems.WriteText(&said, sources([]byte(bad)), diag.Style{}); err != nil {
			t.Fatal(err)
		}
		if !problems.Invalid() || !strings.Contains(said.String(), c.says) || strings.HasSuffix(name, "URL") && strings.Contains(said.String(), "s3cret") {
			t.Errorf("%s: got %s", name, said.String())
		}
	}
}

func TestMatrix(t *testing.T) {
	text := `apiVersion: chaos/v1
name: demo
matrix: {time: [1s, 2s], who: [a, b]}
steadyState:
  - {id: up, http: {service: a, path: /}, expect: {status: 200}}
steps:
  - id: hit
    fault: service.pause
    target: {service: "${matrix.who}"}
    duration: ${matrix.time}
`
	e, problems := ParseExperiment("m.yaml", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	all, problems := Expand(e)
	if len(problems) > 0 || len(all) != 4 {
		t.Fatalf("%d combinations, %v", len(all), problems)
	}
	last := all[3]
	if last.Name != "demo[time=2s,who=b]" || last.Steps[0].Duration != "2s" || last.Steps[0].Target.Service[0] != "b" {
		t.Errorf("got %s: %+v", last.Name, last.Steps[0])
	}
	if at := last.Doc.Value("/steps/0/duration"); at.Line != 10 || at.Col != 15 {
		t.Errorf("the position is %d:%d", at.Line, at.Col)
	}
	broken, _ := ParseExperiment("m.yaml", []byte(strings.Replace(text, "2s]", "2]", 1)))
	if _, problems := Expand(broken); !problems.Invalid() {
		t.Error("a combination without a unit was taken")
	}
}

func TestHold(t *testing.T) {
	for text, ok := range map[string]bool{"": true, "all": true, "ratio>=95%": true, "ratio >= 100%": true, "breach<=5s": true, "ratio>=0%": false, "ratio>=101%": false, "breach<=0s": false, "most": false} {
		if _, err := ParseHold(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// thousand makes experiments that differ, as a large project has them.
func thousand(b *testing.B) []string {
	text, err := os.ReadFile("../../experiments/network-latency.yaml")
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	var files []string
	for i := range 1000 {
		path := filepath.Join(dir, fmt.Sprintf("e%d.yaml", i))
		one := strings.Replace(string(text), "name: network-latency", fmt.Sprintf("name: latency-%d", i), 1)
		if err := os.WriteFile(path, []byte(one), 0o600); err != nil {
			b.Fatal(err)
		}
		files = append(files, path)
	}
	return files
}

func BenchmarkLoadThousand(b *testing.B) {
	files := thousand(b)
	for b.Loop() {
		if all, problems := Load(files); len(problems) > 0 || len(all) != 1000 {
			b.Fatal(problems)
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.Sys)/(1<<20), "MB-sys")
}
