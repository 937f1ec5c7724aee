package spec

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/quantity"
)

// checkConfig finds what the schema cannot: quantities, links to services that are not there, URLs.
func checkConfig(c *Config) diag.List {
	k := &configChecker{doc: c.Doc, known: c.Secrets}
	k.secrets(c)
	k.policy(c)
	for _, name := range c.Environments.Names {
		k.environment("/environments/"+Escape(name), c.Environments.ByName[name])
	}
	return k.problems
}

type configChecker struct {
	doc      *Document
	known    map[string]Secret
	problems diag.List
}

func (k *configChecker) add(pointer, rule, hint, format string, args ...any) {
	k.problems = append(k.problems, diag.Problem{Span: k.doc.Value(pointer), Severity: diag.Error, Rule: rule, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

func (k *configChecker) quantity(pointer, text string, unit quantity.Unit) {
	if text == "" {
		return
	}
	q, err := quantity.ParseAs(text, unit)
	if err != nil {
		k.add(pointer, "quantity", "", "%s: %v", nameOf(pointer), err)
	} else if q.Value <= 0 {
		k.add(pointer, "quantity", "", "%s is %s, expected more than nothing", nameOf(pointer), text)
	}
}

func (k *configChecker) environment(at string, e Environment) {
	k.prometheus(at+"/prometheus", e.Prometheus)
	for name, text := range e.Thresholds {
		if _, err := quantity.Parse(text); err != nil {
			k.add(at+"/thresholds/"+Escape(name), "quantity", "", "%v", err)
		}
	}
	var names []string
	for name := range e.Services {
		names = append(names, name)
	}
	slices.Sort(names)
	if e.Target != "kubernetes" && len(names) == 0 {
		k.add(at, "missing-key", "", "a %s environment needs services", e.Target)
	}
	for _, name := range names {
		k.service(at+"/services/"+Escape(name), name, e, names)
	}
	for variant, w := range e.Weakened {
		for service, variables := range w.Services {
			k.declared(at+"/weakened/"+Escape(variant)+"/services/"+Escape(service)+"/", variables)
			if !slices.Contains(names, service) {
				pointer := at + "/weakened/" + Escape(variant) + "/services/" + Escape(service)
				k.problems = append(k.problems, diag.Problem{Span: k.doc.Key(pointer), Severity: diag.Error, Rule: "unknown-service",
					Hint: diag.DidYouMean(service, names), Message: fmt.Sprintf("there is no service %q", service)})
			}
		}
	}
}

func (k *configChecker) prometheus(at string, p Prometheus) {
	if p.URL != "" && p.URL != "embedded" {
		u, err := url.Parse(p.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			k.add(at, "value", "", "prometheus is neither embedded nor http(s)://HOST[:PORT]")
		} else if u.User != nil {
			// Without its line: the line would be shown.
			k.problems = append(k.problems, diag.Problem{Span: diag.Span{Pos: diag.Pos{File: k.doc.File}}, Severity: diag.Error, Rule: "secret",
				Hint: "name their environment variables with usernameEnv and passwordEnv", Message: "the URL of prometheus holds credentials"})
		}
	}
	if p.Discovery != "" && p.Embedded() {
		k.add(at+"/discovery", "value", "", "discovery tells a Prometheus server what to scrape; the embedded one knows")
	}
	k.quantity(at+"/interval", p.Interval, quantity.Time)
	k.quantity(at+"/timeout", p.Timeout, quantity.Time)
}

func (k *configChecker) service(at, name string, e Environment, names []string) {
	s := e.Services[name]
	if e.Target == "process" && s.Build == "" && len(s.Command) == 0 {
		k.add(at, "missing-key", "add build: ./PACKAGE or command: [PROGRAM]", "%s has neither build nor command", name)
	}
	for i, link := range s.Links {
		if !slices.Contains(names, link) || link == name {
			k.add(at+"/links/"+strconv.Itoa(i), "unknown-service", diag.DidYouMean(link, names), "%s links to %q, which is not another service", name, link)
		}
	}
	if len(s.Ports) == 0 {
		k.add(at, "missing-key", "add ports: {http: 8080}", "%s has no ports", name)
	}
	for port, number := range s.Ports {
		if n, err := strconv.Atoi(number); err != nil || n < 1 || n > 65535 {
			k.add(at+"/ports/"+Escape(port), "quantity", "", "port %s is %q, expected a number from 1 to 65535", port, number)
		}
	}
	k.signals(at+"/signals", s.Signals, s.Databases)
	k.secretsOf(at, s)
	k.quantity(at+"/ready/within", s.Ready.Within, quantity.Time)
	k.quantity(at+"/restart/backoff", s.Restart.Backoff, quantity.Time)
	k.quantity(at+"/memory", s.Memory, quantity.Bytes)
	k.quantity(at+"/stop", s.Stop, quantity.Time)
	if n, err := strconv.Atoi(s.Restart.Times); s.Restart.Times != "" && (err != nil || n < 0) {
		k.add(at+"/restart/times", "quantity", "", "times is %q, expected a whole number", s.Restart.Times)
	}
}
