package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/mask"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/spec"
)

// vault holds the values of the secrets that chaos.yaml names and the environment has, by name.
type vault map[string]string

// openVault reads the secrets, and takes them and the credentials of all environments out of everything that is said from here on.
func openVault(sys system, c *spec.Config) vault {
	v := vault{}
	for name, s := range c.Secrets {
		if value := strings.TrimSpace(sys.env(s.FromEnv)); value != "" {
			v[name] = value
			sys.secrets.Add(value)
		}
	}
	for _, env := range c.Environments.ByName {
		for _, variable := range credentials(env.Prometheus) {
			sys.secrets.Add(sys.env(variable))
		}
	}
	return v
}

// credentials are the environment variables with which a server is asked.
func credentials(p spec.Prometheus) []string {
	return slices.DeleteFunc([]string{p.BearerTokenEnv, p.UsernameEnv, p.PasswordEnv}, func(name string) bool { return name == "" })
}

// reveal fills the secrets into a header.
func (v vault) reveal(header string) string {
	var pairs []string
	for name, value := range v {
		pairs = append(pairs, "${secret."+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(header)
}

// revealed is traffic with its secrets filled in.
func (v vault) revealed(loads []plan.Traffic) []plan.Traffic {
	all := slices.Clone(loads)
	for i, l := range all {
		all[i].Headers = map[string]string{}
		for name, value := range l.Headers {
			all[i].Headers[name] = v.reveal(value)
		}
	}
	return all
}

// unlocked sees that what the run needs is there and can be kept secret.
func (in input) unlocked(sys system) error {
	for _, name := range in.needed() {
		variable := in.config.Secrets[name].FromEnv
		switch value := strings.TrimSpace(sys.env(variable)); {
		case value == "":
			return invalid("", textSecretMissing, name, variable)
		case len(value) < mask.Least:
			return invalid(textSecretShortHint, textSecretShort, name, variable, mask.Least)
		}
	}
	for _, variable := range []string{in.env.Prometheus.BearerTokenEnv, in.env.Prometheus.PasswordEnv} {
		if value := strings.TrimSpace(sys.env(variable)); variable != "" && value != "" && len(value) < mask.Least {
			return invalid(textSecretShortHint, textCredentialShort, variable, mask.Least)
		}
	}
	return nil
}

// secretVariables are the environment variables of the secrets, by the secrets' names.
func (in input) secretVariables() map[string]string {
	variables := map[string]string{}
	for name, s := range in.config.Secrets {
		variables[name] = s.FromEnv
	}
	return variables
}

// needed are the secrets that the environment's services and the selected experiments use, sorted.
func (in input) needed() []string {
	var texts []string
	for name, s := range in.env.Services {
		texts = slices.AppendSeq(texts, maps.Values(s.Env))
		texts = slices.AppendSeq(texts, maps.Values(s.Databases))
		for _, w := range in.env.Weakened {
			texts = slices.AppendSeq(texts, maps.Values(w.Services[name]))
		}
	}
	for _, p := range in.plans {
		for _, headers := range headersOf(p) {
			texts = slices.AppendSeq(texts, maps.Values(headers))
		}
	}
	var names []string
	for _, text := range texts {
		names = append(names, spec.SecretsIn(text)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// headersOf are the headers of every request of an experiment.
func headersOf(p plan.Plan) []map[string]string {
	var all []map[string]string
	for _, t := range p.Traffic {
		all = append(all, t.Headers)
	}
	checks := slices.Clone(p.Steady)
	for _, s := range p.Steps {
		if s.Check != nil {
			checks = append(checks, *s.Check)
		}
		if s.Action != nil && s.Action.HTTP != nil {
			all = append(all, s.Action.HTTP.Headers)
		}
	}
	for _, c := range checks {
		if c.Probe.HTTP != nil {
			all = append(all, c.Probe.HTTP.Headers)
		}
	}
	return all
}

// written finds a secret that stands in an experiment as it is: a file is read by many, and taking it out of names would make others of them.
func (v vault) written(p plan.Plan) diag.List {
	text, err := json.Marshal(p)
	if len(v) == 0 || err != nil {
		return nil // what cannot be marshalled cannot be recorded either, and so not be run
	}
	var problems diag.List
	for _, name := range sortedKeys(v) {
		one := &mask.Set{}
		one.Add(v[name])
		if masked, err := one.JSON(text); err != nil || string(masked) != string(text) {
			problems = append(problems, diag.Problem{Span: diag.Span{Pos: diag.Pos{File: p.File}}, Severity: diag.Error, Rule: "secret", Hint: textSecretWrittenHint, Message: fmt.Sprintf(textSecretWritten, name)})
		}
	}
	return problems
}
