package plan

import (
	"chaosgate/pkg/fault"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/target"
)

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

// comingBack is how long a service that is taken down may take until it is back, as a time to be ready: before it is started it may still have to end, for which the step may give it
// more time than is usual.
func comingBack(ready, grace Duration) Duration {
	longer := grace - Duration(fault.EndLimit)
	if longer <= 0 {
		return ready
	}
	return max(ready, Duration(target.DefaultReady)) + longer
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
