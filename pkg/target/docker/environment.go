package docker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/docker/docker/client"

	"chaosgate/pkg/target"
)

// Environment is a Compose project that runs already, or one that is started for an experiment alone. It is safe for concurrent use once Up has returned; Up is called once.
type Environment struct {
	opts   Options
	id     string // run id/experiment: the label of what is ours
	events *target.EventQueue

	engine    *client.Client
	cpus      int           // of the engine's machine
	volumes   string        // where the engine keeps them there
	instances []*instance   // sorted by service and number
	since     time.Time     // when Up began, by the engine's clock
	heard     time.Time     // by that clock, what happened before this is no news
	wasUp     bool          // all instances ran and were ready
	unwatch   func()        // ends the watching of events and waits for it
	hosts     *hosts        // once the engine is met
	unsettled time.Duration // how long parts of the experiment's own project may still come to be, because its start was cut short
	loss      sync.Once

	mu    sync.Mutex
	armed map[string]*helper // by instance and signal

	links *links
}

var (
	_ target.Environment = (*Environment)(nil)
	_ target.Inspector   = (*Environment)(nil)
	_ target.Killer      = (*Environment)(nil)
	_ target.Armer       = (*Environment)(nil)
	_ target.Starter     = (*Environment)(nil)
	_ target.Pauser      = (*Environment)(nil)
	_ target.ByHand      = (*Environment)(nil)
	_ target.Hoster      = (*Environment)(nil)
	_ target.OOMScorer   = (*Environment)(nil)
	_ target.Databaser   = (*Environment)(nil)
	_ target.Protector   = (*Environment)(nil)
	_ target.Linker      = (*Environment)(nil)
	_ target.Limiter     = (*Environment)(nil)
	_ target.DiskOwner   = (*Environment)(nil)
	_ target.Mounter     = (*Environment)(nil)

	_ target.ServerFinder = (*Environment)(nil)
)

// New makes an environment; nothing is dialled yet.
func New(opts Options) *Environment {
	return &Environment{
		opts: opts, id: opts.RunID + "/" + opts.Experiment, events: target.NewEventQueue(), unwatch: func() {},
		armed: map[string]*helper{}, links: newLinks(),
	}
}

// Name implements target.Runtime.
func (e *Environment) Name() string { return RuntimeName }

// Events implements target.Environment.
func (e *Environment) Events() <-chan target.Event { return e.events.Out() }

// Close implements target.Runtime.
func (e *Environment) Close() error {
	if e.engine == nil {
		return nil
	}
	return e.engine.Close()
}

// ready waits until all instances are, and tells of each that it runs.
func (e *Environment) ready(ctx context.Context) error {
	errs := make([]error, len(e.instances))
	var all sync.WaitGroup
	for n, i := range e.instances {
		all.Go(func() { errs[n] = e.readyOne(ctx, i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (e *Environment) readyOne(ctx context.Context, i *instance) error {
	info, err := i.inspect(ctx)
	if err != nil {
		return err
	}
	switch {
	case info.State.Paused:
		return fmt.Errorf("%s is paused: `docker unpause %.12s` lets it go on", i.name, i.id)
	case !info.State.Running:
		return fmt.Errorf("%s does not run, it is %s: `docker start %.12s` starts it", i.name, info.State.Status, i.id)
	}
	i.baseline, i.lastCount, i.running = info.RestartCount, info.RestartCount, true
	i.startAt = engineTime(info.State.StartedAt)
	i.latest = i.startAt
	if info.State.OOMKilled {
		i.oomBefore = i.startAt
	}
	if err := i.place(info); err != nil {
		return err
	}
	if err := i.waitReady(ctx); err != nil {
		return err
	}
	now := time.Now()
	e.events.Add(target.Event{Time: now, Type: target.Started, Service: i.service, Instance: i.name, PID: info.State.Pid})
	e.events.Add(target.Event{Time: now, Type: target.Ready, Service: i.service, Instance: i.name, PID: info.State.Pid})
	return nil
}

// URL implements target.Environment. Of a service with several instances it is the first one's.
func (e *Environment) URL(service string) (string, error) {
	for _, i := range e.of(service) {
		if at := i.address(); at != "" {
			return "http://" + at, nil
		}
	}
	return "", fmt.Errorf("service %q cannot be reached from outside: it needs a port named http", service)
}

// Scrapes implements target.Environment.
func (e *Environment) Scrapes() []target.Scrape {
	scrapes := []target.Scrape{}
	for _, i := range e.instances {
		if at := i.measured(); at != "" && i.spec.Metrics != "" {
			scrapes = append(scrapes, target.Scrape{URL: "http://" + at + i.spec.Metrics, Labels: map[string]string{"service": i.service, "instance": i.name}})
		}
	}
	return scrapes
}

// downTimeout bounds ending what a failed Up has begun.
const downTimeout = time.Minute

// restore starts and resumes what ran at Up and does not now: a kill of what has no restart policy is not undone by anybody else. All of it is started at once, as one may need
// another to become ready, and all have the time of the slowest. What has ended again by then is started once more: it may have needed another that was not ready yet.
func (e *Environment) restore(ctx context.Context) error {
	failed := make([]error, len(e.instances))
	_ = together(len(failed), func(n int) error { // the second time says what it came to
		failed[n] = e.instances[n].restore(ctx)
		return nil
	})
	return together(len(failed), func(n int) error {
		if i := e.instances[n]; failed[n] != nil && !i.isUp(ctx) {
			return i.restore(ctx)
		}
		return failed[n]
	})
}

func (i *instance) isUp(ctx context.Context) bool {
	info, err := i.inspect(ctx)
	return err == nil && runs(info) == nil
}

func (i *instance) restore(ctx context.Context) error {
	started, err := runAgain(ctx, i.engine, i.id)
	switch {
	case errors.Is(err, target.ErrGone):
		err = i.gone()
	case err == nil && started:
		err = i.comeUp(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s ran before: %w", i.name, err)
	}
	return nil
}

// Down implements target.Environment: it ends everything that this run has added, lets run again what ran before, and verifies that.
func (e *Environment) Down(ctx context.Context) error {
	e.unwatch()
	var errs []error
	if e.engine != nil {
		errs = append(errs, e.hosts.end(ctx))
		if e.wasUp && e.opts.Copy == nil {
			errs = append(errs, e.restore(ctx))
		}
		e.keepLogs(ctx)
		if e.opts.Copy != nil {
			errs = append(errs, endCopy(ctx, e.engine, e.id, e.opts.Project, e.unsettled))
		}
	}
	for _, i := range e.instances {
		errs = append(errs, i.close()) // by which it was seen whether they are ready
	}
	e.events.Close()
	return errors.Join(errs...)
}
