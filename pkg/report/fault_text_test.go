package report

import (
	"testing"
	"time"

	"chaosgate/pkg/plan"
)

// A fault on a link says on which, and on which port of it.
func TestTheLinkOfAFault(t *testing.T) {
	for want, f := range map[string]plan.Fault{
		"network.reset, for 5s":                               {},
		"network.reset, on the link to shop, for 5s":          {To: "shop"},
		"network.reset, on the link to shop:sql, for 5s":      {To: "shop", Port: "sql"},
		"network.reset, on all links to the port sql, for 5s": {Port: "sql"},
	} {
		f.Kind, f.Duration = "network.reset", plan.Duration(5*time.Second)
		if got := faultText(f); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
