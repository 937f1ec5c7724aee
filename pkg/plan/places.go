package plan

import (
	"maps"
	"slices"

	"chaosgate/pkg/metrics"
	"chaosgate/pkg/spec"
)

// The metrics that the traffic keeps of its own, as the callers see it.
const (
	CallersRequests = "chaos_requests_total"
	CallersLatency  = "chaos_request_duration_seconds"
	CallersWaiting  = "chaos_requests_waiting"
)

// Callers is the name of the place from which the traffic comes.
const Callers = "callers"

// Place is where a fault can be felt: the callers, a service, or a database of a service. Calls are the places that it depends on: together they are the map along
// which failures spread, against the direction of the calls.
type Place struct {
	Name     string   `json:"name"` // "callers", "service-b", "service-b/orders"
	Service  string   `json:"service,omitempty"`
	Database string   `json:"database,omitempty"`
	Calls    []string `json:"calls"`
	Signals  Signals  `json:"signals,omitzero"`
}

// Signals are selectors of what shows how a place fares; "" is not measured.
type Signals struct {
	Requests string `json:"requests,omitempty"`
	Errors   string `json:"errors,omitempty"` // a part of Requests
	Latency  string `json:"latency,omitempty"`
	Inside   string `json:"inside,omitempty"`
}

// What a service counts if chaos.yaml does not say otherwise: the names that most HTTP instrumentation uses.
const (
	usualRequests = "http_requests_total"
	usualErrors   = `http_requests_total{status=~"5.."}`
	usualLatency  = "http_request_duration_seconds"
)

// places draws the map: the callers first, then the services and their databases by name.
func (b *builder) places() []Place {
	callers := Place{Name: Callers, Calls: []string{}, Signals: Signals{
		Requests: CallersRequests, Errors: CallersRequests + `{status!~"[23].."}`, Latency: CallersLatency,
	}}
	for _, t := range b.plan.Traffic {
		if !slices.Contains(callers.Calls, t.Service) {
			callers.Calls = append(callers.Calls, t.Service)
		}
	}
	all := []Place{callers}
	for _, name := range b.services() {
		s := b.site.Environment.Services[name]
		service := Place{Name: name, Service: name, Calls: append([]string{}, s.Links...)}
		if s.Metrics != "" {
			service.Signals = signalsOf(name, s.Signals, usualRequests, usualErrors, usualLatency)
		}
		var databases []Place
		for _, db := range slices.Sorted(maps.Keys(s.Databases)) {
			place := Place{Name: DatabasePlace(name, db), Service: name, Database: db, Calls: []string{}, Signals: signalsOf(name, s.Signals.Databases[db], "", "", "")}
			service.Calls = append(service.Calls, place.Name)
			databases = append(databases, place)
		}
		all = append(append(all, service), databases...)
	}
	return all
}

// DatabasePlace is the name of the place that a database is.
func DatabasePlace(service, database string) string { return service + "/" + database }

// signalsOf takes the usual signals where chaos.yaml names none, and only series of the service.
func signalsOf(service string, s spec.Signals, requests, errors, latency string) Signals {
	own := func(selector, usual string) string {
		text, err := metrics.Only(or(selector, usual), "service", service)
		if err != nil { // nothing is named; what is named has been checked
			return ""
		}
		return text
	}
	return Signals{Requests: own(s.Requests, requests), Errors: own(s.Errors, errors), Latency: own(s.Latency, latency), Inside: own(s.Inside, "")}
}
