package propagation

import (
	"slices"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

var start = time.UnixMilli(1_800_000_000_000)

func at(d time.Duration) time.Time { return start.Add(d) }

func n(v float64) *float64 { return &v }

// shop is a front that calls a store with a database, and a bystander that nobody calls.
func shop(kind, service, to string) plan.Plan {
	return plan.Plan{
		Places: []plan.Place{
			{Name: "callers", Calls: []string{"front"}},
			{Name: "bystander", Service: "bystander", Calls: []string{}},
			{Name: "front", Service: "front", Calls: []string{"store"}},
			{Name: "store", Service: "store", Calls: []string{"store/orders"}},
			{Name: "store/orders", Service: "store", Database: "orders", Calls: []string{}},
		},
		Steps: []plan.Step{{ID: "hit", Fault: &plan.Fault{
			Kind: kind, To: to, Selection: target.Selection{Services: []string{service}}, Params: fault.Params{"database": ""},
		}}},
	}
}

// calm is a place that counted 100 requests a second and nothing else, in 4 s before, 10 s during and 4 s after the fault, with samples every 250 ms.
func calm(name string) journal.PlaceSignals {
	amounts := func(seconds float64) journal.Amounts {
		return journal.Amounts{Requests: n(100 * seconds), Errors: n(0), Slow: n(0), Inside: n(0), Missed: n(0), Mean: n(0.002), P99: n(0.005)}
	}
	p := journal.PlaceSignals{Place: name, SlowerThan: n(0.01), Before: amounts(4), During: amounts(10), After: amounts(4)}
	for t := 500 * time.Millisecond; t <= 18*time.Second; t += 250 * time.Millisecond {
		p.Samples = append(p.Samples, journal.SignalSample{T: at(t).UnixMilli(), Requests: n(50), Errors: n(0), Slow: n(0), Inside: n(0), Missed: n(0), Mean: n(0.002)})
	}
	return p
}

// from makes a signal rise from some time after the injection on, until the fault is over.
func from(p journal.PlaceSignals, after time.Duration, during float64, amount func(*journal.Amounts) **float64, each func(*journal.SignalSample) **float64) journal.PlaceSignals {
	*amount(&p.During) = n(during)
	for i := range p.Samples {
		if t := p.Samples[i].T; t >= at(4*time.Second+after).UnixMilli() && t <= at(14*time.Second).UnixMilli() {
			*each(&p.Samples[i]) = n(5)
		}
	}
	return p
}

func errorsFrom(p journal.PlaceSignals, after time.Duration, during float64) journal.PlaceSignals {
	return from(p, after, during, func(a *journal.Amounts) **float64 { return &a.Errors }, func(s *journal.SignalSample) **float64 { return &s.Errors })
}

func insideFrom(p journal.PlaceSignals, after time.Duration, during float64) journal.PlaceSignals {
	return from(p, after, during, func(a *journal.Amounts) **float64 { return &a.Inside }, func(s *journal.SignalSample) **float64 { return &s.Inside })
}

func slowFrom(p journal.PlaceSignals, after time.Duration, during float64) journal.PlaceSignals {
	return from(p, after, during, func(a *journal.Amounts) **float64 { return &a.Slow }, func(s *journal.SignalSample) **float64 { return &s.Slow })
}

// waiting are callers of whose requests none was over during the fault.
func waiting(p journal.PlaceSignals) journal.PlaceSignals {
	for _, a := range []*journal.Amounts{&p.Before, &p.During, &p.After} {
		a.Inside, a.Missed = nil, nil
	}
	p.During = journal.Amounts{Requests: n(0), Errors: n(0), Slow: n(0)}
	return p
}

// gone is a place whose numbers nobody told during the fault.
func gone(p journal.PlaceSignals) journal.PlaceSignals {
	p.During = journal.Amounts{}
	return p
}

func signals(places ...journal.PlaceSignals) journal.Signals {
	return journal.Signals{
		Struck: at(4 * time.Second), Step: plan.Duration(250 * time.Millisecond), Places: places,
		Before: journal.Stretch{From: start, To: at(4 * time.Second)}, During: journal.Stretch{From: at(4 * time.Second), To: at(14 * time.Second)},
		After: journal.Stretch{From: at(14 * time.Second), To: at(18 * time.Second)},
	}
}

func states(s Spread) map[string]State {
	all := map[string]State{}
	for _, p := range s.Places {
		all[p.Name] = p.State
	}
	return all
}

func TestErrorsAreFollowedAgainstTheDirectionOfCalls(t *testing.T) {
	second := time.Second
	for name, c := range map[string]struct {
		plan   plan.Plan
		places []journal.PlaceSignals
		reach  string
		states map[string]State
		says   string
	}{
		"to the callers": {
			shop("db.lock", "store", ""),
			[]journal.PlaceSignals{
				errorsFrom(calm("callers"), second, 300), errorsFrom(calm("front"), second, 300), errorsFrom(calm("store"), second/2, 400), errorsFrom(calm("store/orders"), second/4, 500),
			},
			"store/orders store front callers",
			map[string]State{"store/orders": Hit, "store": PassedOn, "front": PassedOn, "callers": PassedOn, "bystander": NotMeasured},
			"It hit store/orders (errors 0 % → 50 % after 250ms) and travelled to store (errors 0 % → 40 % after 500ms), then front (errors 0 % → 30 % after 1s), then callers (errors 0 % → 30 % after 1s).",
		},
		"absorbed": {
			shop("service.kill", "store", ""),
			[]journal.PlaceSignals{calm("callers"), insideFrom(calm("front"), second, 900), calm("store"), calm("bystander")},
			"store front",
			map[string]State{"store/orders": NotMeasured, "store": Hit, "front": Absorbed, "callers": Untouched, "bystander": Untouched},
			"It hit store and travelled to front (errors inside 0/s → 90/s after 1s), which absorbed it: the callers saw nothing of it.",
		},
		"latency of a link": {
			shop("network.latency", "front", "store"),
			[]journal.PlaceSignals{slowFrom(calm("callers"), second/2, 500), slowFrom(calm("front"), second/2, 500), calm("store")},
			"front callers",
			map[string]State{"store": Untouched, "front": PassedOn, "callers": PassedOn},
			"It hit the link from front to store and travelled to front (slower than 10ms 0 % → 50 % after 500ms), then callers",
		},
		"requests of a link": {
			shop("http.abort", "front", "store"),
			[]journal.PlaceSignals{calm("callers"), insideFrom(calm("front"), second, 900), calm("store")},
			"front",
			map[string]State{"store": Untouched, "front": Absorbed, "callers": Untouched},
			"It hit the link from front to store and travelled to front (errors inside 0/s → 90/s after 1s), which absorbed it: the callers saw nothing of it.",
		},
		"the same link by its other end": {
			shop("network.latency", "store", "front"),
			[]journal.PlaceSignals{calm("callers"), calm("front"), calm("store")},
			"",
			map[string]State{"store": Untouched, "front": Untouched, "callers": Untouched},
			"It hit the link from front to store; the callers saw nothing of it.",
		},
		"no way leads there": {
			shop("service.pause", "store", ""),
			[]journal.PlaceSignals{calm("callers"), calm("front"), calm("store"), errorsFrom(calm("bystander"), second, 500)},
			"store",
			map[string]State{"front": Untouched, "bystander": Beside},
			"It hit store; the callers saw nothing of it. Beside the way: bystander (errors 0 % → 50 % after 1s).",
		},
		"what is not passed on cannot arrive": {
			shop("service.pause", "store", ""),
			[]journal.PlaceSignals{errorsFrom(calm("callers"), second, 500), calm("front"), calm("store")},
			"store",
			map[string]State{"front": Untouched, "callers": Beside},
			"It hit store; the callers saw it, by a way that the map does not show. Beside the way: callers (errors 0 % → 50 % after 1s).",
		},
		"what lies between is not measured": {
			shop("service.pause", "store", ""),
			[]journal.PlaceSignals{errorsFrom(calm("callers"), second, 500), calm("store")},
			"store",
			map[string]State{"front": NotMeasured, "callers": Beside},
			"It hit store; the callers saw it, by a way that the map does not show. Beside the way: callers (errors 0 % → 50 % after 1s).",
		},
		"callers that wait for longer than the fault": {
			shop("service.pause", "store", ""),
			[]journal.PlaceSignals{waiting(calm("callers")), insideFrom(calm("front"), second, 900), calm("store")},
			"store front",
			map[string]State{"front": Absorbed, "callers": NotMeasured},
			"It hit store and travelled to front (errors inside 0/s → 90/s after 1s); what the callers saw was not measured.",
		},
		"the database of a service that is down": {
			shop("service.kill", "store", ""),
			[]journal.PlaceSignals{calm("callers"), calm("front"), calm("store"), gone(calm("store/orders"))},
			"store",
			map[string]State{"store": Hit, "store/orders": NotMeasured},
			"It hit store; the callers saw nothing of it.",
		},
		"nothing depends on it": {
			shop("service.pause", "bystander", ""),
			[]journal.PlaceSignals{calm("callers"), calm("bystander")},
			"bystander",
			map[string]State{"bystander": Hit, "callers": Untouched},
			"It hit bystander; no traffic depends on it.",
		},
	} {
		s := Follow(c.plan, "hit", signals(c.places...))
		if got := strings.Join(s.Reach, " "); got != c.reach {
			t.Errorf("%s: it reached %q, want %q", name, got, c.reach)
		}
		for place, want := range c.states {
			if got := states(s)[place]; got != want {
				t.Errorf("%s: %s is %s, want %s", name, place, got, want)
			}
		}
		if !strings.HasPrefix(s.Summary, c.says) {
			t.Errorf("%s: says\n%s\nwant\n%s", name, s.Summary, c.says)
		}
	}
}

func TestWhatRoseIsInTheOrderOfTime(t *testing.T) {
	s := Follow(shop("db.lock", "store", ""), "hit", signals(
		errorsFrom(calm("callers"), 3*time.Second, 300), insideFrom(errorsFrom(calm("front"), 2*time.Second, 300), time.Second, 500), errorsFrom(calm("store"), time.Second/2, 400)))
	var order []string
	for _, m := range s.Order {
		order = append(order, m.Place+" "+m.Signal)
	}
	if want := []string{"store errors", "front inside", "front errors", "callers errors"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

// One error among a thousand requests happens; so do three slow ones. What rose must be more than that.
func TestChanceIsNoMovement(t *testing.T) {
	lucky := errorsFrom(slowFrom(insideFrom(calm("front"), time.Second, 3), time.Second, 3), time.Second, 1)
	s := Follow(shop("service.pause", "store", ""), "hit", signals(calm("callers"), lucky, calm("store")))
	if got := states(s)["front"]; got != Untouched {
		t.Errorf("the front is %s: %s", got, s.Summary)
	}
	noisy := calm("front") // as many errors as in the steady state
	noisy.Before.Errors, noisy.During.Errors = n(40), n(104)
	if s := Follow(shop("service.pause", "store", ""), "hit", signals(calm("callers"), noisy, calm("store"))); states(s)["front"] != Untouched {
		t.Errorf("errors as before have moved: %s", s.Summary)
	}
}

func TestWhatStaysIsNotBack(t *testing.T) {
	stays := errorsFrom(calm("front"), time.Second, 300)
	stays.After.Errors = n(100)
	s := Follow(shop("service.pause", "store", ""), "hit", signals(calm("callers"), stays, calm("store")))
	for _, p := range s.Places {
		for _, signal := range p.Signals {
			if want := p.Name != "front" || signal.Name != Errors; signal.Back == nil || *signal.Back != want {
				t.Errorf("%s of %s is back: %v, want %v", signal.Name, p.Name, signal.Back, want)
			}
		}
	}
}

func TestAServiceThatAnswersNoScrapeIsUnreachable(t *testing.T) {
	gone := calm("store")
	gone.During = journal.Amounts{Missed: n(3)}
	s := Follow(shop("service.kill", "store", ""), "hit", signals(calm("callers"), gone))
	i := slices.IndexFunc(s.Places, func(p Place) bool { return p.Name == "store" })
	if said := s.Places[i].said(); !strings.HasPrefix(said, "unreachable 0 % → 7.5 %") {
		t.Errorf("the store: %q", said)
	}
}

func TestAJournalWithoutAMapIsNoTrouble(t *testing.T) {
	if s := Follow(plan.Plan{}, "hit", journal.Signals{}); s.Reach == nil || s.Order == nil {
		t.Errorf("lists are null: %+v", s)
	}
}
