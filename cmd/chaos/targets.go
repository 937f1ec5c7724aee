package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/diag"
	"chaosgate/pkg/mask"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/proc"
	"chaosgate/pkg/report"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
	"chaosgate/pkg/target/process"
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
}

// opening is what an environment is opened with.
type opening struct {
	run      string
	logs     string // folder of the run's logs
	input    input
	variant  string
	programs map[string]string
	program  string // this one, for helpers
	plan     plan.Plan
	orphans  *proc.Orphans
	secrets  *mask.Set
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

func openProcesses(o opening) (target.Environment, error) {
	return process.New(process.Options{
		RunID: o.run, Experiment: o.plan.Name, Spec: o.input.env, Root: o.input.dir,
		WorkDir: filepath.Join(os.TempDir(), "chaos-"+o.run+"-"+report.FileName(o.plan.Name)), LogDir: filepath.Join(o.logs, report.FileName(o.plan.Name)),
		Orphans: o.orphans, Binaries: o.programs, Self: o.program, Variables: o.input.env.Weakened[o.variant].Services, Revealed: o.input.vault, Secrets: o.secrets,
		Connect: func(stdin io.WriteCloser, stdout io.Reader) target.HelperClient { return agent.NewClient(stdin, stdout) },
	}), nil
}

// checkProcesses finds what is wrong with the services before anything is started.
func checkProcesses(doc *spec.Document, environment string, env spec.Environment) diag.List {
	var problems diag.List
	for _, name := range sortedKeys(env.Services) {
		at := "/environments/" + spec.Escape(environment) + "/services/" + spec.Escape(name)
		for _, err := range process.CheckService(name, env.Services[name], env.Services) {
			var p *target.Problem
			if !errors.As(err, &p) {
				p = &target.Problem{Message: err.Error()}
			}
			problems = append(problems, diag.Problem{Span: doc.Value(at + p.Pointer), Severity: diag.Error, Rule: "service", Message: fmt.Sprintf("service %s: %s", name, p.Message)})
		}
	}
	return problems
}
