package plan

import (
	"fmt"
	"testing"

	"chaosgate/pkg/diag"
)

// A limit that nothing can break decides nothing, and one that nothing can keep closes the gate for ever; neither is meant.
func TestLimitsThatDecideNothing(t *testing.T) {
	const ratio, query = `ratio: {part: 'x_total{a="b"}', total: x_total}`, "promql: sum(rate(x_total[2s])) / sum(rate(y_total[2s]))"
	overridden := site()
	overridden.Environment.Thresholds = map[string]string{"share": "5", "low": "10%", "high": "10s"}
	const part = "as a ratio is a part of a whole"
	for name, c := range map[string]struct {
		site                 Site
		probe, expect, wants string
	}{
		"a forgotten unit":              {site(), ratio, "{max: 2}", "11:19 quantity: limit: found 2, which is 200%, expected at most 100%, " + part + " (did you mean 2%?)"},
		"a forgotten unit of $name":     {site(), ratio, "{max: $number}", "11:19 quantity: $number: found 3, which is 300%, expected at most 100%, " + part + " (did you mean 3%?)"},
		"a forgotten unit elsewhere":    {overridden, ratio, "{max: $share}", "11:19 quantity: $share of environment local: found 5, which is 500%, expected at most 100%, " + part + " (did you mean 5%?)"},
		"no percentage either":          {site(), ratio, "{max: 250}", "11:19 quantity: limit: found 250, which is 25000%, expected at most 100%, " + part + " ()"},
		"at most more than all":         {site(), ratio, "{max: 150%}", "11:19 quantity: limit: found 150%, expected at most 100%, " + part + " ()"},
		"at least more than all":        {site(), ratio, "{min: 200%}", "11:19 quantity: limit: found 200%, expected at most 100%, " + part + " ()"},
		"more than all":                 {site(), ratio, "{equals: 1.5}", "11:22 quantity: limit: found 1.5, which is 150%, expected at most 100%, " + part + " (did you mean 1.5%?)"},
		"up to more than all":           {site(), ratio, "{between: [1%, 101%]}", "11:28 quantity: limit: found 101%, expected at most 100%, " + part + " ()"},
		"all":                           {site(), ratio, "{min: 100%}", ""},
		"a change may be more than all": {site(), ratio + "\n    baseline: before", "{maxIncrease: 150%}", ""},
		"a quotient may be":             {site(), query, "{max: 2}", ""},
		"turned round by environment":   {overridden, ratio, "{min: $low, max: 2%}", "11:30 value: 10% is more than 2% in environment local, so nothing lies between them ()"},
		"turned round in between":       {overridden, query, "{between: [$high, 2s]}", "11:23 value: 10s is more than 2s in environment local, so nothing lies between them ()"},
		"in order":                      {overridden, ratio, "{min: $low, max: 20%}", ""},
	} {
		text := "apiVersion: chaos/v1\nname: limits\nthresholds: {share: 1%, low: 1%, high: 1s, number: 3}\nsteadyState:\n  - {id: up, http: {service: service-a, path: /}, expect: {status: 200}}\nsteps:\n" +
			"  - {id: hit, fault: service.pause, target: {service: service-b}, duration: 30s}\n  - during: hit\n    id: look\n    " +
			c.probe + "\n    expect: " + c.expect + "\n"
		p, problems := Build(load(t, text), c.site)
		var got string
		for _, found := range problems {
			if found.Severity == diag.Error {
				got += fmt.Sprintf("%d:%d %s: %s (%s)", found.Line, found.Col, found.Rule, found.Message, found.Hint)
			}
		}
		if got != c.wants || (p != nil) != (c.wants == "") {
			t.Errorf("%s: got %q, want %q", name, got, c.wants)
		}
	}
}
