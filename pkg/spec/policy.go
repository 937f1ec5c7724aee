package spec

import (
	"maps"
	"slices"
	"strconv"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/quantity"
)

// policy checks that what it says is of something: a service that is misspelt would be protected by nobody.
func (k *configChecker) policy(c *Config) {
	k.somewhere("/policy/services/deny", c.Policy.Services.Deny, append(servicesOf(c), hostsOf(c)...))
	if c.Policy.Faults != nil && len(c.Policy.Faults) == 0 {
		k.add("/policy/faults", "empty-value", "leave it out to allow all, or name what may be done", "faults of the policy is empty, expected at least one entry")
	}
	k.quantity("/policy/timeout", c.Policy.Timeout, quantity.Time)
	k.quantity("/policy/rate", c.Policy.Rate, quantity.Rate)
}

// somewhere checks that each name of a list is known in at least one environment.
func (k *configChecker) somewhere(at string, names, known []string) {
	for i, name := range names {
		if !slices.Contains(known, name) {
			k.add(at+"/"+strconv.Itoa(i), "unknown-service", diag.DidYouMean(name, known), "no environment has a service %q", name)
		}
	}
}

// servicesOf answers the services of all environments.
func servicesOf(c *Config) []string {
	var services []string
	for _, e := range c.Environments.ByName {
		services = slices.AppendSeq(services, maps.Keys(e.Services))
	}
	slices.Sort(services)
	return slices.Compact(services)
}

// hostsOf answers where the servers of databases are: one that is no service can be denied, too.
func hostsOf(c *Config) []string {
	var hosts []string
	for _, e := range c.Environments.ByName {
		for _, service := range e.Services {
			for _, text := range service.Databases {
				if at, problem := ParseServer(text); IsServer(text) && problem == "" {
					hosts = append(hosts, at.Host)
				}
			}
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
