package verdict

import (
	"slices"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/target"
)

// disturbance is something inside a window that its numbers have to be read with: an instance that ended or was started again, counters that fell.
type disturbance struct {
	at   time.Time
	text string
}

func (r *record) addInstance(e journal.Event) error {
	i, err := journal.Decode[target.Event](e)
	r.life = append(r.life, i)
	switch {
	case err != nil:
		return err
	case i.Type == target.Exited:
		r.disturbances = append(r.disturbances, disturbance{i.Time, i.Instance + " ended inside the window: " + i.Detail})
	case i.Type == target.Started && i.Time.After(r.upAt):
		r.disturbances = append(r.disturbances, disturbance{i.Time, i.Instance + " was started again inside the window"})
	}
	return nil
}

func (r *record) addFinding(e journal.Event) error {
	f, err := journal.Decode[journal.Finding](e)
	if err != nil {
		return err
	}
	r.findings = append(r.findings, f)
	if f.Kind == journal.CounterReset && !f.At.IsZero() {
		r.disturbances = append(r.disturbances, disturbance{f.At, f.Message})
	}
	return nil
}

// notes answers what happened inside the windows of looks, each once, in the order of time.
func (r *record) notes(looks []journal.Observation) []string {
	notes := []string{}
	for _, d := range slices.SortedStableFunc(slices.Values(r.disturbances), func(a, b disturbance) int { return a.at.Compare(b.at) }) {
		inside := slices.ContainsFunc(looks, func(o journal.Observation) bool {
			return !o.From.IsZero() && !d.at.Before(o.From) && !d.at.After(o.At)
		})
		if inside && !slices.Contains(notes, d.text) {
			notes = append(notes, d.text)
		}
	}
	return notes
}
