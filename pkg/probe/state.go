package probe

import (
	"context"
	"fmt"
	"strings"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

// lookState reads all instances of a service: running is 1 only if all of them run, restarts is the most of any, oom_killed is 1 if any was.
func lookState(ctx context.Context, d Deps, c plan.Check, _ Window) journal.Observation {
	begun := time.Now()
	inspector, ok := d.Environment.(target.Inspector)
	if !ok {
		return failed(fmt.Errorf("the %s target cannot say what state its instances are in", d.Environment.Name()))
	}
	instances, err := d.Environment.Resolve(ctx, target.Selection{Services: []string{c.Probe.State.Service}, Instances: "all"})
	if err != nil {
		return failed(err)
	}
	if len(instances) == 0 {
		return failed(fmt.Errorf("service %s has no instances", c.Probe.State.Service))
	}
	numbers := map[string]float64{"running": 1, "restarts": 0, "oom_killed": 0, "instances": float64(len(instances))}
	var lines []string
	for _, t := range instances {
		s, err := inspector.Inspect(ctx, t)
		if err != nil {
			return failed(fmt.Errorf("cannot read the state of %s: %w", t.Instance, explain(ctx, begun, err)))
		}
		numbers["running"] = min(numbers["running"], number(s.Running))
		numbers["restarts"] = max(numbers["restarts"], float64(s.Restarts))
		numbers["oom_killed"] = max(numbers["oom_killed"], number(s.OOMKilled))
		lines = append(lines, t.Instance+": "+describe(s))
	}
	return journal.Observation{Numbers: numbers, Text: map[string]string{"instances": strings.Join(lines, "\n")}}
}

func describe(s target.Status) string {
	var parts []string
	switch {
	case s.Paused:
		parts = append(parts, "paused")
	case s.Running:
		parts = append(parts, "running")
	default:
		parts = append(parts, "not running")
	}
	if s.Running && s.PID != 0 {
		parts = append(parts, fmt.Sprintf("process %d", s.PID))
	}
	parts = append(parts, fmt.Sprintf("restart count %d", s.Restarts))
	if s.ExitCode >= 0 {
		parts = append(parts, fmt.Sprintf("last exit code %d", s.ExitCode))
	}
	if s.OOMKilled {
		parts = append(parts, "killed for memory")
	}
	return strings.Join(parts, ", ")
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
