package verdict

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

// Rule 5: a target that no fault has hit must have been scraped, or what it did is not known.
func TestThinScrapesCloseTheGate(t *testing.T) {
	begin := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	phase := func(name journal.PhaseName, targets ...metrics.Covered) journal.Coverage {
		return journal.Coverage{Phase: name, From: begin, To: begin.Add(10 * time.Second), Targets: targets}
	}
	a := func(got float64) metrics.Covered {
		return metrics.Covered{Service: "a", Instance: "a-1", Expected: 40, Got: got}
	}
	b := func(got float64) metrics.Covered {
		return metrics.Covered{Service: "b", Instance: "b-1", Expected: 40, Got: got}
	}
	short := metrics.Covered{Service: "a", Instance: "a-1", Expected: 3, Got: 1}
	broken := phase(journal.Method)
	broken.Error = "503"
	for name, c := range map[string]struct {
		hit      string // the service that the fault acts on
		to       string // the other end, of a fault on a link
		coverage []journal.Coverage
		says     string // "" is an open gate
	}{
		"all were scraped":            {"b", "", []journal.Coverage{phase(journal.Steady, a(40), b(40)), phase(journal.Method, a(38), b(40))}, ""},
		"the one that was hit is not": {"b", "", []journal.Coverage{phase(journal.Steady, a(40), b(40)), phase(journal.Method, a(40), b(1)), phase(journal.Recovery, a(40), b(20))}, ""},
		"another one is not":          {"b", "", []journal.Coverage{phase(journal.Steady, a(40), b(40)), phase(journal.Method, a(35), b(40))}, "a-1 was scraped 35 of 40 times"},
		"not even before":             {"b", "", []journal.Coverage{phase(journal.Steady, a(40), b(30))}, "b-1 was scraped 30 of 40 times in the steady-state"},
		"one vanished":                {"b", "", []journal.Coverage{phase(journal.Steady, a(40), b(40)), phase(journal.Method, b(40))}, "a was never scraped"},
		"a fault on the link":         {"b", "a", []journal.Coverage{phase(journal.Steady, a(40), b(40)), phase(journal.Method, a(40), b(20))}, "b-1 was scraped 20 of 40 times"},
		"too short to tell":           {"b", "", []journal.Coverage{phase(journal.Steady, a(40), b(40)), phase(journal.Method, short)}, ""},
		"nobody can tell":             {"b", "", []journal.Coverage{phase(journal.Steady, a(40), b(40)), broken}, "could not be asked: 503"},
		"nobody has told":             {"b", "", nil, "was not recorded"},
	} {
		events := goodRun(t, func(e journal.Event) (journal.Event, bool) {
			switch e.Type {
			case journal.EnvironmentUp:
				e.Data, _ = json.Marshal(journal.EnvironmentInfo{Services: []string{"a", "b"}})
			case journal.Planned:
				p := samplePlan()
				p.Interval = plan.Duration(250 * time.Millisecond)
				p.Steps[0].Fault.Selection = target.Selection{Services: []string{c.hit}}
				if p.Steps[0].Fault.Kind = "service.pause"; c.to != "" {
					p.Steps[0].Fault.Kind = "network.latency"
				}
				e.Data, _ = json.Marshal(p)
			}
			return e, e.Type != journal.CoverageKept
		})
		at := slices.IndexFunc(events, func(e journal.Event) bool { return e.Type == journal.EnvironmentDown })
		for _, kept := range c.coverage {
			data, _ := json.Marshal(kept)
			events = slices.Insert(events, at, journal.Event{Type: journal.CoverageKept, Experiment: "e", Data: data})
		}
		v := decide(t, events)
		if c.says == "" {
			if v.Gate != Open {
				t.Errorf("%s: the gate is closed: %+v", name, v.Reasons)
			}
			continue
		}
		if v.Gate != Closed || v.State != Inconclusive || !slices.ContainsFunc(v.Reasons, func(r Reason) bool { return r.Rule == RuleCoverage && strings.Contains(r.Text, c.says) }) {
			t.Errorf("%s: gate %s, %+v; want it closed saying %q", name, v.Gate, v.Reasons, c.says)
		}
	}
}

// So is one that was not scraped while a check outside of any active phase looked, unless the check decides nothing.
func TestThinScrapesOfAnyWindowCloseTheGate(t *testing.T) {
	for required, says := range map[bool]string{true: "a-1 was scraped 20 of 40 times in the time in which later looked", false: ""} {
		events := goodRun(t, func(e journal.Event) (journal.Event, bool) {
			switch e.Type {
			case journal.EnvironmentUp:
				e.Data, _ = json.Marshal(journal.EnvironmentInfo{Services: []string{"a"}})
			case journal.Planned:
				p := samplePlan()
				check := *p.Steps[1].Check
				check.ID, check.Required = "later", required
				p.Steps[1].During, p.Steps[1].ID, p.Steps[1].Check = "", "later", &check
				e.Data, _ = json.Marshal(p)
			}
			if e.Step == "holds" {
				e.Step = "later"
			}
			return e, e.Type != journal.CoverageKept
		})
		at := slices.IndexFunc(events, func(e journal.Event) bool { return e.Type == journal.EnvironmentDown })
		for step, got := range map[string]float64{"": 40, "later": 20} {
			c := journal.Coverage{Phase: journal.Method, To: time.Unix(10, 0), From: time.Unix(0, 0), Targets: []metrics.Covered{{Service: "a", Instance: "a-1", Expected: 40, Got: got}}}
			if step == "" {
				c.Phase = journal.Steady
			}
			data, _ := json.Marshal(c)
			events = slices.Insert(events, at, journal.Event{Type: journal.CoverageKept, Experiment: "e", Step: step, Data: data})
		}
		v := decide(t, events)
		if told := slices.ContainsFunc(v.Reasons, func(r Reason) bool { return r.Rule == RuleCoverage && strings.Contains(r.Text, says) }); told != required {
			t.Errorf("required: %v: gate %s, %+v", required, v.Gate, v.Reasons)
		}
	}
}
