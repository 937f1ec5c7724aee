package plan

import (
	"fmt"
	"slices"
	"testing"

	"chaosgate/pkg/target"
)

// More instances than a service can have there are asked for in vain, which is known before anything runs.
func TestInstancesThatThereCannotBe(t *testing.T) {
	scaled := site()
	scaled.Capabilities = append(scaled.Capabilities, target.CanScale)
	const refused = "22 instances: instances is 2, but each service of environment local has one: its target, process, cannot run several instances of one service"
	for _, c := range []struct {
		site            Site
		instances, want string
	}{{site(), "2", refused}, {site(), "1", ""}, {site(), "one", ""}, {site(), "50%", ""}, {site(), "all", ""}, {scaled, "2", ""}} {
		p, problems := built(t, c.site, "to: service-b}", "to: service-b, instances: "+c.instances+"}")
		if (p != nil) != (c.want == "") || c.want != "" && problems != c.want {
			t.Errorf("%s: got a plan %v and\n%s", c.instances, p != nil, problems)
		}
	}
}

// A step is during a fault that lasts. What is offered instead is what that fault can do.
func TestWhatIsDuringAFaultWithoutADuration(t *testing.T) {
	able := site()
	able.Capabilities = append(able.Capabilities, target.CanKill)
	for fault, want := range map[string][]string{
		"service.pause": {"6:15 duration: service.pause needs a duration (add duration: 5s)"},
		"service.kill":  {`7:24 during: "hit" has no duration, so it has no active phase to be during (give hit a duration, or use needs)`},
		"service.once":  {`7:24 during: "hit" happens once, so it has no active phase to be during (use needs)`},
		"service.klil":  {`6:22 unknown-fault: there is no fault "service.klil" (did you mean "service.kill"?)`},
	} {
		text := "apiVersion: chaos/v1\nname: phase\nsteadyState:\n  - {id: up, http: {service: service-a, path: /}, expect: {status: 200}}\nsteps:\n" +
			"  - {id: hit, fault: " + fault + ", target: {service: service-b}}\n  - {id: look, during: hit, check: up}\n"
		_, problems := Build(load(t, text), able)
		var got []string
		for _, found := range problems {
			got = append(got, fmt.Sprintf("%d:%d %s: %s (%s)", found.Line, found.Col, found.Rule, found.Message, found.Hint))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", fault, got, want)
		}
	}
}
