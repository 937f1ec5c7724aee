package main

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/fault"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/spec"
)

// input is what a command works on: the selected experiments, planned for an environment.
type input struct {
	dir         string // of the project
	config      *spec.Config
	environment string
	env         spec.Environment
	kind        targetKind
	files       []string
	plans       []plan.Plan
	vault       vault
	problems    diag.List
}

// loadEnvironment reads chaos.yaml and finds the environment. Problems of the file are in the input; without a configuration there is nothing else in it.
func loadEnvironment(sys system, s selection) (input, error) {
	var in input
	path, err := findConfig(sys, s.config)
	if err != nil {
		return in, err
	}
	in.dir = filepath.Dir(path)
	in.config, in.problems = spec.LoadConfig(sys.shown(path))
	if in.config == nil {
		return in, nil
	}
	in.vault = openVault(sys, in.config)
	if err := in.choose(s); err != nil {
		return in, err
	}
	if !in.problems.Invalid() {
		in.problems = append(in.problems, in.kind.check(in.config.Doc, in.environment, in.env)...)
	}
	return in, nil
}

// loadInput reads and plans everything. All problems of all files are in the input; the error is for what is no problem of a file.
func loadInput(sys system, s selection, args []string) (input, error) {
	if err := s.check(); err != nil {
		return input{}, err
	}
	in, err := loadEnvironment(sys, s)
	if err != nil {
		return in, err
	}
	files, missing := experimentFiles(sys, in.dir, args)
	experiments, problems := spec.Load(files)
	in.files = files
	in.problems = append(append(in.problems, missing...), problems...)
	if in.config == nil {
		return in, nil
	}
	in.plan(s, experiments)
	return in, in.selected(s)
}

// choose finds the environment, and the weakened variant of it.
func (in *input) choose(s selection) error {
	names := in.config.Environments.Names
	in.environment = s.env
	if in.environment == "" && len(names) > 0 {
		in.environment = names[0]
	}
	env, ok := in.config.Environments.ByName[in.environment]
	if !ok {
		return invalid(diag.DidYouMean(s.env, names), textNoEnvironment, s.env, strings.Join(names, ", "))
	}
	in.env = env
	if _, ok := env.Weakened[s.weakened]; s.weakened != "" && !ok {
		return noVariant(in.environment, s.weakened, env)
	}
	in.kind, ok = findTarget(env.Target)
	if !ok {
		return invalid("", textNoTarget, in.environment, env.Target, strings.Join(targetNames(), ", "))
	}
	return nil
}

func noVariant(environment, name string, env spec.Environment) error {
	variants := sortedKeys(env.Weakened)
	if len(variants) == 0 {
		return invalid("", textNoVariants, environment)
	}
	return invalid(diag.DidYouMean(name, variants), textNoVariant, environment, name, strings.Join(variants, ", "))
}

// plan expands, selects and plans the experiments.
func (in *input) plan(s selection, experiments []*spec.Experiment) {
	site := plan.Site{
		Name: in.environment, Environment: in.env, Policy: in.config.Policy, Secrets: in.config.Secrets, Faults: fault.Catalogue(), Capabilities: in.kind.can, Seed: s.seed,
	}
	for _, e := range experiments {
		combinations, problems := spec.Expand(e)
		in.problems = append(in.problems, problems...)
		for _, one := range combinations {
			if !s.wants(one.Name) {
				continue
			}
			p, problems := plan.Build(one, site)
			in.problems = append(in.problems, problems...)
			if p != nil {
				in.problems = append(in.problems, in.vault.written(*p)...)
				in.plans = append(in.plans, *p)
			}
		}
	}
}

// selected finds that --only leaves nothing, unless problems may be why.
func (in *input) selected(s selection) error {
	if len(in.plans) > 0 || in.problems.Invalid() {
		return nil
	}
	return invalid("", textNothingSelected, strings.Join(s.only, ", "))
}

// refuse shows what was found and ends the command if any of it is an error.
func (in *input) refuse(sys system) error {
	if err := in.show(sys); err != nil {
		return err
	}
	if in.problems.Invalid() {
		return invalid("", textProblems)
	}
	return nil
}

// show writes the problems for people.
func (in *input) show(sys system) error {
	s := sys.style(sys.stderr)
	var text strings.Builder
	if err := in.problems.WriteText(&text, sourceLines(sys), diag.Style{Error: s.red, Warning: s.yellow, Place: s.bold, Hint: s.dim}); err != nil {
		return err
	}
	_, err := io.WriteString(sys.stderr, noCommand(text.String()))
	return err
}

// sourceLines answers lines of the files that problems name. A file that cannot be read again shows none.
func sourceLines(sys system) diag.Source {
	texts := map[string][]string{}
	return func(file string, line int) string {
		lines, known := texts[file]
		if !known {
			lines = readLines(sys.path(file))
			texts[file] = lines
		}
		if line < 1 || line > len(lines) {
			return ""
		}
		return lines[line-1]
	}
}

func readLines(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Split(strings.ReplaceAll(strings.TrimPrefix(string(text), "\ufeff"), "\r\n", "\n"), "\n")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
