// Package pkg holds no code of its own, only the test that the rooms below it keep the one direction of docs/architecture.md.
package pkg

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "chaosgate/"

// layers is the one direction, from the bottom to the top: a package imports only what stands in a line above its own. Packages in one line do not know each
// other. A new package gets its place here.
var layers = [][]string{
	{"schema", "pkg/imagetest", "pkg/internal/testkit", "pkg/diag", "pkg/dag", "pkg/quantity", "pkg/proc", "pkg/mask", "pkg/stat", "pkg/metrics", "pkg/impair", "pkg/intercept"},
	{"pkg/target", "pkg/spec", "pkg/pgtest", "pkg/promtest"},
	{"pkg/fault/sqlitefile", "pkg/fault/postgres", "pkg/target/process", "pkg/target/docker"},
	{"pkg/agent"},
	{"pkg/fault"},
	{"pkg/plan"},
	{"pkg/journal", "pkg/traffic"},
	{"pkg/guard", "pkg/probe", "pkg/progress", "pkg/propagation", "pkg/verdict"},
	{"pkg/executor", "pkg/report"},
	{"cmd/chaos", "docs", "docs/internal/gen"},
}

// ban keeps packages from importing others, beyond what the layers do. A name that ends in a slash is everything below it.
type ban struct {
	from, to string
	except   []string // of from
	why      string
}

var bans = []ban{
	{"", "cmd/", nil, "commands only wire; nothing is built on them"},
	{"", "docs/", nil, "the documentation is made from the code"},
	{"", "pkg/target/", []string{"cmd/"}, "only commands choose an adapter"},
	{"", "services/", []string{"services/"}, "the system under test is reached from outside only"},
	{"services/", "pkg/", nil, "the system under test has no hooks"},
	{"services/", "schema", nil, "the system under test has no hooks"},
	{"", "pkg/internal/testkit", nil, "only tests use it"},
	{"", "pkg/pgtest", nil, "only tests use it"},
	{"", "pkg/promtest", nil, "only tests use it"},
	{"", "pkg/imagetest", []string{"pkg/pgtest", "pkg/promtest"}, "only tests use it"},
	{"", "log", nil, "an error is returned, and what is said goes through the commands"},
}

// source is what a package does, its tests apart.
type source struct {
	imports []string // those of this module without its name
	inits   []string // places of init functions
	exits   []string // places where the process is ended, other than in the main.go of a program
}

func TestTheRoomsKeepTheirDirection(t *testing.T) {
	packages := read(t, "..")
	if len(packages) < 20 {
		t.Fatalf("%d packages were found, expected the whole module", len(packages))
	}
	for _, v := range violations(packages) {
		t.Error(v)
	}
}

// violations answers a sentence for each rule that is broken, sorted.
func violations(packages map[string]source) []string {
	var all []string
	for name, s := range packages {
		for _, to := range s.imports {
			all = append(all, broken(name, to)...)
		}
		if layerOf(name) < 0 && !below(name, "services/") {
			all = append(all, name+" has no place in the layers")
		}
		for _, at := range s.inits {
			all = append(all, at+": init function: what comes in kinds is listed in a table")
		}
		for _, at := range s.exits {
			all = append(all, at+": os.Exit outside the main.go of a program: return an error")
		}
	}
	slices.Sort(all)
	return all
}

func broken(from, to string) []string {
	var all []string
	for _, b := range bans {
		if below(from, b.from) && below(to, b.to) && !slices.ContainsFunc(b.except, func(e string) bool { return below(from, e) }) {
			all = append(all, fmt.Sprintf("%s imports %s: %s", from, to, b.why))
		}
	}
	lower, upper := layerOf(to), layerOf(from)
	if lower >= 0 && upper >= 0 && lower >= upper {
		all = append(all, fmt.Sprintf("%s imports %s, which is not in a layer below it", from, to))
	}
	return all
}

func below(name, pattern string) bool {
	return pattern == "" || name == pattern || strings.HasSuffix(pattern, "/") && strings.HasPrefix(name, pattern)
}

func layerOf(name string) int {
	return slices.IndexFunc(layers, func(l []string) bool { return slices.Contains(l, name) })
}

// read parses every package below a folder that is built here.
func read(t *testing.T, root string) map[string]source {
	t.Helper()
	packages := map[string]source{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != ".."):
			return fs.SkipDir
		case !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		if built, err := build.Default.MatchFile(filepath.Dir(file), d.Name()); err != nil || !built {
			return err
		}
		name, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		s := packages[filepath.ToSlash(name)]
		defer func() { packages[filepath.ToSlash(name)] = s }()
		return s.add(file)
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

func (s *source) add(file string) error {
	places := token.NewFileSet()
	f, err := parser.ParseFile(places, file, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, i := range f.Imports {
		to, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return err
		}
		s.imports = append(s.imports, strings.TrimPrefix(to, module))
	}
	program := f.Name.Name == "main" && path.Base(filepath.ToSlash(file)) == "main.go"
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.Name == "init" && n.Recv == nil {
				s.inits = append(s.inits, places.Position(n.Pos()).String())
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "os" && n.Sel.Name == "Exit" && !program {
				s.exits = append(s.exits, places.Position(n.Pos()).String())
			}
		}
		return true
	})
	return nil
}

// TestTheRulesCanBeBroken shows that each rule closes: an edge that it forbids is found, and its sentence says which.
func TestTheRulesCanBeBroken(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"pkg/report", "cmd/chaos", "commands only wire"},
		{"services/service-a", "cmd/chaos", "commands only wire"},
		{"pkg/executor", "pkg/target/process", "only commands choose an adapter"},
		{"pkg/fault", "pkg/target/process", "only commands choose an adapter"},
		{"docs/internal/gen", "pkg/target/process", "only commands choose an adapter"},
		{"pkg/target/docker", "pkg/target/process", "only commands choose an adapter"},
		{"pkg/target/process", "pkg/fault", "not in a layer below"},
		{"pkg/target/process", "pkg/agent", "not in a layer below"},
		{"pkg/verdict", "pkg/executor", "not in a layer below"},
		{"pkg/report", "pkg/executor", "not in a layer below"},
		{"pkg/executor", "pkg/report", "not in a layer below"},
		{"pkg/journal", "pkg/verdict", "not in a layer below"},
		{"pkg/probe", "pkg/verdict", "not in a layer below"},
		{"pkg/spec", "pkg/plan", "not in a layer below"},
		{"pkg/dag", "pkg/spec", "not in a layer below"},
		{"pkg/quantity", "pkg/diag", "not in a layer below"},
		{"pkg/diag", "pkg/quantity", "not in a layer below"},
		{"services/service-b", "pkg/journal", "no hooks"},
		{"pkg/probe", "services/service-b/store", "from outside only"},
		{"pkg/fault", "docs/internal/gen", "made from the code"},
		{"pkg/guard", "log", "an error is returned"},
		{"pkg/new", "fmt", "has no place"},
	} {
		got := violations(map[string]source{c.from: {imports: []string{c.to}}})
		if !slices.ContainsFunc(got, func(v string) bool { return strings.Contains(v, c.from) && strings.Contains(v, c.want) }) {
			t.Errorf("%s -> %s: got %q, want one with %q", c.from, c.to, got, c.want)
		}
	}
	for _, c := range []struct{ from, to string }{
		{"cmd/chaos", "pkg/target/process"}, {"pkg/executor", "pkg/verdict"}, {"pkg/report", "pkg/verdict"}, {"pkg/verdict", "pkg/journal"},
		{"pkg/target/process", "pkg/target"}, {"services/service-a", "services/service-a/api"}, {"services/service-b", "log/slog"}, {"pkg/plan", "pkg/fault"},
	} {
		if got := violations(map[string]source{c.from: {imports: []string{c.to}}}); len(got) > 0 {
			t.Errorf("%s -> %s is allowed: %q", c.from, c.to, got)
		}
	}
}

func TestInitAndExitAreFound(t *testing.T) {
	var s source
	if err := s.add("testdata/rules/rules.go"); err != nil {
		t.Fatal(err)
	}
	got := violations(map[string]source{"pkg/dag": s})
	if len(got) != 2 || !strings.Contains(got[0], "rules.go:7:1: init function") || !strings.Contains(got[1], "rules.go:9:14: os.Exit") {
		t.Errorf("got %q", got)
	}
	var program source
	if err := program.add("testdata/rules/main.go"); err != nil || len(program.exits) != 0 {
		t.Errorf("a program's main.go may exit: %q, %v", program.exits, err)
	}
}
