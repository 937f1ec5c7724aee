package plan

import (
	"fmt"
	"testing"

	"chaosgate/pkg/diag"
)

// firstError is the first problem that is more than a warning, with its place.
func firstError(problems diag.List) string {
	for _, p := range problems.Sorted() {
		if p.Severity == diag.Error {
			return fmt.Sprintf("%d:%d %s: %s", p.Line, p.Col, p.Rule, p.Message)
		}
	}
	return ""
}

// Rule 4: what happened before a phase is in none of its windows, whatever range the PromQL has.
func TestNoRangeLooksOutOfItsWindow(t *testing.T) {
	head := func(steady string) string {
		return "apiVersion: chaos/v1\nname: ranged\nsteadyState:\n  - {id: calm, promql: '" + steady + "', window: 4s, expect: {max: 1}}\nsteps:\n" +
			"  - {id: hit, fault: network.latency, target: {service: service-a, to: service-b}, with: {delay: 10ms}, duration: 12s}\n"
	}
	const calm = "sum(rate(x[$window]))"
	during := func(query, more string) string {
		return head(calm) + "  - {id: c, during: hit, promql: '" + query + "'" + more + ", expect: {max: 1}}\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"the window":                 {during("sum(rate(x[$window]))", ""), ""},
		"the whole phase":            {during("sum(rate(x[12s]))", ""), ""},
		"more than the phase":        {during(`sum(rate(x{status="500"}[5m]))`, ""), "7:44 range: it looks 5m0s back, out of the window of 12s"},
		"in a mapping":               {head(calm) + "  - id: c\n    during: hit\n    promql:\n      query: sum(rate(x[5m]))\n    expect: {max: 1}\n", "10:23 range: it looks 5m0s back, out of the window of 12s"},
		"a window of its own":        {during("sum(rate(x[3s]))", ", window: 3s"), ""},
		"more than its window":       {during("sum(rate(x[4s]))", ", window: 3s"), "7:44 range: it looks 4s back, out of the window of 3s"},
		"behind the window":          {during("rate(x[$window]) / rate(y[4s])", ", window: 3s"), "7:59 range: it looks 4s back, out of the window of 3s"},
		"behind the interval":        {during("rate(x[$interval]) / rate(y[4s])", ", window: 3s"), "7:61 range: it looks 4s back, out of the window of 3s"},
		"again and again":            {during("sum(rate(x[2s]))", ", every: 1s"), "7:44 range: it looks 2s back, out of the window of 1s"},
		"a subquery that fits":       {during("max_over_time(rate(x[2s])[10s:1s])", ""), ""},
		"a subquery over the window": {during("max_over_time(rate(x[2s])[$window:1s])", ""), "7:54 range: it looks 14s back, out of the window of 12s"},
		"after the fault":            {head(calm) + "  - {id: c, needs: [hit], promql: 'sum(rate(x[9s]))', window: 8s, expect: {max: 1}}\n", "7:45 range: it looks 9s back, out of the window of 8s"},
		"in the steady state":        {head("sum(rate(x[1m]))"), "4:34 range: it looks 1m0s back, out of the window of 4s"},
		"again in a shorter window":  {head("sum(rate(x[4s]))") + "  - {id: c, during: hit, check: calm, window: 2s}\n", "7:33 range: it looks 4s back, out of the window of 2s"},
		"longer than a sample":       {head(calm) + "  - {id: c, during: hit, promql: 'rate(x[10s])', baseline: before, expect: {maxIncrease: 10%}}\n", "7:40 range: it looks 10s back, out of the window of 625ms"},
		"an abort condition":         {head(calm) + "abortWhen:\n  - {id: a, promql: 'sum(rate(x[5m]))', expect: {max: 1}}\n", ""},
	} {
		_, problems := Build(load(t, c.text), site())
		if got := firstError(problems); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
