// Package propagation tells from what was measured around a fault how it spread: where errors and latency rose, when, by how much, and how far that went along the
// dependencies, against the direction of the calls. It decides nothing about the gate.
package propagation

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

// Spread is how one fault spread.
type Spread struct {
	Fault  string          `json:"fault"`
	Origin string          `json:"origin"` // what was hit: "service-b", "service-b/orders", "the link from service-a to service-b"
	Links  []Link          `json:"links"`  // of these, the links that were hit
	Struck time.Time       `json:"struck"`
	Before journal.Stretch `json:"before"`
	During journal.Stretch `json:"during"`
	After  journal.Stretch `json:"after,omitzero"`
	// Places are all of the map, those that depend on the origin in the order of their distance first.
	Places []Place `json:"places"`
	// Order is what rose, in the order in which that was first seen.
	Order []Move `json:"order"`
	// Reach are the places that the fault got to, from the origin on; it ends with the callers, or where the fault was absorbed.
	Reach   []string `json:"reach"`
	Summary string   `json:"summary"`
	Error   string   `json:"error,omitempty"`
}

// State is what a fault did to a place.
type State string

// The states. A place is reached if something rose there and the fault got to one of the places that it calls.
const (
	Hit         State = "hit"          // the origin
	PassedOn    State = "passed-on"    // reached, and whoever calls it saw errors, slow answers, or nobody who answers
	Absorbed    State = "absorbed"     // reached, and whoever calls it saw nothing of that
	Untouched   State = "untouched"    // nothing rose
	Beside      State = "beside"       // something rose, but nothing it calls had passed the fault on
	NotMeasured State = "not-measured" // nothing is known
)

// Place is a place and how it fared.
type Place struct {
	Name     string   `json:"name"`
	Calls    []string `json:"calls"`
	Distance int      `json:"distance"` // calls between it and the origin, -1 if it does not depend on the origin
	State    State    `json:"state"`
	Signals  []Signal `json:"signals"`
	Requests Change   `json:"requests_per_second"`
	Mean     Change   `json:"mean_seconds"`
	P99      Change   `json:"p99_seconds"`
}

// Change is a number before, during and after the fault; nil was not measured.
type Change struct {
	Before *float64 `json:"before"`
	During *float64 `json:"during"`
	After  *float64 `json:"after"`
}

// Move is a signal of a place that rose, and after how many seconds from the injection that was first seen; it is as fine as the scrape interval.
type Move struct {
	Place  string  `json:"place"`
	Signal string  `json:"signal"`
	After  float64 `json:"after_seconds"`
}

// Link is a dependency: From calls To.
type Link struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Follow tells how a fault of a plan spread.
func Follow(p plan.Plan, fault string, s journal.Signals) Spread {
	o := originOf(p, fault)
	spread := Spread{Fault: fault, Origin: o.text, Links: append([]Link{}, o.links...), Places: []Place{}, Struck: s.Struck, Before: s.Before, During: s.During, After: s.After, Order: []Move{}, Error: s.Error}
	far := distances(p.Places, o)
	for _, place := range p.Places {
		spread.Places = append(spread.Places, newPlace(place, far[place.Name], s))
	}
	slices.SortStableFunc(spread.Places, func(a, b Place) int { return cmp.Compare(uint(a.Distance), uint(b.Distance)) })
	spread.reach(o)
	for _, place := range spread.Places {
		for _, signal := range place.Signals {
			if signal.Rose {
				spread.Order = append(spread.Order, Move{place.Name, signal.Name, signal.FirstSeen})
			}
		}
	}
	slices.SortStableFunc(spread.Order, func(a, b Move) int { return cmp.Compare(a.After, b.After) })
	spread.Summary = spread.summary()
	return spread
}

func newPlace(p plan.Place, distance int, s journal.Signals) Place {
	place := Place{Name: p.Name, Calls: p.Calls, Distance: distance, Signals: []Signal{}, State: NotMeasured}
	for _, measured := range s.Places {
		if measured.Place == p.Name {
			place.fill(measured, s)
		}
	}
	return place
}

// origin is what a fault hit: places, or a link between two, of which the place that calls felt it first.
type origin struct {
	text   string
	places []string // hit themselves
	links  []Link
}

// near says whether a place is at the calling end of a link that was hit.
func (o origin) near(place string) bool {
	return slices.ContainsFunc(o.links, func(l Link) bool { return l.From == place })
}

func originOf(p plan.Plan, fault string) origin {
	i := slices.IndexFunc(p.Steps, func(s plan.Step) bool { return s.ID == fault && s.Fault != nil })
	if i < 0 {
		return origin{}
	}
	f := p.Steps[i].Fault
	var o origin
	for _, service := range f.Selection.Services {
		switch {
		case f.To != "": // of a fault on a link
			o.link(p.Places, service, f.To)
		case strings.HasPrefix(f.Kind, "db."):
			o.databases(p.Places, service, f.Params.Text("database"))
		default:
			o.places = append(o.places, service)
		}
	}
	if o.text == "" {
		o.text = strings.Join(o.places, ", ")
	}
	return o
}

// databases finds a database of a service; without a name it is the only one.
func (o *origin) databases(places []plan.Place, service, name string) {
	for _, p := range places {
		if p.Service == service && p.Database != "" && (name == "" || p.Database == name) {
			o.places = append(o.places, p.Name)
		}
	}
}

// link finds who calls whom.
func (o *origin) link(places []plan.Place, a, b string) {
	l := Link{a, b}
	if slices.ContainsFunc(places, func(p plan.Place) bool { return p.Name == b && slices.Contains(p.Calls, a) }) {
		l = Link{b, a}
	}
	o.links = append(o.links, l)
	o.text = strings.TrimPrefix(o.text+", the link from "+l.From+" to "+l.To, ", ")
}

// distances counts the calls from each place to the origin, by the shortest way; what has none is not in it.
func distances(places []plan.Place, o origin) map[string]int {
	far := map[string]int{}
	for _, name := range o.places {
		far[name] = 0
	}
	for _, l := range o.links {
		far[l.From] = 1
	}
	for range places {
		for _, p := range places {
			for _, called := range p.Calls {
				d, ok := far[called]
				if known, have := far[p.Name]; ok && (!have || d+1 < known) {
					far[p.Name] = d + 1
				}
			}
		}
	}
	for _, p := range places {
		if _, ok := far[p.Name]; !ok {
			far[p.Name] = -1
		}
	}
	return far
}

// reach says of each place what the fault did to it, from the origin outwards.
func (s *Spread) reach(o origin) {
	passed := map[string]bool{}
	s.Reach = []string{}
	for i := range s.Places {
		p := &s.Places[i]
		origin := slices.Contains(o.places, p.Name)
		near := o.near(p.Name) || slices.ContainsFunc(p.Calls, func(c string) bool { return passed[c] })
		p.State = p.stateOf(origin, near && p.Distance > 0)
		passed[p.Name] = p.State == Hit || p.State == PassedOn
		if passed[p.Name] || p.State == Absorbed {
			s.Reach = append(s.Reach, p.Name)
		}
	}
}

func (p Place) stateOf(origin, near bool) State {
	rose := slices.ContainsFunc(p.Signals, func(s Signal) bool { return s.Rose })
	seen := slices.ContainsFunc(p.Signals, func(s Signal) bool { return s.Rose && s.Name != Inside })
	switch {
	case origin:
		return Hit
	case len(p.Signals) == 0:
		return NotMeasured
	case !rose:
		return Untouched
	case !near:
		return Beside
	case seen:
		return PassedOn
	default:
		return Absorbed
	}
}
