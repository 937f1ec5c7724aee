package docs

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

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

// ofRuns are the commands that need a run or start one, or containers: of these, the flags and the files are tried.
var ofRuns = []string{"run", "prove", "verdict", "report", "rollback", "env"}

func untrueChaos(t *testing.T, dir string, c command, args []string) string {
	t.Helper()
	args = expand(t, dir, args)
	if slices.Contains(ofRuns, args[0]) {
		if code, said := try(t, dir, append(slices.Clone(args), "--help")...); code != 0 {
			return said
		}
		if args[0] != "run" && args[0] != "prove" {
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
