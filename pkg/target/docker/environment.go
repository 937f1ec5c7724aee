package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/target"
)

// Environment is a Compose project that runs already. It is safe for concurrent use once Up has returned; Up is called once.
type Environment struct {
	opts   Options
	id     string // run id/experiment: the label of what is ours
	events *target.EventQueue

	engine    *client.Client
	lock      *os.File
	instances []*instance // sorted by service and number
	since     time.Time   // when Up began, by the engine's clock
	unwatch   func()      // ends the watching of events and waits for it
	hosts     *hosts      // once the engine is met

	mu    sync.Mutex
	armed map[string]*helper // by instance and signal
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
)

// New makes an environment; nothing is dialled yet.
func New(opts Options) *Environment {
	return &Environment{
		opts: opts, id: opts.RunID + "/" + opts.Experiment, events: target.NewEventQueue(), unwatch: func() {},
		armed: map[string]*helper{},
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
}

// Up implements target.Environment: it finds the project's containers, all of which must run and be ready. What it records is the undo of the helpers that faults may
// need: the project itself was there before and stays.
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
	var err error
	if e.lock, err = lockProject(e.opts.Endpoint, e.opts.Project); err != nil {
		return err
	}
	if err := e.reach(ctx); err != nil {
		return err
	}
	if err := e.record(record); err != nil {
		return fmt.Errorf("nothing was begun, because its undo could not be recorded: %w", err)
	}
	if err := e.ready(ctx); err != nil {
		return err
	}
	e.unwatch = e.watch()
	return nil
}

// reach connects to the engine and finds the project's containers.
func (e *Environment) reach(ctx context.Context) error {
	engine, info, err := e.opts.Endpoint.meet(ctx)
	if err != nil {
		return err
	}
	e.engine, e.hosts = engine, newHosts(e.opts.Helpers, engine, e.id)
	if e.since, err = time.Parse(time.RFC3339Nano, info.SystemTime); err != nil {
		return fmt.Errorf("read the engine's clock: %w", err)
	}
	e.instances, err = e.find(ctx)
	return err
}

func (e *Environment) record(record target.RecordUndo) error {
	data, err := json.Marshal(leftover{Endpoint: e.opts.Endpoint, ID: e.id})
	if err != nil {
		return err
	}
	label := diag.ShellWord("label=" + labelOurs + "=" + e.id)
	return record(target.Undo{
		ID: "environment:" + e.opts.Experiment, Kind: UndoKind, Data: data, Target: target.Ref{Runtime: RuntimeName, ID: e.id},
		Manual: fmt.Sprintf("docker ps -aq --filter %s | xargs -r docker rm -f; docker images -q --filter %s | xargs -r docker rmi -f", label, label),
	})
}

// find answers the project's containers of the environment's services. A service without any, or what could not be reached, is an error.
func (e *Environment) find(ctx context.Context) ([]*instance, error) {
	all, err := containersOf(ctx, e.engine, e.opts.Project)
	if err != nil {
		return nil, err
	}
	var found []*instance
	for _, c := range all {
		service := c.Labels[labelService]
		sp, ok := e.opts.Spec.Services[service]
		if !ok {
			continue
		}
		n, err := strconv.Atoi(c.Labels[labelNumber])
		if err != nil {
			return nil, fmt.Errorf("container %.12s of service %s has no number in its labels: %w", c.ID, service, err)
		}
		found = append(found, &instance{service: service, number: n, name: service + "-" + strconv.Itoa(n), id: c.ID, spec: sp, endpoint: e.opts.Endpoint, engine: e.engine, protected: c.Labels[labelProtected] == "true", lastExit: -1})
	}
	slices.SortFunc(found, func(a, b *instance) int {
		if by := strings.Compare(a.service, b.service); by != 0 {
			return by
		}
		return a.number - b.number
	})
	for _, name := range slices.Sorted(maps.Keys(e.opts.Spec.Services)) {
		if !slices.ContainsFunc(found, func(i *instance) bool { return i.service == name }) {
			return nil, fmt.Errorf("the Compose project %q has no container of service %s%s", e.opts.Project, name, e.others(ctx, all))
		}
	}
	return found, nil
}

// others says what there is instead of what was not found.
func (e *Environment) others(ctx context.Context, here []container.Summary) string {
	if len(here) > 0 {
		var names []string
		for _, c := range here {
			names = append(names, c.Labels[labelService])
		}
		slices.Sort(names)
		return ", only of " + strings.Join(slices.Compact(names), ", ")
	}
	all, err := e.engine.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelProject))})
	if err != nil || len(all) == 0 {
		return "; no Compose project runs here: start it first"
	}
	var projects []string
	for _, c := range all {
		projects = append(projects, c.Labels[labelProject])
	}
	slices.Sort(projects)
	return "; those that run are " + strings.Join(slices.Compact(projects), ", ") + ": start it, or name one of them with `project` in chaos.yaml"
}

// containersOf lists the containers of a Compose project, stopped ones too, without those of `run`.
func containersOf(ctx context.Context, engine *client.Client, project string) ([]container.Summary, error) {
	all, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelProject+"="+project))})
	if err != nil {
		return nil, fmt.Errorf("list the containers of the Compose project %q: %w", project, err)
	}
	return slices.DeleteFunc(all, func(c container.Summary) bool { return strings.EqualFold(c.Labels[labelOneOff], "true") }), nil
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
	i.baseline = info.RestartCount
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

// Resolve implements target.Runtime. A protected service is an error: nothing may hit it.
func (e *Environment) Resolve(_ context.Context, sel target.Selection) ([]target.Target, error) {
	if len(sel.Services) == 0 {
		return nil, errors.New("nothing is selected: the selection names no service")
	}
	var found []target.Target
	for _, service := range slices.Compact(slices.Sorted(slices.Values(sel.Services))) {
		var names []string
		for _, i := range e.of(service) {
			names = append(names, i.name)
		}
		picked, err := target.Pick(service, names, sel)
		if err != nil {
			return nil, err
		}
		for _, i := range e.of(service) {
			if !slices.Contains(picked, i.name) {
				continue
			}
			if i.protected {
				return nil, i.refused()
			}
			id := reference{Endpoint: e.opts.Endpoint, Container: i.id, Ready: i.outlasts()}.String()
			found = append(found, target.Target{Ref: target.Ref{Runtime: RuntimeName, Service: service, Instance: i.name, ID: id}})
		}
	}
	return found, nil
}

func (e *Environment) of(service string) []*instance {
	var all []*instance
	for _, i := range e.instances {
		if i.service == service {
			all = append(all, i)
		}
	}
	return all
}

// mayHit finds the instance of a target, unless it is protected.
func (e *Environment) mayHit(t target.Target) (*instance, error) {
	i, err := e.instance(t)
	if err == nil && i.protected {
		return nil, i.refused()
	}
	return i, err
}

func (i *instance) refused() error {
	return fmt.Errorf("%s is protected by its label %s=true: nothing may hit it", i.name, labelProtected)
}

func (e *Environment) instance(t target.Target) (*instance, error) {
	var names []string
	for _, i := range e.instances {
		if i.service == t.Service && i.name == t.Instance {
			return i, nil
		}
		names = append(names, i.name)
	}
	return nil, fmt.Errorf("there is no %s of %s here; there are %s", t.Instance, t.Service, strings.Join(names, ", "))
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
		if at := i.address(); at != "" && i.spec.Metrics != "" {
			scrapes = append(scrapes, target.Scrape{URL: "http://" + at + i.spec.Metrics, Labels: map[string]string{"service": i.service, "instance": i.name}})
		}
	}
	return scrapes
}

// downTimeout bounds ending what a failed Up has begun.
const downTimeout = 20 * time.Second

// Down implements target.Environment: it ends everything that this run has added, and verifies that. The project stays as it is.
func (e *Environment) Down(ctx context.Context) error {
	e.unwatch()
	var errs []error
	for _, i := range e.instances {
		errs = append(errs, i.close())
	}
	if e.engine != nil {
		e.keepLogs(ctx)
		errs = append(errs, e.hosts.end(ctx))
	}
	if e.lock != nil {
		errs = append(errs, e.lock.Close())
		e.lock = nil
	}
	e.events.Close()
	return errors.Join(errs...)
}
