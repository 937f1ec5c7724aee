package docs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	if out, err := exec.Command("go", "build", "-o", chaos, "../cmd/chaos").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build chaos: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// workplace is a folder in which the examples work: this project's chaos.yaml, where running commands is allowed, and its experiments.
func workplace(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
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
		if _, problems := spec.ParseConfig(b.place, []byte(b.text())); len(problems) > 0 {
			return fmt.Sprint(problems)
		}
		return ""
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

// command is a line of a shell block, and what is said to come of it.
type command struct {
	place string
	words []string
	exit  int
	says  []string
}

var exitNote = regexp.MustCompile(`#.*\bexit (\d+)`)

// commandsOf reads the lines of a block: in a console block those behind "$ ", with their output below.
func commandsOf(b block) []command {
	var all []command
	for i, text := range b.lines {
		shown, prompted := strings.CutPrefix(text, "$ ")
		if b.lang() == "console" && !prompted {
			if len(all) > 0 {
				all[len(all)-1].says = append(all[len(all)-1].says, text)
			}
			continue
		}
		c := command{place: fmt.Sprintf("%s+%d", b.place, i)}
		if m := exitNote.FindStringSubmatch(shown); m != nil {
			fmt.Sscan(m[1], &c.exit)
		}
		shown, _, _ = strings.Cut(shown, " #")
		shown, _, _ = strings.Cut(shown, " >")
		for _, w := range strings.Fields(shown) {
			c.words = append(c.words, strings.Trim(w, "'"))
		}
		if len(c.words) > 0 {
			all = append(all, c)
		}
	}
	return all
}

func TestCommandsAreTrue(t *testing.T) {
	tried := 0
	for _, d := range documents(t) {
		dir := workplace(t)
		for _, b := range d.blocks {
			if file := b.file(); file != "" {
				save(t, filepath.Join(dir, file), b.text())
			}
			if !slices.Contains([]string{"sh", "console", ""}, b.lang()) {
				continue
			}
			for _, c := range commandsOf(b) {
				tried++
				if why := untrue(t, dir, c); why != "" {
					t.Errorf("%s: %s: %s", c.place, strings.Join(c.words, " "), why)
				}
			}
		}
	}
	if tried < 20 {
		t.Errorf("%d commands were tried, expected more", tried)
	}
}

// untrue says why a command line does not do what is said; "" if it does, as far as it is tried.
func untrue(t *testing.T, dir string, c command) string {
	t.Helper()
	line := strings.Join(c.words, " ")
	switch {
	case c.words[0] == "chaos" || c.words[0] == "bin/chaos":
		return untrueChaos(t, dir, c, c.words[1:])
	case strings.HasPrefix(line, "go run ./cmd/chaos "):
		return untrueChaos(t, dir, c, c.words[3:])
	case c.words[0] == "make" && len(c.words) == 2:
		if !strings.Contains(textOf(t, "Makefile"), "\n"+c.words[1]+":") {
			return "there is no such target in the Makefile"
		}
		return ""
	case strings.HasPrefix(line, "go test ") || strings.HasPrefix(line, "CGO_ENABLED=0 go build "):
		return ""
	}
	return "no test knows whether this is true: use chaos, make or go test"
}

// ofRuns are the commands that need a run or start one: of these, the flags and the files are tried.
var ofRuns = []string{"run", "verdict", "report", "rollback"}

func untrueChaos(t *testing.T, dir string, c command, args []string) string {
	t.Helper()
	args = expand(t, dir, args)
	if slices.Contains(ofRuns, args[0]) {
		if code, said := try(t, dir, append(slices.Clone(args), "--help")...); code != 0 {
			return said
		}
		if args[0] != "run" {
			return ""
		}
		args = append([]string{"validate"}, forValidate(args[1:])...)
	}
	code, said := try(t, dir, args...)
	if code != c.exit {
		return fmt.Sprintf("exit code %d, expected %d\n%s", code, c.exit, said)
	}
	return unsaid(said, c.says)
}

// expand does what the shell does with patterns.
func expand(t *testing.T, dir string, args []string) []string {
	t.Helper()
	var all []string
	for _, a := range args {
		paths, err := filepath.Glob(filepath.Join(dir, a))
		if err != nil || len(paths) == 0 || !strings.Contains(a, "*") {
			all = append(all, a)
			continue
		}
		for _, p := range paths {
			all = append(all, strings.TrimPrefix(p, dir+"/"))
		}
	}
	return all
}

// forValidate keeps of a run's words those that validating takes as well: the files, and the flags that choose.
func forValidate(args []string) []string {
	var all []string
	for i := 0; i < len(args); i++ {
		switch {
		case slices.Contains([]string{"--env", "--weakened", "--only", "--seed"}, args[i]):
			all = append(all, args[i], args[i+1])
			i++
		case strings.HasPrefix(args[i], "experiments") || filepath.Ext(args[i]) == ".yaml":
			all = append(all, args[i])
		}
	}
	return all
}

// unsaid finds the first stretch of shown output that was not said. "..." stands for what was left out.
func unsaid(said string, shown []string) string {
	for _, part := range strings.Split(strings.Join(shown, "\n"), "\n...\n") {
		part = strings.TrimRight(part, "\n")
		_, rest, found := strings.Cut(said, part)
		if !found {
			return fmt.Sprintf("it does not say\n%s\nbut\n%s", part, said)
		}
		said = rest
	}
	return ""
}

// TestAnUntrueCommandIsFound shows that a command line that does something else than is said does not pass.
func TestAnUntrueCommandIsFound(t *testing.T) {
	dir := workplace(t)
	for _, c := range []struct{ lang, text, want string }{
		{"sh", "chaos run experiments/*.yaml --jobs 2", ""},
		{"sh", "chaos run experiments/*.yaml --job 2", "unknown flag"},
		{"sh", "chaos run experiments/nothing.yaml", "there is no such file"},
		{"sh", "chaos run experiments/network-latency.yaml --weakened everything", "no weakened variant"},
		{"sh", "chaos verdict reports/x --output json", ""},
		{"sh", "chaos verdict reports/x --format json", "unknown flag"},
		{"sh", "go run ./cmd/chaos plan experiments/cpu-spike.yaml   # a comment", ""},
		{"sh", "chaos shcema experiment > file", "unknown command"},
		{"sh", "chaos validate nothing.yaml   # exit 3", ""},
		{"sh", "make build", ""},
		{"sh", "make it-so", "no such target"},
		{"sh", "rm -rf /", "no test knows"},
		{"console", "$ chaos version\nchaos devel\n...\nlinux/", ""},
		{"console", "$ chaos version\nchaos 7", "it does not say"},
	} {
		got := ""
		for _, cmd := range commandsOf(block{info: []string{c.lang}, lines: strings.Split(c.text, "\n")}) {
			got += untrue(t, dir, cmd)
		}
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}
