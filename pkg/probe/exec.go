package probe

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/mask"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/proc"
	"chaosgate/pkg/target"
)

// inherited are the variables of chaos' own environment that a command gets; everything else would let a run depend on the machine, or leak secrets.
var inherited = []string{"PATH", "HOME", "USER", "LANG", "TMPDIR", "TZ"}

// lookExec runs the command to its end. What it leaves running ends with it.
func lookExec(ctx context.Context, d Deps, c plan.Check, _ Window) journal.Observation {
	e := c.Probe.Exec
	begun := time.Now()
	cmd := exec.Command(e.Command[0], e.Command[1:]...)
	cmd.Dir = d.Dir
	cmd.Env = environ(d.Environment, e.Env)
	r, err := proc.Run(ctx, cmd, textLimit+mask.Spare)
	if err != nil {
		return failed(fmt.Errorf("cannot run %s: %w", e.Command[0], explain(ctx, begun, err)))
	}
	return journal.Observation{
		Numbers: map[string]float64{"exit_code": float64(r.ExitCode)},
		Text:    map[string]string{"stdout": d.Secrets.Head(r.Stdout, textLimit), "stderr": d.Secrets.Head(r.Stderr, textLimit)},
	}
}

// environ is what a command is told: a few variables of the machine, where the services are, and what the plan declares. The marks come last, where the last of a
// name counts: a command that was given other ones could not be found when the runner is killed.
func environ(env target.Environment, declared map[string]string) []string {
	all := []string{}
	for _, name := range inherited {
		if v, ok := os.LookupEnv(name); ok {
			all = append(all, name+"="+v)
		}
	}
	for _, s := range env.Scrapes() {
		service := s.Labels["service"]
		if u, err := env.URL(service); err == nil {
			all = append(all, "CHAOS_URL_"+strings.ToUpper(strings.ReplaceAll(service, "-", "_"))+"="+u)
		}
	}
	for name, v := range declared {
		all = append(all, name+"="+v)
	}
	if m, ok := env.(target.Marker); ok {
		all = append(all, m.Marks()...)
	}
	return all
}
