package process

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// CheckService finds what is wrong with a service before anything is started: references, links, ports, readiness and settings. Services are all services of the
// environment. Every error is a *target.Problem. It is pure.
func CheckService(name string, s spec.Service, services map[string]spec.Service) []error {
	_, errs := readSettings(s)
	problem := func(pointer, format string, args ...any) {
		errs = append(errs, &target.Problem{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
	}
	if s.Build == "" && len(s.Command) == 0 {
		problem("", "service %q has neither build nor command, so there is nothing to start", name)
	}
	for _, p := range slices.Sorted(maps.Keys(s.Ports)) {
		if n, err := strconv.Atoi(s.Ports[p]); err != nil || n < 1 || n > 65535 {
			problem("/ports/"+p, "%q is not a port; a port is a number from 1 to 65535", s.Ports[p])
		}
	}
	for i, to := range s.Links {
		if message := checkLink(name, to, services); message != "" {
			problem(fmt.Sprintf("/links/%d", i), "%s", message)
		}
	}
	errs = append(append(errs, checkPaths(s)...), checkServers(s, services)...)
	return append(errs, checkReferences(s)...)
}

func checkLink(from, to string, services map[string]spec.Service) string {
	s, ok := services[to]
	switch {
	case !ok:
		return fmt.Sprintf("there is no service %q to link to; there are %s", to, strings.Join(slices.Sorted(maps.Keys(services)), ", "))
	case to == from:
		return "a service cannot have a link to itself"
	}
	if _, ok := entrance(s); !ok {
		return fmt.Sprintf("service %q has no port that a link could lead to; it needs one named %s", to, spec.HTTPPort)
	}
	return ""
}

// entrance is the name of the port that links lead to: http, or the only one.
func entrance(s spec.Service) (string, bool) {
	if _, ok := s.Ports[spec.HTTPPort]; ok {
		return spec.HTTPPort, true
	}
	for name := range s.Ports {
		return name, len(s.Ports) == 1
	}
	return "", false
}

func checkPaths(s spec.Service) []error {
	var errs []error
	_, hasHTTP := s.Ports[spec.HTTPPort]
	for _, p := range []struct{ pointer, path string }{{"/ready/http", s.Ready.HTTP}, {"/metrics", s.Metrics}} {
		switch {
		case p.path == "":
		case !strings.HasPrefix(p.path, "/"):
			errs = append(errs, &target.Problem{Pointer: p.pointer, Message: fmt.Sprintf("%q is not a path; a path begins with /", p.path)})
		case !hasHTTP:
			errs = append(errs, &target.Problem{Pointer: p.pointer, Message: "the service has no port named http to ask for " + p.path})
		}
	}
	return errs
}

// checkReferences expands everything with stand-ins.
func checkReferences(s spec.Service) []error {
	var errs []error
	known := values{"data": "x"}
	if s.Build != "" {
		known["binary"] = "x"
	}
	for p := range s.Ports {
		known["port."+p] = "1"
	}
	for _, to := range s.Links {
		known["link."+to] = "x"
	}
	check := func(pointer, text string) {
		if _, err := known.expand(text); err != nil {
			errs = append(errs, &target.Problem{Pointer: pointer, Message: err.Error()})
		}
	}
	for i, arg := range s.Command {
		check(fmt.Sprintf("/command/%d", i), arg)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		for _, secret := range spec.SecretsIn(s.Env[name]) { // whether there is one, chaos.yaml's own check says
			known["secret."+secret] = "x"
		}
		check("/env/"+name, s.Env[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.Databases)) {
		if !spec.IsServer(s.Databases[name]) {
			check("/databases/"+name, s.Databases[name])
		}
	}
	return errs
}

// checkServers checks that a service on which a database is said to be has the port.
func checkServers(s spec.Service, services map[string]spec.Service) []error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.Databases)) {
		if !spec.IsServer(s.Databases[name]) {
			continue
		}
		at, problem := spec.ParseServer(s.Databases[name])
		if port, is := at.On(services); problem == "" && is && port == "" {
			errs = append(errs, &target.Problem{Pointer: "/databases/" + name, Message: fmt.Sprintf("service %s has no port %s: its ports in chaos.yaml are those that it usually has", at.Host, at.Port)})
		}
	}
	return errs
}
