package executor

import (
	"testing"
	"time"

	"chaosgate/pkg/journal"
)

// What a slow service needs to become ready is there for whoever has to wait for it, in the run and in an undo of it; what waits for none is given up as soon as ever.
func TestWhoWaitsForSlowServicesHasTheTime(t *testing.T) {
	const slow = 2 * time.Minute
	l := newLab(t)
	starts := faultStep("stops", 20*ms)
	starts.Fault.Ready = 120_000 * ms
	p := labPlan(starts, faultStep("pauses", 20*ms))
	p.Ready = 180_000 * ms
	v, events := l.run(t.Context(), p, Inject)
	open(t, v)
	for what, want := range map[string]struct{ above, most time.Duration }{
		"revert stops":  {slow, slow + revertTimeout},
		"revert pauses": {0, revertTimeout},
		"down":          {3 * time.Minute, 3*time.Minute + downTimeout},
	} {
		if got := l.patience[what]; got <= want.above || got > want.most {
			t.Errorf("%s had %v, want more than %v and at most %v", what, got, want.above, want.most)
		}
	}
	for _, u := range undosOf(t, events) {
		if want := map[string]time.Duration{"stops": slow}[u.Step]; time.Duration(u.Ready) != want {
			t.Errorf("the undo %s says that what it starts may take %v, want %v", u.ID, time.Duration(u.Ready), want)
		}
	}
}

// undosOf answers all undos of a journal, as they were pending before anything was done.
func undosOf(t *testing.T, events []journal.Event) []journal.PendingUndo {
	t.Helper()
	var before []journal.Event
	for _, e := range events {
		if e.Type != journal.UndoDone {
			before = append(before, e)
		}
	}
	undos, err := journal.Pending(before)
	if err != nil || len(undos) != 3 {
		t.Fatalf("the undos are %+v, %v, want those of the environment and of two faults", undos, err)
	}
	return undos
}
