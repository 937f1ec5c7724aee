package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/target"
)

// Environment is a Compose project that runs already, or one that is started for an experiment alone. It is safe for concurrent use once Up has returned; Up is called once.
type Environment struct {
	opts   Options
	id     string // run id/experiment: the label of what is ours
	events *target.EventQueue

	engine    *client.Client
	engineID  string
	cpus      int // of the engine's machine
	lock      *os.File
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

// UndoKind is the kind of the undo that Up records; RevertEnvironment carries it out.
const UndoKind = "docker.environment"

// leftover is what ends what a run has added to an engine, from a fresh process.
type leftover struct {
	Endpoint Endpoint `json:"endpoint"`
	ID       string   `json:"id"`
	Ran      []string `json:"ran"`               // the containers that ran before: they are to run again
	Project  string   `json:"project,omitempty"` // the experiment's own, which is to be removed; empty: it was there before
}

// Up implements target.Environment: it finds the project's containers, all of which must run and be ready. What it records is the undo of the helpers that faults may
// need, and of what they may leave down: the project itself was there before and is as it was afterwards. An experiment's own is started first, and its end recorded.
func (e *Environment) Up(ctx context.Context, record target.RecordUndo) error {
	err := e.up(ctx, record)
	if err == nil {
		return nil
	}
	down, cancel := context.WithTimeout(context.WithoutCancel(ctx), downTimeout)
	defer cancel()
	return errors.Join(err, e.Down(down))
}

func (e *Environment) up(ctx context.Context, record target.RecordUndo) error {
	if err := e.meet(ctx); err != nil {
		return err
	}
	obtain := e.take
	if e.opts.Copy != nil {
		obtain = e.begin
	}
	if err := obtain(ctx, record); err != nil {
		return err
	}
	if err := e.audible(ctx); err != nil {
		return err
	}
	if err := e.ready(ctx); err != nil {
		return err
	}
	e.wasUp = true
	e.unwatch = e.watch()
	return nil
}

// take finds the project that is there, and keeps other runs away from it.
func (e *Environment) take(ctx context.Context, record target.RecordUndo) (err error) {
	if e.instances, err = e.containers(ctx); err != nil {
		return err
	}
	if e.lock, err = lockProject(e.engineID, e.opts.Project); err != nil {
		return err
	}
	return e.record(record)
}

// begin starts the experiment's own project.
func (e *Environment) begin(ctx context.Context, record target.RecordUndo) (err error) {
	if err := e.record(record); err != nil {
		return err
	}
	if err := e.startCopy(ctx); err != nil {
		return err
	}
	info, err := e.engine.Info(ctx) // after the last of the starts, which are no news
	if err != nil {
		return err
	}
	if e.heard, err = engineClock(info); err != nil {
		return err
	}
	e.instances, err = e.containers(ctx)
	return err
}

// meet connects to the engine.
func (e *Environment) meet(ctx context.Context) error {
	there, err := e.opts.Endpoint.attend(e.lost)
	if err != nil {
		return err
	}
	engine, info, err := e.opts.Endpoint.meet(ctx, client.WithDialContext(there.dial))
	if err != nil {
		return err
	}
	there.meet()
	e.engine, e.engineID, e.cpus, e.hosts = engine, info.ID, info.NCPU, newHosts(e.opts.Helpers, engine, e.id)
	e.since, err = engineClock(info)
	e.heard = e.since
	return err
}

func engineClock(info system.Info) (time.Time, error) {
	now, err := time.Parse(time.RFC3339Nano, info.SystemTime)
	if err != nil {
		return now, fmt.Errorf("read the engine's clock: %w", err)
	}
	return now, nil
}

// reach connects to the engine and finds the project's containers.
func (e *Environment) reach(ctx context.Context) (err error) {
	if err := e.meet(ctx); err != nil {
		return err
	}
	e.instances, err = e.containers(ctx)
	return err
}

func (e *Environment) record(record target.RecordUndo) error {
	left := leftover{Endpoint: e.opts.Endpoint, ID: e.id}
	if e.opts.Copy != nil {
		left.Project = e.opts.Project
	}
	for _, i := range e.instances {
		left.Ran = append(left.Ran, i.id)
	}
	data, err := json.Marshal(left)
	if err != nil {
		return err
	}
	err = record(target.Undo{ID: "environment:" + e.opts.Experiment, Kind: UndoKind, Data: data, Target: target.Ref{Runtime: RuntimeName, ID: e.id}, Manual: left.manual()})
	if err != nil {
		return fmt.Errorf("nothing was begun, because its undo could not be recorded: %w", err)
	}
	return nil
}

// manual is how a person ends it.
func (l leftover) manual() string {
	ours := diag.ShellWord("label=" + labelOurs + "=" + mark(l.ID))
	text := fmt.Sprintf("%[1]s ps -aq --filter %[2]s | xargs -r env %[1]s rm -f; %[1]s images -q --filter %[2]s | xargs -r env %[1]s rmi -f", l.Endpoint.command(), ours)
	if l.Project != "" {
		own := diag.ShellWord("label=" + labelProject + "=" + l.Project)
		text += fmt.Sprintf("; %[1]s ps -aq --filter %[2]s | xargs -r env %[1]s rm -fv; %[1]s network ls -q --filter %[2]s | xargs -r env %[1]s network rm; %[1]s volume ls -q --filter %[2]s | xargs -r env %[1]s volume rm", l.Endpoint.command(), own)
	}
	return text
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
	i.startAt, i.endAt = engineTime(info.State.StartedAt), engineTime(info.State.FinishedAt)
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
const downTimeout = 20 * time.Second

// restore starts and resumes what ran at Up and does not now: a kill of what has no restart policy is not undone by anybody else.
func (e *Environment) restore(ctx context.Context) error {
	var errs []error
	for _, i := range e.instances {
		err := runAgain(ctx, e.engine, i.id)
		if errors.Is(err, target.ErrGone) {
			err = i.gone()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s ran before: %w", i.name, err))
		}
	}
	return errors.Join(errs...)
}

// Down implements target.Environment: it ends everything that this run has added, lets run again what ran before, and verifies that.
func (e *Environment) Down(ctx context.Context) error {
	e.unwatch()
	var errs []error
	for _, i := range e.instances {
		errs = append(errs, i.close())
	}
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
	if e.lock != nil {
		errs = append(errs, e.lock.Close())
		e.lock = nil
	}
	e.events.Close()
	return errors.Join(errs...)
}
