package plan

import (
	"fmt"
	"testing"

	"chaosgate/pkg/spec"
)

// A fault on a link acts on both of its ends, so it spares those that the policy lets nobody hit, whichever of them is selected.
func TestADeniedServiceIsNoEndOfALink(t *testing.T) {
	denied := site()
	denied.Policy.Services.Deny = []string{"payment"}
	http := map[string]string{"http": "80"}
	denied.Environment.Services = map[string]spec.Service{
		"front":   {Ports: http, Links: []string{"shop"}},
		"shop":    {Ports: http, Links: []string{"payment", "stock"}},
		"payment": {Ports: map[string]string{"http": "80", "admin": "81"}, Links: []string{"bank"}},
		"stock":   {Ports: http},
		"bank":    {Ports: map[string]string{"http": "80", "admin": "81"}},
	}
	const latency, says = "fault: network.latency, with: {delay: 10ms}", "policy: the policy in chaos.yaml does not allow to hit payment"
	for name, c := range map[string]struct{ fault, target, want string }{
		"to it":                     {latency, "{service: shop, to: payment}", "7:102 " + says + ", which is an end of a link that network.latency acts on ()"},
		"requests to it":            {"fault: http.abort", "{service: shop, to: payment}", "7:76 " + says + ", which is an end of a link that http.abort acts on ()"},
		"all links, one of them":    {latency, "{service: shop}", "7:92 " + says + ", which is an end of a link that network.latency acts on (name another end, with to)"},
		"it is the caller":          {latency, "{service: bank}", "7:92 " + says + ", which is an end of a link that network.latency acts on ()"},
		"it calls the port":         {latency, "{service: bank, port: admin}", "7:92 " + says + ", which is an end of a link that network.latency acts on ()"},
		"one that may be picked":    {latency, "{service: [front, bank], pick: random}", "7:92 " + says + ", which is an end of a link that network.latency acts on ()"},
		"itself":                    {latency, "{service: payment}", "7:92 " + says + " ()"},
		"itself, to another":        {latency, "{service: payment, to: bank}", "7:92 " + says + " ()"},
		"to another":                {latency, "{service: shop, to: stock}", ""},
		"no link of its":            {latency, "{service: front}", ""},
		"no fault on links":         {"fault: service.pause", "{service: shop}", ""},
		"calls to one that uses it": {latency, "{service: front, to: shop}", ""},
	} {
		text := "apiVersion: chaos/v1\nname: links\nsteadyState:\n  - {id: up, http: {service: front, path: /}, expect: {status: 200}}\n" +
			"steps:\n  - {id: first, wait: 1s}\n  - {id: hit, duration: 5s, " + c.fault + ", target: " + c.target + "}\n"
		p, problems := Build(load(t, text), denied)
		var got string
		for _, found := range problems {
			got += fmt.Sprintf("%d:%d %s: %s (%s)", found.Line, found.Col, found.Rule, found.Message, found.Hint)
		}
		if got != c.want || (p != nil) != (c.want == "") {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
