package progress

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

// follow is a progress with a clock that the test sets.
type follow struct {
	*Progress
	t   *testing.T
	now time.Time
}

func newFollow(t *testing.T) *follow {
	f := &follow{Progress: New(), t: t, now: time.Unix(1000, 0)}
	f.Progress.now = func() time.Time { return f.now }
	return f
}

func (f *follow) see(typ journal.Type, step string, data any) {
	f.t.Helper()
	text, err := json.Marshal(data)
	if err != nil {
		f.t.Fatal(err)
	}
	f.Observe(journal.Event{Type: typ, Experiment: "e", Step: step, Data: text})
}

// says answers the series of an experiment that are not 0, without its name.
func (f *follow) says(name string) []string {
	var all []string
	for _, s := range f.Collector(name).Collect() {
		if s.Labels["experiment"] != name {
			f.t.Errorf("%+v is not of %s", s, name)
		}
		if s.Value == 0 && s.Name != RecoverySeconds {
			continue
		}
		all = append(all, fmt.Sprint(strings.TrimPrefix(s.Name, "chaos_"), " ", s.Labels["phase"], s.Labels["step"], " ", s.Value))
	}
	return all
}

func (f *follow) want(says ...string) {
	f.t.Helper()
	if got := f.says("e"); !slices.Equal(got, says) {
		f.t.Errorf("got %q, want %q", got, says)
	}
}

func TestTheWayOfAnExperiment(t *testing.T) {
	f := newFollow(t)
	f.want()
	f.see(journal.Planned, "", plan.Plan{Steps: []plan.Step{{ID: "hit", Fault: &plan.Fault{Kind: "service.pause"}}, {ID: "look"}}})
	f.want()
	if all := f.Collector("e").Collect(); len(all) != 4 || all[3].Name != FaultActive || all[3].Labels["fault"] != "service.pause" {
		t.Errorf("before anything: %+v", all)
	}
	f.see(journal.PhaseStarted, "", journal.Phase{Name: journal.Steady})
	f.want("phase steady-state 1")
	f.see(journal.PhaseEnded, "", journal.Phase{Name: journal.Steady})
	f.see(journal.PhaseStarted, "", journal.Phase{Name: journal.Method})
	f.see(journal.FaultActive, "hit", fault.Effect{Proven: true})
	f.want("phase steps 1", "fault_active hit 1")
	f.see(journal.FaultReverted, "hit", fault.Effect{Proven: true})
	f.now = f.now.Add(3 * time.Second)
	f.see(journal.PhaseStarted, "", journal.Phase{Name: journal.Recovery})
	f.see(journal.PhaseEnded, "", journal.Phase{Name: journal.Method}) // a step went on meanwhile
	f.want("phase recovery 1", "recovery_seconds  3")
	f.see(journal.Recovered, "", journal.RecoveryResult{Held: true, Took: target.Duration(1500 * time.Millisecond)})
	f.see(journal.PhaseEnded, "", journal.Phase{Name: journal.Recovery})
	f.now = f.now.Add(time.Hour)
	f.see(journal.ExperimentEnded, "", nil)
	f.want("recovery_seconds  1.5")
	if other := f.says("other"); other != nil {
		t.Errorf("another experiment says %q", other)
	}
}

// A fault whose effect was not proven was never active, and while another one is nothing recovers.
func TestFaultsThatAreAndAreNotActive(t *testing.T) {
	f := newFollow(t)
	f.see(journal.FaultActive, "vain", fault.Effect{})
	f.want()
	f.see(journal.FaultReverted, "vain", fault.Effect{Proven: true})
	f.want()
	for _, step := range []string{"first", "second"} {
		f.see(journal.FaultActive, step, fault.Effect{Proven: true})
	}
	f.see(journal.FaultReverted, "first", fault.Effect{Proven: true})
	f.want("fault_active second 1")
	f.see(journal.FaultReverted, "second", fault.Effect{Proven: true})
	f.now = f.now.Add(time.Second)
	f.want("recovery_seconds  1")
}

// A recovery that never came counts until the experiment is given up, and not on for ever.
func TestARecoveryThatNeverCame(t *testing.T) {
	f := newFollow(t)
	f.see(journal.FaultActive, "hit", fault.Effect{Proven: true})
	f.see(journal.FaultReverted, "hit", fault.Effect{Proven: true})
	f.now = f.now.Add(15 * time.Second)
	f.see(journal.Recovered, "", journal.RecoveryResult{Held: false, Took: target.Duration(time.Second)})
	f.want("recovery_seconds  15")
	f.see(journal.ExperimentEnded, "", nil)
	f.now = f.now.Add(time.Hour)
	f.want("recovery_seconds  15")
}

// What cannot be read is as if it were not there: the graphs are no evidence.
func TestSpoiltEvents(t *testing.T) {
	f := newFollow(t)
	for _, typ := range []journal.Type{journal.Planned, journal.PhaseStarted, journal.Recovered} {
		f.Observe(journal.Event{Type: typ, Experiment: "e", Data: json.RawMessage(`{`)})
	}
	f.Observe(journal.Event{Type: journal.RunStarted})
	f.want()
}

var _ journal.Observer = New().Observe
