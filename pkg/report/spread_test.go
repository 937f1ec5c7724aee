package report

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/propagation"
)

// travelled is the run that passed, in which what was measured says that the fault of its first fault step was absorbed by service-a.
func travelled(t *testing.T) []journal.Event {
	t.Helper()
	events := changed(t, read(t, "passed"), journal.Planned, func(_ *journal.Event, p *plan.Plan) bool {
		p.Places = []plan.Place{{Name: "callers", Calls: []string{"service-a"}}, {Name: "service-a", Calls: []string{"service-b"}}, {Name: "service-b", Calls: []string{}}}
		for i := range p.Steps {
			if f := p.Steps[i].Fault; f != nil {
				f.Selection.Services = []string{"service-b"}
			}
		}
		return true
	})
	n := func(v float64) *float64 { return &v }
	calm := journal.Amounts{Requests: n(1000), Errors: n(0), Slow: n(0), Mean: n(0.001), P99: n(0.002)}
	upset := calm
	upset.Inside, calm.Inside = n(300), n(0)
	at := func(seconds int) time.Time { return events[0].Time.Add(time.Duration(seconds) * time.Second) }
	signals := journal.Signals{
		Struck: at(4), Before: journal.Stretch{From: at(0), To: at(4)}, During: journal.Stretch{From: at(4), To: at(8)}, Step: plan.Duration(time.Second / 4),
		Places: []journal.PlaceSignals{
			{Place: "callers", Before: calm, During: calm}, {Place: "service-a", Before: calm, During: upset, SlowerThan: n(0.005)}, {Place: "service-b", Before: calm, During: calm},
		},
	}
	data, err := json.Marshal(signals)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(events, func(e journal.Event) bool { return e.Type == journal.FaultReverted })
	kept := slices.DeleteFunc(slices.Clone(events), func(e journal.Event) bool { return e.Type == journal.SignalsKept })
	return slices.Insert(kept, i, journal.Event{Time: events[i].Time, Mono: events[i].Mono, Type: journal.SignalsKept, Experiment: events[i].Experiment, Step: events[i].Step, Data: data})
}

func TestTheReportsTellHowFarAFaultTravelled(t *testing.T) {
	m := modelOf(t, travelled(t))
	if n := len(m.Experiments[0].Spreads); n != 1 {
		t.Fatalf("%d spreads", n)
	}
	const said = "It hit service-b and travelled to service-a (errors inside 0/s → 75/s after 4s), which absorbed it: the callers saw nothing of it."
	wantAll(t, written(t, "html", m), said, "reached, absorbed", "inside 75/s +4s", `class="place hit"`, `class="place untouched"`, `class="call travelled" marker-end`)
	wantAll(t, written(t, "summary", m), "How far it travelled", said)
	text := written(t, "json", m)
	reportSchema(t)(t, text)
	wantAll(t, text, `"propagation"`, `"state": "absorbed"`, `"slower_than_seconds": 0.005`)
}

// Environments can be of any shape; whatever calls itself in a circle must still be drawn.
func TestAMapOfAnyShapeIsDrawn(t *testing.T) {
	place := func(name string, calls ...string) propagation.Place {
		return propagation.Place{Name: name, Calls: calls}
	}
	for name, places := range map[string][]propagation.Place{
		"nothing":      nil,
		"circle":       {place("a", "b"), place("b", "c"), place("c", "a")},
		"itself":       {place("a", "a")},
		"unknown":      {place("a", "x")},
		"wide":         {place("callers", "a"), place("a", "b", "c", "d", "e", "f"), place("b"), place("c"), place("d"), place("e"), place("f")},
		"long":         {place("a", "b"), place("b", "c"), place("c", "d"), place("d", "e"), place("e", "f"), place("f", "g"), place("g", "h"), place("h")},
		"many callers": {place("callers"), place("x", "z"), place("y", "z"), place("z")},
	} {
		columns := columnsOf(places)
		shown := 0
		for _, c := range columns {
			shown += len(c)
		}
		if shown != len(places) {
			t.Errorf("%s: %d of %d places in %v", name, shown, len(places), columns)
		}
		if text := string(mapOf(propagation.Spread{Places: places})); len(text) == 0 {
			t.Errorf("%s: nothing is drawn", name)
		}
	}
}
