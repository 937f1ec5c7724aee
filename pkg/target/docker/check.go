package docker

import (
	"fmt"
	"strings"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// CheckService finds what is wrong with a service before an engine is asked. Every error is a *target.Problem. It is pure.
func CheckService(s spec.Service) []error {
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
		if !strings.HasPrefix(path, "/") {
			problem("/databases/"+spec.Escape(name), "%q is not a path inside the container; such a path begins with /", path)
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
