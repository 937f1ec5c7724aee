package traffic

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
)

// The metrics. Durations are from sending a request until its answer has been read or given up; failed requests count as well, since their callers
// waited too.
const (
	requestsTotal   = plan.CallersRequests
	requestDuration = plan.CallersLatency
	requestsWaiting = plan.CallersWaiting
)

// Service is what the callers are called among the services.
const Service = "traffic"

// noAnswer is the status of a request that was refused, reset, cut off or timed out.
const noAnswer = "error"

// bounds are the upper bounds of the histogram's buckets in seconds. They are dense where limits usually lie.
var bounds = []float64{.001, .002, .003, .005, .0075, .01, .015, .02, .03, .05, .075, .1, .15, .2, .25, .3, .4, .5, .75, 1, 1.5, 2, 3, 4, 5, 7.5, 10}

// born are the statuses whose series exist from the start: a counter that is born with a value has lost what it counted before.
var born = []string{"200", "500", "503", noAnswer}

// key tells series apart; loads that differ in other things only are counted together.
type key struct{ to, path, method string }

// counter is what was counted under one key.
type counter struct {
	statuses  map[string]uint64
	buckets   []uint64 // one a bound, and one beyond
	seconds   float64
	cancelled uint64 // given up by us, so they say nothing about the service
	underWay  underWay
}

// counts is safe for concurrent use.
type counts struct {
	mu    sync.Mutex
	byKey map[key]*counter
}

func newCounts() *counts { return &counts{byKey: map[key]*counter{}} }

func (c *counts) of(l plan.Traffic) *counter {
	path, _, _ := strings.Cut(l.Path, "?")
	k := key{to: l.Service, path: path, method: l.Method}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[k] == nil {
		n := &counter{statuses: map[string]uint64{}, buckets: make([]uint64, len(bounds)+1), underWay: underWay{sent: map[uint64]time.Time{}}}
		for _, status := range born {
			n.statuses[status] = 0
		}
		c.byKey[k] = n
	}
	return c.byKey[k]
}

// add counts an answer; code 0 is none.
func (c *counts) add(to *counter, code uint16, took time.Duration) {
	status, answer := noAnswer, time.Duration(0)
	if code != 0 {
		status, answer = strconv.Itoa(int(code)), took
	}
	seconds := took.Seconds()
	bucket, _ := slices.BinarySearch(bounds, seconds)
	c.mu.Lock()
	defer c.mu.Unlock()
	to.statuses[status]++
	to.buckets[bucket]++
	to.seconds += seconds
	to.underWay.longest = max(to.underWay.longest, answer)
}

func (c *counts) cancel(to *counter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	to.cancelled++
}

// Collector gives the callers' view to a scraper. It may be read at any time, also after Stop.
func (g *Generator) Collector() metrics.Collector {
	return metrics.Collector{Labels: map[string]string{"service": Service, "instance": Service}, Collect: g.Collect}
}

// Published gives the callers' view to somebody who is no scraper of ours. It has every status that HTTP knows from the start: to a Prometheus server, a counter that
// is born with a value has not risen.
func (g *Generator) Published() metrics.Collector {
	c := g.Collector()
	c.Collect = func() []metrics.Sample { return g.collect(httpStatuses()) }
	return c
}

func httpStatuses() []string {
	var all []string
	for code := 100; code < 600; code++ {
		if http.StatusText(code) != "" {
			all = append(all, strconv.Itoa(code))
		}
	}
	return all
}

// Collect reads all series as they are now, in a stable order. It is safe for concurrent use, also after Stop.
func (g *Generator) Collect() []metrics.Sample { return g.collect(nil) }

// collect reads all series, those of some statuses also if they were never seen.
func (g *Generator) collect(statuses []string) []metrics.Sample {
	c := g.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []metrics.Sample
	for _, k := range slices.SortedFunc(maps.Keys(c.byKey), key.compare) {
		n := c.byKey[k]
		all = append(all, k.unseen(statuses, n)...)
		for _, status := range slices.Sorted(maps.Keys(n.statuses)) {
			all = append(all, k.sample(requestsTotal, "status", status, float64(n.statuses[status])))
		}
		all = append(append(all, n.histogram(k)...), n.waiting(k))
	}
	return all
}

// unseen are the series of the statuses that were not counted under a key.
func (k key) unseen(statuses []string, n *counter) []metrics.Sample {
	var all []metrics.Sample
	for _, status := range statuses {
		if _, seen := n.statuses[status]; !seen {
			all = append(all, k.sample(requestsTotal, "status", status, 0))
		}
	}
	return all
}

func (n *counter) histogram(k key) []metrics.Sample {
	var all []metrics.Sample
	below := uint64(0)
	for i, count := range n.buckets {
		le := "+Inf"
		if i < len(bounds) {
			le = strconv.FormatFloat(bounds[i], 'g', -1, 64)
		}
		below += count
		all = append(all, k.sample(requestDuration+"_bucket", "le", le, float64(below)))
	}
	return append(all,
		k.sample(requestDuration+"_sum", "", "", n.seconds),
		k.sample(requestDuration+"_count", "", "", float64(below)))
}

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.to, o.to), cmp.Compare(k.path, o.path), cmp.Compare(k.method, o.method))
}

// sample is one series' value now; label is one more label, "" is none.
func (k key) sample(name, label, v string, value float64) metrics.Sample {
	labels := map[string]string{"to": k.to, "path": k.path, "method": k.method}
	if label != "" {
		labels[label] = v
	}
	return metrics.Sample{Name: name, Labels: labels, Value: value, Counter: true}
}
