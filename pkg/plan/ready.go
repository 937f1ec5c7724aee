package plan

import "chaosgate/pkg/quantity"

// ready is the longest that services may take to be ready by what chaos.yaml says of them; 0 if it says nothing.
func (b *builder) ready(services []string) (longest Duration) {
	for _, name := range services {
		d, err := quantity.ParseDuration(b.site.Environment.Services[name].Ready.Within)
		if err == nil { // it says something; what it says has been checked
			longest = max(longest, Duration(d))
		}
	}
	return longest
}

// starting is how long all starts of services together may take that are the faults'. Where nothing is said of a service, its start takes no time that counts.
func (b *builder) starting() (sum Duration) {
	for _, s := range b.plan.Steps {
		if s.Fault != nil {
			sum += s.Fault.Ready
		}
	}
	return sum
}
