package metrics

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

// Reset says that counters of one instance fell: its process started anew, or they are no counters. What was counted between the last scrape before and the
// fall is in no rate.
type Reset struct {
	Service  string
	Instance string
	At       time.Time // of the first scrape that saw it; zero if the source does not know
	Series   int       // how many counters fell
	Falls    int       // how often one of them fell in the whole stretch, at most
	Example  string    // one of them, "" if the source does not know
}

// Resets lists the counters of some services that fell in a stretch of time, grouped by instance and scrape, in the order of time.
func (e *Embedded) Resets(_ context.Context, services []string, from, to time.Time) ([]Reset, error) {
	m := e.storage
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []Reset
	for _, same := range m.series {
		for _, s := range same {
			if service := s.labels.Get("service"); s.counter && slices.Contains(services, service) {
				times := falls(between(s.samples, from.UnixMilli(), to.UnixMilli()))
				for _, at := range times {
					found = append(found, Reset{
						Service: service, Instance: s.labels.Get("instance"), At: time.UnixMilli(at), Series: 1, Falls: len(times), Example: spelled(s.labels),
					})
				}
			}
		}
	}
	return group(found), nil
}

// spelled writes a series as people do: its name before its labels.
func spelled(l labels.Labels) string {
	name := l.Get(model.MetricNameLabel)
	return name + labels.NewBuilder(l).Del(model.MetricNameLabel).Labels().String()
}

// falls answers when a counter fell; series that were absent in between are compared all the same.
func falls(samples []sample) []int64 {
	var found []int64
	last := math.Inf(-1)
	for _, p := range samples {
		if value.IsStaleNaN(p.v) {
			continue
		}
		if p.v < last {
			found = append(found, p.t)
		}
		last = p.v
	}
	return found
}

// group puts the counters together that fell at one scrape of one instance.
func group(all []Reset) []Reset {
	slices.SortFunc(all, func(a, b Reset) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Example, b.Example))
	})
	var groups []Reset
	for _, r := range all {
		if n := len(groups); n > 0 && groups[n-1].At.Equal(r.At) && groups[n-1].Instance == r.Instance {
			groups[n-1].Series++
			groups[n-1].Falls = max(groups[n-1].Falls, r.Falls)
			continue
		}
		groups = append(groups, r)
	}
	return groups
}

// Resets implements the same over a server, which knows how many counters fell but not when. Only the services' own counters are asked for: a server may hold
// millions.
func (r *Remote) Resets(ctx context.Context, services []string, from, to time.Time) ([]Reset, error) {
	fallen := fmt.Sprintf(`resets(%s,__name__=~".+_(total|count)"}[%s]) > 0`, strings.TrimSuffix(serviceSelector(services), "}"), duration(Window(from, to)))
	counters, err := byInstance(ctx, r, "count by (service, instance) ("+fallen+")", to)
	if err != nil {
		return nil, err
	}
	most, err := byInstance(ctx, r, "max by (service, instance) ("+fallen+")", to)
	if err != nil {
		return nil, err
	}
	var found []Reset
	for key, n := range counters {
		found = append(found, Reset{Service: key[0], Instance: key[1], Series: int(n), Falls: int(most[key])})
	}
	return group(found), nil
}

// Describe says in a sentence what fell.
func (r Reset) Describe() string {
	text := fmt.Sprintf("%d counters of %s fell", r.Series, r.Instance)
	if r.Series == 1 {
		text = "a counter of " + r.Instance + " fell"
	}
	if r.Example != "" {
		text += ", for example " + r.Example
	}
	return text + ": its process started anew, and what it had counted since the scrape before is lost"
}
