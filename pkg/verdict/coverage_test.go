package verdict

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

// noon is when the fault of a scene begins; it is reverted ten seconds later.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func after(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

// scene is a run of services a and b, in which a fault acts on instances of b.
type scene struct {
	kind  string
	hit   []string
	takes time.Duration  // of the recovery
	life  []target.Event // of the instances, after the fault
	kept  []journal.Coverage
}

// events is the journal of a run that is good but for the scrapes.
func (s scene) events(t *testing.T) []journal.Event {
	events := goodRun(t, func(e journal.Event) (journal.Event, bool) {
		switch e.Type {
		case journal.EnvironmentUp:
			e.Data, _ = json.Marshal(journal.EnvironmentInfo{Services: []string{"a", "b"}})
		case journal.Planned:
			p := samplePlan()
			p.Interval, p.Recovery.Takes = plan.Duration(250*time.Millisecond), plan.Duration(max(s.takes, 250*time.Millisecond))
			p.Recovery.For, p.Recovery.Within = p.Recovery.Takes, p.Recovery.Takes
			p.Steps[0].Fault.Kind, p.Steps[0].Fault.Selection = s.kind, target.Selection{Services: []string{"b"}, Instances: "one"}
			e.Data, _ = json.Marshal(p)
		case journal.FaultArmed:
			info := journal.FaultInfo{Undos: []string{"u"}}
			for _, i := range s.hit {
				info.Targets = append(info.Targets, target.Target{Ref: target.Ref{Service: "b", Instance: i}})
			}
			e.Data, _ = json.Marshal(info)
		case journal.StepStarted, journal.FaultActive:
			e.Time = noon
		case journal.FaultReverted:
			e.Time = after(10)
		case journal.Recovered:
			e.Time = after(20)
		case journal.Looked:
			if e.Step == "calm" {
				o, _ := journal.Decode[journal.Observation](e)
				o.Offset *= plan.Duration(max(1, s.takes/(250*time.Millisecond)))
				e.Data, _ = json.Marshal(o)
			}
		}
		return e, e.Type != journal.CoverageKept
	})
	at := slices.IndexFunc(events, func(e journal.Event) bool { return e.Type == journal.EnvironmentDown })
	put := func(typ journal.Type, of any) {
		data, _ := json.Marshal(of)
		events = slices.Insert(events, at, journal.Event{Type: typ, Experiment: "e", Data: data})
	}
	for _, kept := range s.kept {
		put(journal.CoverageKept, kept)
	}
	for _, e := range s.life {
		put(journal.InstanceEvent, e)
	}
	return events
}

// kept is how often each of some instances, "b-1", was scraped of 40 times in the ten seconds from a second on.
func kept(name journal.PhaseName, from int, got map[string]float64) journal.Coverage {
	c := journal.Coverage{Phase: name, From: after(from), To: after(from + 10)}
	for _, instance := range slices.Sorted(maps.Keys(got)) {
		c.Targets = append(c.Targets, metrics.Covered{Service: instance[:1], Instance: instance, Expected: 40, Got: got[instance]})
	}
	return c
}

// wantGate judges the scene: "" is an open gate, anything else what the rule says that closes it.
func (s scene) wantGate(t *testing.T, says string) {
	t.Helper()
	v := decide(t, s.events(t))
	told := slices.ContainsFunc(v.Reasons, func(r Reason) bool { return r.Rule == RuleCoverage && strings.Contains(r.Text, says) })
	switch {
	case says == "" && v.Gate != Open:
		t.Errorf("the gate is closed: %+v", v.Reasons)
	case says != "" && (v.Gate != Closed || v.State != Inconclusive || !told):
		t.Errorf("gate %s, %+v; want it closed saying %q", v.Gate, v.Reasons, says)
	}
}

type got = map[string]float64

// Rule 5: a target that no fault has hit must have been scraped, or what it did is not known.
func TestThinScrapesCloseTheGate(t *testing.T) {
	steady := kept(journal.Steady, -10, got{"a-1": 40, "b-1": 40})
	short := kept(journal.Method, 0, got{"a-1": 1, "b-1": 1})
	short.To = after(0).Add(750 * time.Millisecond)
	for i := range short.Targets {
		short.Targets[i].Expected = 3
	}
	broken := kept(journal.Method, 0, nil)
	broken.Error = "503"
	for name, c := range map[string]struct {
		kind string
		kept []journal.Coverage
		says string
	}{
		"all were scraped":            {"service.pause", []journal.Coverage{steady, kept(journal.Method, 0, got{"a-1": 38, "b-1": 40})}, ""},
		"the one that was hit is not": {"service.pause", []journal.Coverage{steady, kept(journal.Method, 0, got{"a-1": 40, "b-1": 1}), kept(journal.Recovery, 10, got{"a-1": 40, "b-1": 20})}, ""},
		"another one is not":          {"service.pause", []journal.Coverage{steady, kept(journal.Method, 0, got{"a-1": 35, "b-1": 40})}, "a-1 was scraped 35 of 40 times"},
		"not even before":             {"service.pause", []journal.Coverage{kept(journal.Steady, -10, got{"a-1": 40, "b-1": 30})}, "b-1 was scraped 30 of 40 times in the steady-state"},
		"one vanished":                {"service.pause", []journal.Coverage{steady, kept(journal.Method, 0, got{"b-1": 40})}, "a-1 was scraped 0 of 40 times in the steps"},
		"one was never there":         {"service.pause", []journal.Coverage{kept(journal.Steady, -10, got{"b-1": 40})}, "a was never scraped in the steady-state"},
		"a fault on the link":         {"network.latency", []journal.Coverage{steady, kept(journal.Method, 0, got{"a-1": 40, "b-1": 20})}, "b-1 was scraped 20 of 40 times"},
		"a fault that nobody knows":   {"service.vanish", []journal.Coverage{steady, kept(journal.Method, 0, got{"a-1": 40, "b-1": 20})}, "b-1 was scraped 20 of 40 times"},
		"too short to tell":           {"service.pause", []journal.Coverage{steady, short}, ""},
		"nobody can tell":             {"service.pause", []journal.Coverage{steady, broken}, "could not be asked: 503"},
		"nobody has told":             {"service.pause", nil, "was not recorded"},
	} {
		t.Run(name, func(t *testing.T) { scene{kind: c.kind, hit: []string{"b-1"}, kept: c.kept}.wantGate(t, c.says) })
	}
}

// Beside an instance that was hit the others of its service must have been scraped: one that fails and is silent leaves what the healthy one counts.
func TestOnlyWhoWasHitMayBeSilent(t *testing.T) {
	steady := kept(journal.Steady, -10, got{"a-1": 40, "b-1": 40, "b-2": 40, "b-3": 40})
	for name, c := range map[string]struct {
		hit  []string
		kept journal.Coverage
		says string
	}{
		"only the one that was hit":           {[]string{"b-1"}, kept(journal.Method, 0, got{"a-1": 40, "b-1": 0, "b-2": 40, "b-3": 40}), ""},
		"another one as well":                 {[]string{"b-1"}, kept(journal.Method, 0, got{"a-1": 40, "b-1": 0, "b-2": 1, "b-3": 40}), "b-2 was scraped 1 of 40 times in the steps"},
		"another one, in the recovery":        {[]string{"b-1"}, kept(journal.Recovery, 10, got{"a-1": 40, "b-1": 40, "b-2": 20, "b-3": 40}), "b-2 was scraped 20 of 40 times in the recovery"},
		"another one, of which there is none": {[]string{"b-1"}, kept(journal.Method, 0, got{"a-1": 40, "b-1": 0, "b-3": 40}), "b-2 was scraped 0 of 40 times"},
		"two that were hit":                   {[]string{"b-1", "b-2"}, kept(journal.Method, 0, got{"a-1": 40, "b-3": 40}), ""},
		"nobody is known to be hit":           {nil, kept(journal.Method, 0, got{"a-1": 40, "b-1": 0, "b-2": 40, "b-3": 40}), "b-1 was scraped 0 of 40 times"},
	} {
		t.Run(name, func(t *testing.T) {
			scene{kind: "service.pause", hit: c.hit, kept: []journal.Coverage{steady, c.kept}}.wantGate(t, c.says)
		})
	}
}

// Who was hit may be silent while the fault keeps it so, and while it is down: not when it hangs under another fault, and not when it has come back.
func TestWhoWasHitMayBeSilentForAsLongAsTheFaultKeepsItSo(t *testing.T) {
	steady := kept(journal.Steady, -10, got{"a-1": 40, "b-1": 40})
	at := func(typ target.EventType, second int) target.Event {
		return target.Event{Time: after(second), Type: typ, Service: "b", Instance: "b-1"}
	}
	ends, ready := at(target.Exited, 1), at(target.Ready, 14)
	silent := got{"a-1": 40, "b-1": 0}
	for name, c := range map[string]struct {
		kind  string
		takes time.Duration
		life  []target.Event
		kept  journal.Coverage
		says  string
	}{
		"it was paused, long ago":          {"service.pause", 0, nil, kept(journal.Method, 30, silent), "b-1 was scraped 0 of 40 times in the steps,"},
		"it was paused, a moment ago":      {"service.pause", 0, nil, kept(journal.Method, 10, got{"a-1": 40, "b-1": 30}), ""},
		"it was paused and is not back":    {"service.pause", 0, nil, kept(journal.Method, 10, got{"a-1": 40, "b-1": 20}), "b-1 was scraped 20 of 32 times in the steps, without the time in which a fault"},
		"it is back for the steady state":  {"service.pause", 5 * time.Second, nil, kept(journal.Recovery, 10, got{"a-1": 40, "b-1": 20}), ""},
		"not even for the steady state":    {"service.pause", 5 * time.Second, nil, kept(journal.Recovery, 10, got{"a-1": 40, "b-1": 10}), "b-1 was scraped 10 of 20 times in the recovery"},
		"it was killed and is down":        {"service.kill", 0, []target.Event{ends}, kept(journal.Method, 30, silent), ""},
		"it was killed and runs again":     {"service.kill", 0, []target.Event{ends, ready}, kept(journal.Method, 30, silent), "b-1 was scraped 0 of 40 times"},
		"it was killed and is ready since": {"service.kill", 0, []target.Event{ready, ends}, kept(journal.Method, 10, got{"a-1": 40, "b-1": 15}), ""},
		"it hangs on its database":         {"db.lock", 0, nil, kept(journal.Method, 0, silent), "b-1 was scraped 0 of 40 times"},
		"it ends without its database":     {"db.lock", 0, []target.Event{ends}, kept(journal.Method, 2, silent), ""},
		"it hangs on its disk":             {"disk.fill", 0, nil, kept(journal.Method, 0, silent), "b-1 was scraped 0 of 40 times"},
		"it has no processor":              {"cpu.limit", 0, nil, kept(journal.Method, 0, silent), ""},
		"it had ended before it was hit":   {"db.lock", 0, []target.Event{at(target.Exited, -1)}, kept(journal.Method, 0, silent), "b-1 was scraped 0 of 40 times"},
	} {
		t.Run(name, func(t *testing.T) {
			scene{kind: c.kind, hit: []string{"b-1"}, takes: c.takes, life: c.life, kept: []journal.Coverage{steady, c.kept}}.wantGate(t, c.says)
		})
	}
}

// A server may know instances by names of its own: then it counts how many were scraped.
func TestInstancesByOtherNames(t *testing.T) {
	steady := kept(journal.Steady, -10, got{"a-1": 40, "b:1": 40, "b:2": 40, "b:3": 40})
	for name, c := range map[string]struct {
		hit  []string
		kept got
		says string
	}{
		"as many as were hit are silent": {[]string{"b-1"}, got{"a-1": 40, "b:1": 0, "b:2": 40, "b:3": 40}, ""},
		"one has another address since":  {[]string{"b-1"}, got{"a-1": 40, "b:1": 9, "b:4": 20, "b:2": 40, "b:3": 40}, ""},
		"more are silent":                {[]string{"b-1"}, got{"a-1": 40, "b:1": 0, "b:2": 1, "b:3": 40}, "1 of 3 targets of b were scraped at least 90% of the times in the steps, expected 2"},
		"all were hit":                   {[]string{"b-1", "b-2", "b-3"}, got{"a-1": 40}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			moment := journal.Coverage{Phase: journal.Method, From: noon, To: noon.Add(time.Millisecond)} // in which nobody is scraped
			scene{kind: "service.kill", hit: c.hit, kept: []journal.Coverage{steady, moment, kept(journal.Method, 0, c.kept)}}.wantGate(t, c.says)
		})
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
