package plan

import (
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
