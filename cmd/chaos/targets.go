package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/mask"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/proc"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
	"chaosgate/pkg/target/docker"
)

// targetKind is what an environment's `target` can be.
type targetKind struct {
	name  string
	can   []target.Capability
	check func(doc *spec.Document, environment string, env spec.Environment) diag.List
	open  func(opening) (target.Environment, error)
	undo  string // the kind of its environments' own undo
	// revert ends an environment of a dead run; attach reaches into one, to take a fault back.
	revert func(context.Context, json.RawMessage) error
	attach func(target.Ref) target.Runtime
	shared bool // experiments find the environment as it is, unless each is to have one of its own: running.apart
	// stack is how people start and end such an environment; nil if each experiment does that itself.
	stack func(sys system, in input) (stack, error)
	// hold keeps other runs, and whoever would start or end it, away from such an environment until free is called; nil where stack is.
	hold func(ctx context.Context, sys system, in input) (free func(), err error)
}

// stack is an environment that runs on its own. What its tools say goes to out.
type stack interface {
	Up(ctx context.Context, out io.Writer) error
	Down(ctx context.Context, out io.Writer, more ...string) error
	// There says whether anything of it is there, be it running or not.
	There(ctx context.Context) (bool, error)
	Status(ctx context.Context) ([]docker.Standing, error)
}

// opening is what an environment is opened with.
type opening struct {
	run      string
	logs     string // folder of the run's logs
	input    input
	variant  string
	apart    bool // of a kind that is shared: the experiment is to have one of its own
	programs map[string]string
	program  string // this one, for helpers
	plan     plan.Plan
	orphans  *proc.Orphans
	secrets  *mask.Set
	getenv   func(string) string
}

func findTarget(name string) (targetKind, bool) {
	for _, k := range targetKinds() {
		if k.name == name {
			return k, true
		}
	}
	return targetKind{}, false
}

func targetNames() []string {
	var names []string
	for _, k := range targetKinds() {
		names = append(names, k.name)
	}
	return names
}

// checkServices finds what is wrong with the services before anything is started, by what their target says of each.
func checkServices(doc *spec.Document, environment string, env spec.Environment, check func(name string) []error) diag.List {
	var problems diag.List
	for _, name := range sortedKeys(env.Services) {
		at := "/environments/" + spec.Escape(environment) + "/services/" + spec.Escape(name)
		for _, err := range check(name) {
			var p *target.Problem
			if !errors.As(err, &p) {
				p = &target.Problem{Message: err.Error()}
			}
			problems = append(problems, diag.Problem{Span: doc.Value(at + p.Pointer), Severity: diag.Error, Rule: "service", Message: fmt.Sprintf("service %s: %s", name, p.Message)})
		}
	}
	return problems
}
