package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// reporting says, for the functions that report something under a rule, which argument is the rule.
var reporting = map[string]map[string]int{
	"pkg/spec":    {"value": 1, "key": 1, "warn": 1, "at": 1, "add": 1, "problem": 1},
	"pkg/plan":    {"value": 1, "key": 1, "warn": 1, "problem": 2},
	"pkg/verdict": {"close": 2},
	"cmd/chaos":   {},
}

// TestEveryRuleIsTold reads the rules from the source, so that a new one cannot be forgotten.
func TestEveryRuleIsTold(t *testing.T) {
	for folder, page := range map[string]string{"pkg/spec": "docs/rules.md", "pkg/plan": "docs/rules.md", "cmd/chaos": "docs/rules.md", "pkg/verdict": "docs/verdict.md"} {
		text := textOf(t, page)
		rules := rulesIn(t, folder)
		if len(rules) == 0 {
			t.Errorf("no rule was found in %s", folder)
		}
		for _, r := range rules {
			if !strings.Contains(text, "`"+r+"`") {
				t.Errorf("%s says nothing of the rule %s of %s", page, r, folder)
			}
		}
	}
}

var ruleID = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)

// rulesIn answers the rules of a package: those that reporting functions are called with, those of `Rule:` in a literal, and the constants called Rule....
func rulesIn(t *testing.T, folder string) []string {
	t.Helper()
	var all []string
	add := func(e ast.Expr) {
		lit, ok := e.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return
		}
		if rule, err := strconv.Unquote(lit.Value); err == nil && ruleID.MatchString(rule) && !slices.Contains(all, rule) {
			all = append(all, rule)
		}
	}
	paths, err := filepath.Glob(filepath.Join(project, folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				ruleOfCall(n, reporting[folder], add)
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Rule" {
					add(n.Value)
				}
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if strings.HasPrefix(name.Name, "Rule") && i < len(n.Values) {
						add(n.Values[i])
					}
				}
			}
			return true
		})
	}
	return all
}

func ruleOfCall(call *ast.CallExpr, functions map[string]int, add func(ast.Expr)) {
	name := ""
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		name = f.Sel.Name
	case *ast.Ident:
		name = f.Name
	}
	n, ok := functions[name]
	if !ok {
		return
	}
	// Of two functions of one name the arguments before the rule may differ by one.
	for _, i := range []int{n - 1, n} {
		if i >= 0 && i < len(call.Args) {
			add(call.Args[i])
		}
	}
}
