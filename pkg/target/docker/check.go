package docker

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// CheckService finds what is wrong with a service before an engine is asked. Services are all services of the environment. Every error is a *target.Problem. It is pure.
func CheckService(s spec.Service, services map[string]spec.Service) []error {
	var errs []error
	problem := func(pointer, format string, args ...any) {
		errs = append(errs, &target.Problem{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
	}
	for _, key := range []struct {
		name string
		set  bool
	}{
		{"build", s.Build != ""}, {"command", len(s.Command) > 0}, {"env", len(s.Env) > 0}, {"restart", s.Restart != spec.Restart{}}, {"memory", s.Memory != ""},
	} {
		if key.set {
			problem("/"+key.name, "%s is for local processes; for a container the Compose file says it", key.name)
		}
	}
	for name, path := range s.Databases {
		if message := checkDatabase(path, services); message != "" {
			problem("/databases/"+spec.Escape(name), "%s", message)
		}
	}
	_, hasHTTP := s.Ports[spec.HTTPPort]
	for _, p := range []struct{ pointer, path string }{{"/ready/http", s.Ready.HTTP}, {"/metrics", s.Metrics}} {
		switch {
		case p.path == "":
		case !strings.HasPrefix(p.path, "/"):
			problem(p.pointer, "%q is not a path; a path begins with /", p.path)
		case !hasHTTP:
			problem(p.pointer, "the service has no port named %s to ask for %s", spec.HTTPPort, p.path)
		}
	}
	return errs
}

// checkDatabase answers what is wrong with a database. A server must be a service of the environment: any other would be hit although it is not of the project.
func checkDatabase(text string, services map[string]spec.Service) string {
	if !spec.IsServer(text) {
		if !strings.HasPrefix(text, "/") {
			return fmt.Sprintf("%q is not a path inside the container; such a path begins with /", text)
		}
		return ""
	}
	at, problem := spec.ParseServer(text)
	switch port, is := at.On(services); {
	case problem != "": // chaos.yaml's own check says so
	case !is:
		return fmt.Sprintf("there is no service %q here: a database is hit on a server of the same project only, which is a service of the environment; there are %s",
			at.Host, strings.Join(slices.Sorted(maps.Keys(services)), ", "))
	case port == "":
		return fmt.Sprintf("service %s has no port %s: ports are those inside the container", at.Host, at.Port)
	}
	return ""
}
