package executor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/traffic"
	"chaosgate/pkg/verdict"
)

// coverageTimeout bounds what is asked about the scrapes of an experiment, and for its charts.
const coverageTimeout = 5 * time.Second

// keepEvidence records, when the work is done, what the metrics source knows beyond the looks: how faults spread, how well it has scraped, which counters
// fell, what the charts show.
func (x *experiment) keepEvidence(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	x.keepSignals(ctx)
	ctx, cancel := context.WithTimeout(ctx, coverageTimeout)
	defer cancel()
	services := x.measured()
	x.keepCoverage(ctx, withCallers(services))
	x.noteResets(ctx, services)
	x.keepCharts(ctx)
}

// withCallers adds the callers, whose view is scraped like a service, to services that are.
func withCallers(services []string) []string {
	if len(services) == 0 {
		return services
	}
	return append(slices.Clone(services), traffic.Service)
}

// measured answers the services whose metrics are read.
func (x *experiment) measured() []string {
	names := []string{}
	for _, s := range x.env.Scrapes() {
		if name := s.Labels["service"]; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// lookedOver holds the stretches that metric checks outside of active phases have looked over. It is safe for concurrent use.
type lookedOver struct {
	mu  sync.Mutex
	all map[string]journal.Stretch // by step, the last attempt's
}

func (l *lookedOver) add(step string, s journal.Stretch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]journal.Stretch{}
	}
	l.all[step] = s
}

func (l *lookedOver) of(step string) journal.Stretch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[step]
}

// keepCoverage records how well each target was scraped in the steady state, in the active phase of each fault, while checks outside of those looked, and in the recovery.
func (x *experiment) keepCoverage(ctx context.Context, services []string) {
	keep := func(phase journal.PhaseName, step string, from, to time.Time) {
		if from.IsZero() || !to.After(from) {
			return
		}
		c := journal.Coverage{Phase: phase, From: from, To: to}
		covered, err := metrics.Coverage(ctx, x.metrics, services, time.Duration(x.plan.Interval), from, to)
		if c.Targets = covered; err != nil {
			c.Error = err.Error()
		}
		x.note(journal.CoverageKept, step, 0, c)
		x.noteVanished(c)
	}
	keep(journal.Steady, "", x.steadyFrom, x.steadyTo)
	for _, s := range x.plan.Steps {
		if f := x.faults[s.ID]; f != nil {
			keep(journal.Method, s.ID, f.from, f.to)
		}
		outside := x.outside.of(s.ID)
		keep(journal.Method, s.ID, outside.From, outside.To)
	}
	if !x.recoveredAt.IsZero() {
		keep(journal.Recovery, "", x.lastFaultOver(), x.recoveredAt)
	}
}

// noteVanished makes a finding of series that were there when a phase began and not when it ended: sums and ratios over them no longer hold their part.
func (x *experiment) noteVanished(c journal.Coverage) {
	for _, t := range c.Targets {
		if t.Vanished > 0 {
			x.note(journal.FindingNoted, "", 0, journal.Finding{Kind: "series-vanished", Subject: t.Instance, At: c.To,
				Message: fmt.Sprintf("%d series of %s that were there at the beginning of the %s were gone at its end", t.Vanished, t.Instance, c.Phase)})
		}
	}
}

// noteResets makes a finding of each instance whose counters fell. Each start makes them fall once; counters that fall more often are none, and PromQL counts events
// for each fall that never were.
func (x *experiment) noteResets(ctx context.Context, services []string) {
	resets, err := x.metrics.Resets(ctx, services, x.began, time.Now())
	if err != nil {
		x.note(journal.FindingNoted, "", 0, journal.Finding{Kind: "resets-unknown", Subject: "metrics", Closes: verdict.Inconclusive.String(), Message: "whether counters fell could not be asked: " + err.Error()})
	}
	most := map[string]metrics.Reset{}
	for _, r := range resets {
		x.note(journal.FindingNoted, "", 0, journal.Finding{Kind: journal.CounterReset, Subject: r.Instance, Message: r.Describe(), At: r.At})
		if r.Falls > most[r.Instance].Falls {
			most[r.Instance] = r
		}
	}
	for instance, r := range most {
		if again := x.startsOf(instance) - 1; r.Falls > max(0, again) {
			x.note(journal.FindingNoted, "", 0, journal.Finding{Kind: "falling-counter", Subject: instance, At: r.At, Closes: verdict.Inconclusive.String(),
				Message: fmt.Sprintf("a counter of %s fell %d times, and its process was started again %d times: what it counts is not known", instance, r.Falls, max(0, again))})
		}
	}
}

// chartPoints is how many points a chart has at most.
const chartPoints = 240

// keepCharts records what the charts show: each metric check over the whole experiment.
func (x *experiment) keepCharts(ctx context.Context) {
	now := time.Now()
	step := max(time.Duration(x.plan.Interval), (now.Sub(x.began) / chartPoints).Round(time.Millisecond))
	known := map[string][]metrics.Series{}
	for _, c := range x.metricChecks() {
		series, ok := known[c.Chart.Query]
		if !ok {
			result, err := x.metrics.QueryRange(ctx, c.Chart.Query, x.began, now, step)
			if err != nil {
				x.note(journal.FindingNoted, "", 0, journal.Finding{Kind: "chart", Subject: c.ID, Message: "no chart: " + err.Error()})
				continue
			}
			series = result.Series
			known[c.Chart.Query] = series
		}
		x.note(journal.SeriesKept, c.ID, 0, journal.SeriesData{Check: c.ID, Title: c.ID, Unit: c.Chart.Unit, Query: c.Chart.Query, Series: series})
	}
}

func (x *experiment) metricChecks() []plan.Check {
	var checks []plan.Check
	add := func(c plan.Check) {
		if c.Chart.Query != "" {
			checks = append(checks, c)
		}
	}
	for _, c := range x.plan.Steady {
		add(c)
	}
	for _, s := range x.plan.Steps {
		if s.Check != nil {
			add(*s.Check)
		}
	}
	for _, c := range x.plan.Abort {
		add(c)
	}
	return checks
}
