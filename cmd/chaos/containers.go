package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/diag"
	"chaosgate/pkg/impair"
	"chaosgate/pkg/intercept"
	"chaosgate/pkg/report"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
	"chaosgate/pkg/target/docker"
)

func openContainers(o opening) (target.Environment, error) {
	endpoint, err := docker.FindEndpoint(o.getenv)
	if err != nil {
		return nil, err
	}
	options := docker.Options{
		RunID: o.run, Experiment: o.plan.Name, Endpoint: endpoint, Spec: o.input.env,
		LogDir: filepath.Join(o.logs, report.FileName(o.plan.Name)), Helpers: helpers(o.program), Secrets: o.secrets,
		SecretVariables: o.input.secretVariables(),
	}
	if o.apart {
		file := composeFile(o.input)
		if to := leads(o.input.dir, file); to != "" {
			return nil, fmt.Errorf(textFolderLeadsOut, file, to)
		}
		options.Project = docker.CopyName(o.run, o.plan.Name)
		options.Copy = &docker.Copy{File: file, Variables: o.input.env.Weakened[o.variant].Services}
		return docker.New(options), nil
	}
	if options.Project, err = projectOf(o.input, o.getenv); err != nil {
		return nil, err
	}
	options.Folder = folderOf(o.input)
	return docker.New(options), nil
}

// helpers are what works in containers and beside them: this program.
func helpers(program string) docker.Helpers {
	return docker.Helpers{
		Self: program,
		Connect: func(stdin io.WriteCloser, stdout io.Reader, lost func()) target.HelperClient {
			return agent.NewWatching(stdin, stdout, lost)
		},
		Jobs: docker.Jobs{
			Memory: []string{agent.MemoryJob, agent.DiskFillJob}, Self: agent.SelfJob,
			Signal: func(container, signal string) (string, any) {
				return agent.SignalJob, agent.SignalConfig{Container: container, Signal: signal}
			},
			Link: func(l impair.Link, f impair.Fault) (string, any) {
				return agent.LinkJob, agent.LinkConfig{Link: l, Fault: f}
			},
			Requests: func(l impair.Link, f intercept.Fault) (string, any) {
				return agent.HTTPJob, agent.HTTPConfig{Link: l, Fault: f}
			},
			RoundTrip: func(url string, from impair.Range) (string, any) {
				return agent.RoundTripJob, agent.RoundTripConfig{URL: url, Ports: from}
			},
			Score: func(score *int) (string, any) { return agent.ScoreJob, agent.ScoreConfig{Score: score} },
		},
	}
}

// attachContainer reaches a container whose runner has died.
func attachContainer(ref target.Ref) target.Runtime {
	program, _ := os.Executable() // without it the helper that needs it says so
	return docker.Attach(ref, helpers(program))
}

// checkContainers finds what is wrong with the services before an engine is asked.
func checkContainers(doc *spec.Document, environment string, env spec.Environment) diag.List {
	problems := checkServices(doc, environment, env, func(name string) []error { return docker.CheckService(env.Services[name], env.Services) })
	for _, variant := range sortedKeys(env.Weakened) {
		at := "/environments/" + spec.Escape(environment) + "/weakened/" + spec.Escape(variant) + "/services/"
		for _, service := range sortedKeys(env.Weakened[variant].Services) {
			problems = append(problems, checkVariables(doc, at+spec.Escape(service)+"/", env.Weakened[variant].Services[service])...)
		}
	}
	return problems
}

// checkVariables finds variables in which somebody expects something to be replaced.
func checkVariables(doc *spec.Document, at string, variables map[string]string) (problems diag.List) {
	for _, name := range sortedKeys(variables) {
		if strings.Contains(variables[name], "${") {
			problems = append(problems, diag.Problem{Span: doc.Value(at + spec.Escape(name)), Severity: diag.Error, Rule: "service", Message: fmt.Sprintf(textWeakenedReplaced, name)})
		}
	}
	return problems
}

// composeFile is the absolute path of an environment's Compose file.
func composeFile(in input) string {
	file := in.env.Compose
	if file == "" {
		file = "docker-compose.yml"
	}
	return filepath.Join(in.dir, file)
}

// projectOf is the name of an environment's Compose project.
func projectOf(in input, getenv func(string) string) (string, error) {
	if in.env.Project != "" {
		return in.env.Project, nil
	}
	return docker.ProjectOf(composeFile(in), getenv)
}

// folderOf is where an environment's Compose project must have been started, unless chaos.yaml names the project: another checkout's may have the same name.
func folderOf(in input) string {
	if in.env.Project != "" {
		return ""
	}
	return filepath.Dir(composeFile(in))
}

// holdProject keeps others on this machine away from an environment's Compose project.
func holdProject(ctx context.Context, sys system, in input) (free func(), err error) {
	endpoint, err := docker.FindEndpoint(sys.env)
	if err != nil {
		return nil, err
	}
	project, err := projectOf(in, sys.env)
	if err != nil {
		return nil, err
	}
	free, err = endpoint.Hold(ctx, project)
	if errors.Is(err, docker.ErrInUse) {
		return nil, cannot(textInUseHint, textInUse, in.environment, project)
	}
	return free, err
}

func composeStack(sys system, in input) (stack, error) {
	endpoint, err := docker.FindEndpoint(sys.env)
	if err != nil {
		return nil, err
	}
	file := composeFile(in)
	if to := leads(in.dir, file); to != "" {
		return nil, cannot("", textFolderLeadsOut, sys.shown(file), to)
	}
	project, err := projectOf(in, sys.env)
	if err != nil {
		return nil, err
	}
	return docker.Stack{Endpoint: endpoint, File: file, Project: project, Folder: folderOf(in), Spec: in.env}, nil
}
