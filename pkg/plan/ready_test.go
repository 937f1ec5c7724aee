package plan

import (
	"testing"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// slowSite is one whose services take long to be ready, with a fault that stops them, and others that may.
func slowSite(a, b string) Site {
	s := site()
	for name, within := range map[string]string{"service-a": a, "service-b": b} {
		of := s.Environment.Services[name]
		of.Ready = spec.Readiness{Within: within}
		s.Environment.Services[name] = of
	}
	s.Capabilities = append(s.Capabilities, target.CanKill, target.CanStart)
	starts := []target.Capability{target.CanStart}
	s.Faults = append(s.Faults, fault.Kind{Name: "service.stop", Needs: starts, Duration: fault.DurationRequired, Params: []fault.Param{{Name: "grace", Type: fault.Duration}}},
		fault.Kind{Name: "service.restart", Needs: starts, Duration: fault.DurationNone}, fault.Kind{Name: "service.end", Needs: starts, Duration: fault.DurationOptional})
	return s
}

// A fault that starts a service again has the time that the slowest of those needs which it may hit; one that starts nothing has none for that.
func TestAPlanKnowsHowLongItsStartsMayTake(t *testing.T) {
	const text = "apiVersion: chaos/v1\nname: slow\nsteadyState:\n  - {id: up, http: {service: service-a, path: /}, expect: {status: 200}}\nsteps:\n  - {id: x, "
	for name, c := range map[string]struct {
		a, b, step string
		ready, all time.Duration
	}{
		"a stop":                      {"2m", "1m", "fault: service.stop, target: {service: service-a}, duration: 5s", 2 * time.Minute, 2 * time.Minute},
		"of the quicker":              {"2m", "1m", "fault: service.stop, target: {service: service-b}, duration: 5s", time.Minute, 2 * time.Minute},
		"of both":                     {"1m", "2m", "fault: service.stop, target: {service: [service-a, service-b]}, duration: 5s", 2 * time.Minute, 2 * time.Minute},
		"of either":                   {"2m", "2m30s", "fault: service.stop, target: {service: [service-a, service-b], pick: random}, duration: 5s", 150 * time.Second, 150 * time.Second},
		"of which nothing is said":    {"", "1m", "fault: service.stop, target: {service: service-a}, duration: 5s", 0, time.Minute},
		"a stop that may be short":    {"2m", "1m", "fault: service.stop, target: {service: service-a}, with: {grace: 3s}, duration: 5s", 2 * time.Minute, 2 * time.Minute},
		"a stop that may be long":     {"2m", "1m", "fault: service.stop, target: {service: service-a}, with: {grace: 30s}, duration: 5s", 140 * time.Second, 2 * time.Minute},
		"a long one, ready soon":      {"1s", "1m", "fault: service.stop, target: {service: service-a}, with: {grace: 30s}, duration: 5s", 35 * time.Second, time.Minute},
		"a restart":                   {"2m", "", "fault: service.restart, target: {service: service-a}", 2 * time.Minute, 2 * time.Minute},
		"an end for a while":          {"2m", "", "fault: service.end, target: {service: service-a}, duration: 5s", 2 * time.Minute, 2 * time.Minute},
		"an end that is left alone":   {"2m", "", "fault: service.end, target: {service: service-a}", 0, 2 * time.Minute},
		"a pause, which ends nothing": {"2m", "", "fault: service.pause, target: {service: service-a}, duration: 5s", 0, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			p, problems := Build(load(t, text+c.step+"}\n"), slowSite(c.a, c.b))
			if p == nil {
				t.Fatal(problems)
			}
			if got := time.Duration(p.Steps[0].Fault.Ready); got != c.ready || time.Duration(p.Ready) != c.all {
				t.Errorf("the fault's starts may take %v, want %v; those at the end %v, want %v", got, c.ready, time.Duration(p.Ready), c.all)
			}
			if want := max(leastTimeout, 2*time.Duration(p.Expected)+time.Duration(p.Recovery.Within)+c.ready).Round(time.Second); time.Duration(p.Timeout) != want {
				t.Errorf("its timeout is %v, want %v", time.Duration(p.Timeout), want)
			}
		})
	}
}
