package spec

import (
	"maps"
	"regexp"
	"slices"
	"strconv"

	"gopkg.in/yaml.v3"

	"chaosgate/pkg/diag"
)

// secretUse is a reference to a secret, or the beginning of one.
var secretUse = regexp.MustCompile(`\$\{secret\.([^}]*)\}?`)

// SecretsIn answers the names of the secrets that a text refers to.
func SecretsIn(text string) []string {
	var names []string
	for _, m := range secretUse.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// secrets finds references in an experiment that stand elsewhere than in a header: nothing else is sent as it is and kept without its secrets. Key is that of the
// value, and holder that of the mapping which it is in.
func (c *checker) secrets(n *yaml.Node, key, holder string) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if secretUse.MatchString(n.Content[i].Value) {
				c.at(c.e.Doc.span(n.Content[i]), "secret", "", "a secret cannot stand in a key")
			}
			c.secrets(n.Content[i+1], n.Content[i].Value, key)
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			c.secrets(item, "", "")
		}
	default:
		if holder != "headers" && secretUse.MatchString(n.Value) {
			c.at(c.e.Doc.span(n), "secret", "", "a secret can be sent in a header, and stand nowhere else in an experiment")
		}
	}
}

// secrets checks that the services which may be sent a secret exist somewhere.
func (k *configChecker) secrets(c *Config) {
	services := servicesOf(c)
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		k.somewhere("/secrets/"+Escape(name)+"/sendTo", c.Secrets[name].SendTo, services)
	}
}

// secretsOf checks where a service uses secrets: everybody on the machine can read a command line.
func (k *configChecker) secretsOf(at string, s Service) {
	for i, arg := range s.Command {
		if secretUse.MatchString(arg) {
			k.add(at+"/command/"+strconv.Itoa(i), "secret", "give it to the service in env", "a secret does not belong on a command line, which everybody on the machine can read")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Databases)) {
		k.database(at+"/databases/", Escape(name), s.Databases[name])
	}
	k.declared(at+"/env/", s.Env)
}

// database checks a file's path, or the URL of a server.
func (k *configChecker) database(at, name, text string) {
	if !IsServer(text) {
		if secretUse.MatchString(text) {
			k.add(at+name, "secret", "", "a secret cannot be a part of a path")
		}
		return
	}
	if _, problem := ParseServer(text); problem != "" {
		// Without its line: the line would be shown, and with it a password.
		k.problems = append(k.problems, diag.Problem{Span: diag.Span{Pos: diag.Pos{File: k.doc.File}}, Severity: diag.Error, Rule: "value",
			Message: "the URL at " + at + name + " " + problem})
		return
	}
	k.declared(at, map[string]string{name: text})
}

// declared checks that the secrets that variables refer to exist.
func (k *configChecker) declared(at string, variables map[string]string) {
	names := slices.Sorted(maps.Keys(k.known))
	for _, variable := range slices.Sorted(maps.Keys(variables)) {
		for _, secret := range SecretsIn(variables[variable]) {
			if _, ok := k.known[secret]; !ok {
				k.add(at+Escape(variable), "secret", diag.DidYouMean(secret, names), "there is no secret %q", secret)
			}
		}
	}
}
