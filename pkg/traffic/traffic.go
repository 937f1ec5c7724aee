// Package traffic sends a constant open-model load to services and keeps the callers' own view of them as metrics.
//
// Open model means that requests are sent by the clock, whether or not the ones before them have been answered: a slow service does not slow its
// callers down, and so cannot hide. The callers' view is needed because a dead service exports nothing: its own metrics show no errors, its callers' do.
//
// Connections are kept alive and used again, as real callers do; a connection that dies with a request on it is an error, as it is for them. (Like any Go
// client, this one sends a request without a body again by itself if an idle connection turns out to be closed before anything was answered.) Redirects are
// answers and are not followed, proxies of the machine are not used, and a request goes to the environment's own URL or nowhere.
package traffic

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

// Generator is running traffic.
type Generator struct {
	began     time.Time
	wanted    float64 // requests per second, all loads
	pacers    []*pacer
	counts    *counts
	transport *transport
	endSend   context.CancelFunc
	giveUp    context.CancelFunc // what is in flight
	readers   sync.WaitGroup     // one a load, done when its last answer is counted
	stopped   sync.Once
	summary   Summary
}

// Start begins to send. urlOf answers the URL of a service, as target.Environment.URL; it is asked once a load. If ctx ends, nothing more is sent and what is
// in flight is given up; Stop must be called all the same. An error means that nothing was sent.
func Start(ctx context.Context, loads []plan.Traffic, urlOf func(service string) (string, error)) (*Generator, error) {
	targets := make([]vegeta.Target, len(loads))
	for i, l := range loads {
		t, err := newTarget(l, urlOf)
		if err != nil {
			return nil, fmt.Errorf("traffic to %s: %w", l.Service, err)
		}
		targets[i] = t
	}
	sending, endSend := context.WithCancel(ctx)
	flying, giveUp := context.WithCancel(ctx)
	g := &Generator{began: time.Now(), counts: newCounts(), transport: newTransport(flying), endSend: endSend, giveUp: giveUp}
	for i, l := range loads {
		g.wanted += l.Rate
		g.send(sending, l, targets[i])
	}
	return g, nil
}

func newTarget(l plan.Traffic, urlOf func(string) (string, error)) (vegeta.Target, error) {
	if !(l.Rate > 0) || math.IsInf(l.Rate, 0) || l.Timeout <= 0 {
		return vegeta.Target{}, fmt.Errorf("the rate (%g requests per second) and the timeout (%v) must be above 0", l.Rate, time.Duration(l.Timeout))
	}
	base, err := urlOf(l.Service)
	if err != nil {
		return vegeta.Target{}, err
	}
	req, err := target.NewRequest(context.Background(), base, l.Method, l.Path, l.Headers, l.Body)
	if err != nil {
		return vegeta.Target{}, err
	}
	return vegeta.Target{Method: req.Method, URL: req.URL.String(), Header: req.Header, Body: []byte(l.Body)}, nil
}

// workers is how many requests of a load may be in flight: as many as there are if every one of them hangs until its timeout, within the bound.
func workers(l plan.Traffic) uint64 {
	return uint64(min(l.InFlight()+10, plan.MaxInFlight))
}

func (g *Generator) send(ctx context.Context, l plan.Traffic, t vegeta.Target) {
	counter := g.counts.of(l)
	client := &http.Client{
		Transport:     sender{g.transport, g.counts, counter},
		Timeout:       time.Duration(l.Timeout),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	attacker := vegeta.NewAttacker(vegeta.Client(client), vegeta.Workers(1), vegeta.MaxWorkers(workers(l)), vegeta.MaxBody(0))
	pace := &pacer{interval: 1 / l.Rate, stop: ctx.Done()}
	g.pacers = append(g.pacers, pace)
	results := attacker.Attack(vegeta.NewStaticTargeter(t), pace, 0, "")
	g.readers.Go(func() {
		for r := range results {
			if r.Code == 0 && g.transport.stop.Err() != nil {
				g.counts.cancel(counter)
				continue
			}
			g.counts.add(counter, r.Code, r.Latency)
		}
	})
	context.AfterFunc(ctx, func() { attacker.Stop() }) // the sender may wait for a free worker and not for the clock
}

// Stop ends the sending, waits for the answers to what is in flight (each has its timeout; if ctx ends they are given up at once), and says what was sent.
// Nothing is left behind. Called again, it answers the same.
func (g *Generator) Stop(ctx context.Context) Summary {
	g.stopped.Do(func() {
		sent := time.Since(g.began)
		g.endSend()
		stopWatching := context.AfterFunc(ctx, g.giveUp)
		g.readers.Wait()
		stopWatching()
		g.giveUp()
		g.transport.inner.CloseIdleConnections()
		g.summary = g.summarize(sent)
	})
	return g.summary
}
