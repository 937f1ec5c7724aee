package verdict

import (
	"slices"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/target"
)

// span is a stretch of time; without an end it goes on.
type span struct{ from, to time.Time }

// within is the part of the span in another.
func (s span) within(o span) span {
	if s.from.Before(o.from) {
		s.from = o.from
	}
	if s.to.IsZero() || s.to.After(o.to) {
		s.to = o.to
	}
	return s
}

// back is how long scrapes may take to succeed again when a target may answer: one that hung is given up first, and a service that was held up has a backlog.
func (r *record) back() time.Duration {
	return max(2*time.Second, leastScrapes*time.Duration(r.plan.Interval))
}

// hit are the instances of a service that the faults of the experiment have acted on, as the journal names them. Faults on links keep nobody from being scraped.
func (r *record) hit(service string) []string {
	var hit []string
	r.eachHit(func(_ fault.Kind, s *stepRecord) {
		for _, t := range s.info.Targets {
			if t.Service == service && !slices.Contains(hit, t.Instance) {
				hit = append(hit, t.Instance)
			}
		}
	})
	return hit
}

// eachHit calls for each fault that was begun on instances. Of a kind that is not known nobody can say what it does.
func (r *record) eachHit(do func(fault.Kind, *stepRecord)) {
	for _, s := range r.plan.Steps {
		rec := r.steps[s.ID]
		if s.Fault == nil || rec == nil || rec.info == nil || rec.struck.IsZero() {
			continue
		}
		if kind, known := fault.Find(s.Fault.Kind); known && !kind.Link {
			do(kind, rec)
		}
	}
}

// silent are the spans in which an instance may have been silent because of a fault on it: while one acts that keeps it from answering, and while it is down, whatever
// the fault. That it hangs under another fault is nothing of which it is known what it did.
func (r *record) silent(instance string) (spans []span, hit bool) {
	var first time.Time
	r.eachHit(func(kind fault.Kind, s *stepRecord) {
		if !slices.ContainsFunc(s.info.Targets, func(t target.Target) bool { return t.Instance == instance }) {
			return
		}
		if first.IsZero() || s.struck.Before(first) {
			first = s.struck
		}
		if kind.Silences {
			spans = append(spans, span{s.struck, s.over})
		}
	})
	if first.IsZero() {
		return nil, false
	}
	spans = append(spans, r.downtimes(instance, first)...)
	for i, s := range spans {
		spans[i].from = s.from.Add(-time.Duration(r.plan.Interval)) // a scrape that was under way
		if !s.to.IsZero() {
			spans[i].to = s.to.Add(r.back())
		}
	}
	return spans, true
}

// downtimes are the spans from an end of an instance after a time until it was ready again.
func (r *record) downtimes(instance string, after time.Time) []span {
	var spans []span
	for _, e := range slices.SortedStableFunc(slices.Values(r.life), func(a, b target.Event) int { return a.Time.Compare(b.Time) }) {
		open := len(spans) > 0 && spans[len(spans)-1].to.IsZero()
		switch {
		case e.Instance != instance:
		case e.Type == target.Exited && !open && !e.Time.Before(after):
			spans = append(spans, span{from: e.Time})
		case e.Type == target.Ready && open:
			spans[len(spans)-1].to = e.Time
		}
	}
	return spans
}

// answering is the part of a stretch, from 0 to 1, in which an instance had to answer scrapes. In the recovery one that was hit has as long to come back as the system has: what
// counts is the time for which the steady state must hold.
func (r *record) answering(instance string, c journal.Coverage) float64 {
	spans, hit := r.silent(instance)
	whole := c.To.Sub(c.From)
	if !hit || whole <= 0 {
		return 1
	}
	left := whole - covered(spans, span{c.From, c.To})
	if c.Phase == journal.Recovery {
		left = min(left, time.Duration(r.plan.Recovery.Takes))
	}
	return float64(left) / float64(whole)
}

// covered is how much of a stretch lies in any of the spans.
func covered(spans []span, stretch span) (sum time.Duration) {
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	for _, s := range spans {
		if s = s.within(stretch); s.to.After(s.from) {
			sum, stretch.from = sum+s.to.Sub(s.from), s.to
		}
	}
	return sum
}
