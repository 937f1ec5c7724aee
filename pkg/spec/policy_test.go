package spec

import (
	"fmt"
	"testing"
)

// Who is protected under a name that nobody has is not protected; a policy that says so is refused.
func TestWhoIsDenied(t *testing.T) {
	const text = `apiVersion: chaos/v1
environments:
  e:
    target: process
    services:
      shop: {command: [x], ports: {http: 1}, databases: {orders: "postgres://chaos@db.internal/orders", file: x.db}}
  f:
    target: process
    services:
      payment: {command: [x], ports: {http: 1}}
policy:
  services:
    deny: %s
`
	for deny, want := range map[string]string{
		"[payment, shop]":        "",
		"[db.internal]":          "", // a server that is no service
		"[shop, payments]":       `13:18 unknown-service: no environment has a service "payments" (did you mean "payment"?)`,
		"[db.intrenal]":          `13:12 unknown-service: no environment has a service "db.intrenal" (did you mean "db.internal"?)`,
		"[x.db, another-entity]": `13:12 unknown-service: no environment has a service "x.db" ()13:18 unknown-service: no environment has a service "another-entity" ()`,
	} {
		_, problems := ParseConfig("chaos.yaml", fmt.Appendf(nil, text, deny))
		var got string
		for _, p := range problems.Sorted() {
			got += fmt.Sprintf("%d:%d %s: %s (%s)", p.Line, p.Col, p.Rule, p.Message, p.Hint)
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", deny, got, want)
		}
	}
}

// An empty list of what is allowed would allow everything.
func TestAPolicyThatAllowsNothing(t *testing.T) {
	const text = "apiVersion: chaos/v1\nenvironments: {e: {target: process, services: {shop: {command: [x], ports: {http: 1}}}}}\npolicy: {%s}\n"
	for policy, want := range map[string]int{"faults: []": 1, "faults: [network.*]": 0, "exec: false": 0, "services: {deny: []}": 0} {
		_, problems := ParseConfig("chaos.yaml", fmt.Appendf(nil, text, policy))
		if len(problems) != want || want == 1 && (problems[0].Rule != "empty-value" || problems[0].Line != 3) {
			t.Errorf("%s: got %+v", policy, problems)
		}
	}
}
