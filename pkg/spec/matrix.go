package spec

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"chaosgate/pkg/diag"
)

// Expand makes one experiment of each combination of the matrix, named "name[a=1,b=2]"; an experiment without a matrix is its own only combination. Each combination
// is checked like a file of its own, at the positions of the real one.
func Expand(e *Experiment) ([]*Experiment, diag.List) {
	if len(e.Matrix) == 0 {
		return []*Experiment{e}, nil
	}
	var names []string
	for name := range e.Matrix {
		names = append(names, name)
	}
	slices.Sort(names)
	var all []*Experiment
	var problems diag.List
	for _, combination := range combinations(e.Matrix, names) {
		one, found := expandOne(e, names, combination)
		problems = append(problems, found...)
		if !found.Invalid() {
			all = append(all, one)
		}
	}
	return all, problems
}

func combinations(matrix map[string][]string, names []string) [][]string {
	all := [][]string{nil}
	for _, name := range names {
		var next [][]string
		for _, head := range all {
			for _, v := range matrix[name] {
				next = append(next, append(slices.Clone(head), v))
			}
		}
		all = next
	}
	return all
}

func expandOne(e *Experiment, names, values []string) (*Experiment, diag.List) {
	var pairs []string
	for i, name := range names {
		pairs = append(pairs, "${matrix."+name+"}", values[i])
	}
	one := &Experiment{}
	root := fill(e.Doc.root, strings.NewReplacer(pairs...))
	if err := decode(root, one); err != nil {
		return nil, diag.List{e.Doc.syntax(err)}
	}
	one.Doc = &Document{File: e.Doc.File, Text: e.Doc.Text, lines: e.Doc.lines, root: root}
	one.Matrix = nil
	problems := checkExperiment(one)
	problems = slices.DeleteFunc(problems, func(p diag.Problem) bool { return p.Rule == "matrix" || p.Severity == diag.Warning })
	one.Name = combined(e.Name, names, values)
	return one, problems
}

// combined is the name of a combination. It is unique in the file: see checker.apart.
func combined(experiment string, names, values []string) string {
	var label []string
	for i, name := range names {
		label = append(label, name+"="+values[i])
	}
	return fmt.Sprintf("%s[%s]", experiment, strings.Join(label, ","))
}

// fill copies nodes with the variables in scalars replaced.
func fill(n *yaml.Node, with *strings.Replacer) *yaml.Node {
	c := *n
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		c.Content[i] = fill(child, with)
	}
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "${matrix.") {
		c.Value = with.Replace(n.Value)
		c.Tag = "!!str"
	}
	return &c
}
