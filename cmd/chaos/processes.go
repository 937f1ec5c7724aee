package main

import (
	"io"
	"os"
	"path/filepath"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/diag"
	"chaosgate/pkg/report"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
	"chaosgate/pkg/target/process"
)

func openProcesses(o opening) (target.Environment, error) {
	return process.New(process.Options{
		RunID: o.run, Experiment: o.plan.Name, Spec: o.input.env, Root: o.input.dir,
		WorkDir: filepath.Join(os.TempDir(), "chaos-"+o.run+"-"+report.FileName(o.plan.Name)), LogDir: filepath.Join(o.logs, report.FileName(o.plan.Name)),
		Orphans: o.orphans, Binaries: o.programs, Self: o.program, Variables: o.input.env.Weakened[o.variant].Services, Revealed: o.input.vault, Secrets: o.secrets,
		SecretVariables: o.input.secretVariables(),
		Connect: func(stdin io.WriteCloser, stdout io.Reader) target.HelperClient {
			return agent.NewClient(stdin, stdout)
		},
	}), nil
}

func checkProcesses(doc *spec.Document, environment string, env spec.Environment) diag.List {
	return checkServices(doc, environment, env, func(name string) []error { return process.CheckService(name, env.Services[name], env.Services) })
}
