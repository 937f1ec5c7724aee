package docs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chaosgate/pkg/spec"
)

// chaos is the real program, built once.
var chaos string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "chaos-docs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	chaos = filepath.Join(dir, "chaos")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", chaos, "../cmd/chaos").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build chaos: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// workplace is a folder in which the examples work: this project's chaos.yaml, where running commands is allowed, and its experiments.
func workplace(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range []string{"cmd", "pkg", "schema"} { // so that `go test` does not answer from its cache when the program has changed
		if err := filepath.WalkDir(filepath.Join(project, from), func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
			t.Fatal(err)
		}
	}
	config := textOf(t, "chaos.yaml")
	if strings.Count(config, "exec: false") != 1 {
		t.Fatal("chaos.yaml has no policy `exec: false` any more")
	}
	save(t, filepath.Join(dir, "chaos.yaml"), strings.Replace(config, "exec: false", "exec: true", 1))
	if err := os.CopyFS(filepath.Join(dir, "experiments"), os.DirFS(filepath.Join(project, "experiments"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func save(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// try runs chaos and answers its exit code and all that it said.
func try(t *testing.T, dir string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(chaos, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// frame is an experiment for steps that are shown alone. The fault is in it unless the steps bring one of their own.
const (
	frame = `apiVersion: chaos/v1
name: example
traffic:
  - {service: service-a, path: /work, rate: 150/s}
steadyState:
  - id: api-up
    http: {service: service-a, path: /health}
    expect: {status: 200}
steps:
`
	frameFault = `- id: slow-link
  fault: network.latency
  target: {service: service-a, to: service-b}
  with: {delay: 300ms}
  duration: 20s
`
	// least is the least experiment on a service.
	least = `apiVersion: chaos/v1
name: least
steadyState:
  - {id: up, tcp: {service: %[1]s}, expect: {connects: true}}
steps:
  - {id: freeze, fault: service.pause, target: {service: %[1]s}, duration: 1s}
`
)

func TestYAMLBlocksAreValid(t *testing.T) {
	dir := workplace(t)
	tried := 0
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if b.lang() != "yaml" || b.arg(0) == "excerpt" { // those have a test of their own
				continue
			}
			tried++
			if why := wrong(t, dir, b); why != "" {
				t.Errorf("%s: %s", b.place, why)
			}
		}
	}
	if tried < 10 {
		t.Errorf("%d YAML blocks were tried, expected many more", tried)
	}
}

// wrong says what is not true about a YAML block; "" if it is what its mark says.
func wrong(t *testing.T, dir string, b block) string {
	t.Helper()
	file := filepath.Join(dir, "block.yaml")
	switch b.arg(0) {
	case "experiment":
		save(t, file, b.text())
	case "steps":
		save(t, file, asExperiment(b))
	case "invalid":
		save(t, file, b.text())
		if code, said := try(t, dir, "validate", file); code != 3 || !strings.Contains(said, "["+b.arg(1)+"]") {
			return fmt.Sprintf("expected exit code 3 and the rule %s, got %d and\n%s", b.arg(1), code, said)
		}
		return ""
	case "config":
		return wrongConfig(t, dir, b)
	default:
		return fmt.Sprintf("a YAML block is marked as experiment, steps, config, invalid RULE or excerpt PATH, not as %q", b.arg(0))
	}
	code, said := try(t, dir, "validate", file)
	if code != 0 || strings.Contains(said, "warning") {
		return fmt.Sprintf("exit code %d\n%s", code, said)
	}
	if code, said = try(t, dir, "plan", file); code != 0 {
		return fmt.Sprintf("it is valid but cannot be planned: exit code %d\n%s", code, said)
	}
	return ""
}

// wrongConfig validates an experiment on some service in each environment of a chaos.yaml.
func wrongConfig(t *testing.T, dir string, b block) string {
	t.Helper()
	config, problems := spec.ParseConfig(b.place, []byte(b.text()))
	if len(problems) > 0 {
		return fmt.Sprint(problems)
	}
	save(t, filepath.Join(dir, "config.yaml"), b.text())
	for _, name := range config.Environments.Names {
		for service := range config.Environments.ByName[name].Services {
			if slices.Contains(config.Policy.Services.Deny, service) {
				continue
			}
			save(t, filepath.Join(dir, "block.yaml"), fmt.Sprintf(least, service))
			if code, said := try(t, dir, "validate", "--config", "config.yaml", "--env", name, "block.yaml"); code != 0 {
				return fmt.Sprintf("environment %s, service %s: exit code %d\n%s", name, service, code, said)
			}
		}
	}
	return ""
}

func asExperiment(b block) string {
	if strings.Contains(b.text(), "fault:") {
		return frame + b.text()
	}
	return frame + frameFault + b.text()
}

// TestAnUntrueBlockIsFound shows that a block that is not what it says does not pass.
func TestAnUntrueBlockIsFound(t *testing.T) {
	dir := workplace(t)
	for _, c := range []struct{ info, text, want string }{
		{"yaml", "a: b", "is marked as"},
		{"yaml steps", "- {id: x, wait: 1s}", ""},
		{"yaml steps", "- {id: x, wait: 1}", "[type]"},
		{"yaml steps", "- {id: x, during: slow-link, promql: up}", "expects nothing"},
		{"yaml experiment", "name: x", "[missing-key]"},
		{"yaml config", "apiVersion: chaos/v2", "apiVersion"},
		{"yaml config", "{apiVersion: chaos/v1, environments: {e: {target: process, services: {s: {command: [x], ports: {http: 1}}}}}}", ""},
		{"yaml config", "{apiVersion: chaos/v1, environments: {e: {target: process, services: {s: {command: ['${x}'], ports: {http: 1}}}}}}", "${x} is not known here"},
		{"yaml invalid yaml", "name: [", ""},
		{"yaml invalid cycle", "name: [", "expected exit code 3 and the rule cycle"},
	} {
		got := wrong(t, dir, block{info: strings.Fields(c.info), lines: []string{c.text}})
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s %q: got %q, want %q", c.info, c.text, got, c.want)
		}
	}
}

// TestExcerptsAreTheWholeFile holds a page to a file that it explains part by part.
func TestExcerptsAreTheWholeFile(t *testing.T) {
	shown := 0
	for _, d := range documents(t) {
		parts := map[string][]string{}
		for _, b := range d.blocks {
			if b.lang() == "yaml" && b.arg(0) == "excerpt" {
				parts[b.arg(1)] = append(parts[b.arg(1)], b.lines...)
			}
		}
		for path, lines := range parts {
			shown++
			want := slices.DeleteFunc(strings.Split(textOf(t, path), "\n"), func(l string) bool { return l == "" })
			if !slices.Equal(lines, want) {
				t.Errorf("%s: the excerpts of %s are not the file; the first that differs is %q", d.name, path, firstDifference(lines, want))
			}
		}
	}
	if shown == 0 {
		t.Error("the README explains no experiment")
	}
}

func firstDifference(got, want []string) string {
	for i := range got {
		if i >= len(want) || got[i] != want[i] {
			return got[i]
		}
	}
	return "what is missing at the end"
}
