package probe

import (
	"maps"
	"strings"
	"testing"

	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

func TestState(t *testing.T) {
	up := target.Status{Running: true, PID: 12, ExitCode: -1}
	restarted := target.Status{Running: true, PID: 13, Restarts: 2, ExitCode: 137, OOMKilled: true}
	down := target.Status{Restarts: 1, ExitCode: 1}
	paused := target.Status{Running: true, Paused: true, PID: 14, ExitCode: -1}
	type numbers = map[string]float64
	for name, c := range map[string]struct {
		status map[string]target.Status
		want   numbers
		text   string
	}{
		"one up":               {map[string]target.Status{"service-a-1": up}, numbers{"running": 1, "restarts": 0, "oom_killed": 0, "instances": 1}, "service-a-1: running, process 12, restart count 0"},
		"one of two down":      {map[string]target.Status{"service-a-1": up, "service-a-2": down}, numbers{"running": 0, "restarts": 1, "oom_killed": 0, "instances": 2}, "service-a-2: not running, restart count 1, last exit code 1"},
		"one killed for oom":   {map[string]target.Status{"service-a-1": up, "service-a-2": restarted}, numbers{"running": 1, "restarts": 2, "oom_killed": 1, "instances": 2}, "last exit code 137, killed for memory"},
		"paused":               {map[string]target.Status{"service-a-1": paused}, numbers{"running": 1, "restarts": 0, "oom_killed": 0, "instances": 1}, "service-a-1: paused, process 14"},
		"of another's nothing": {map[string]target.Status{"service-a-1": up, "service-b-1": down}, numbers{"running": 1, "restarts": 0, "oom_killed": 0, "instances": 1}, "service-a-1"},
	} {
		o := look(t, Deps{Environment: stateful{place{status: c.status}}}, check("state", plan.Probe{State: &plan.State{Service: "service-a"}}))
		if o.Error != "" || !maps.Equal(o.Numbers, c.want) || !strings.Contains(o.Text["instances"], c.text) {
			t.Errorf("%s: got numbers %v, text %q, error %q", name, o.Numbers, o.Text["instances"], o.Error)
		}
	}
}

func TestStateSaysWhatWeDidWrong(t *testing.T) {
	c := check("state", plan.Probe{State: &plan.State{Service: "service-z"}})
	for want, env := range map[string]target.Environment{
		`there is no service "service-z"`:                            stateful{place{status: map[string]target.Status{"service-a-1": {}}}},
		"the test target cannot say what state its instances are in": place{},
	} {
		if o := look(t, Deps{Environment: env}, c); o.Error != want || len(o.Numbers) > 0 {
			t.Errorf("got error %q and numbers %v, want %q", o.Error, o.Numbers, want)
		}
	}
}
