package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/proc"
	"chaosgate/pkg/target"
)

// Environment is the services of one experiment as child processes. It is safe for concurrent use once Up has returned; Up is called once.
type Environment struct {
	opts   Options
	id     string // run id/experiment
	marker string
	events *target.EventQueue
	charge charge

	services map[string]*service
	links    map[target.Link]*link
	workDir  string // once it is made

	mu      sync.Mutex
	ended   bool
	entered bool // its services may leave orphans
	helpers map[*helper]struct{}
}

var (
	_ target.Environment = (*Environment)(nil)
	_ target.Inspector   = (*Environment)(nil)
	_ target.Killer      = (*Environment)(nil)
	_ target.Starter     = (*Environment)(nil)
	_ target.Pauser      = (*Environment)(nil)
	_ target.Linker      = (*Environment)(nil)
	_ target.Hoster      = (*Environment)(nil)
	_ target.Databaser   = (*Environment)(nil)

	_ target.ServerFinder = (*Environment)(nil)
	_ target.OOMScorer    = (*Environment)(nil)
	_ target.Marker       = (*Environment)(nil)
	_ target.ByHand       = (*Environment)(nil)
)

// New makes an environment in which nothing is started yet.
func New(opts Options) *Environment {
	id := opts.RunID + "/" + opts.Experiment
	return &Environment{
		opts: opts, id: id, marker: proc.Marker(id), events: target.NewEventQueue(),
		services: map[string]*service{}, links: map[target.Link]*link{}, helpers: map[*helper]struct{}{},
	}
}

// Name implements target.Runtime.
func (e *Environment) Name() string { return RuntimeName }

// Marks implements target.Marker.
func (e *Environment) Marks() []string { return []string{e.marker} }

// Close implements target.Runtime; there is no connection to let go of.
func (e *Environment) Close() error { return nil }

// Events implements target.Environment.
func (e *Environment) Events() <-chan target.Event { return e.events.Out() }

// Up implements target.Environment. All services are started at once: each must bear that the ones it calls are not there yet.
func (e *Environment) Up(ctx context.Context, record target.RecordUndo) error {
	if err := e.check(); err != nil {
		return err
	}
	e.charge = findCharge(e.id)
	if err := e.record(record); err != nil {
		return fmt.Errorf("nothing was started, because its undo could not be recorded: %w", err)
	}
	err := e.start(ctx)
	if err == nil {
		return nil
	}
	down, cancel := context.WithTimeout(context.WithoutCancel(ctx), downTimeout)
	defer cancel()
	return errors.Join(err, e.Down(down))
}

// check finds everything that is wrong with the services before anything is made.
func (e *Environment) check() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(e.opts.Spec.Services)) {
		sp := e.opts.Spec.Services[name]
		for _, err := range CheckService(name, sp, e.opts.Spec.Services) {
			errs = append(errs, fmt.Errorf("service %s: %w", name, err))
		}
		if sp.Build != "" && e.opts.Binaries[name] == "" {
			errs = append(errs, fmt.Errorf("service %s: %s has not been built", name, sp.Build))
		}
	}
	if len(e.opts.Spec.Services) == 0 {
		errs = append(errs, errors.New("the environment has no services"))
	}
	return errors.Join(errs...)
}

// leftover is what ends an environment from a fresh process.
type leftover struct {
	Marker  string   `json:"marker"`
	WorkDir string   `json:"work_dir"`
	Cgroups []string `json:"cgroups,omitempty"`
}

// UndoKind is the kind of the undo that Up records; RevertEnvironment carries it out.
const UndoKind = "process.environment"

func (e *Environment) record(record target.RecordUndo) error {
	l := leftover{Marker: e.marker, WorkDir: e.opts.WorkDir}
	for name := range e.opts.Spec.Services {
		l.Cgroups = append(l.Cgroups, e.charge.paths(name)...)
	}
	slices.Sort(l.Cgroups)
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return record(target.Undo{
		ID: "environment:" + e.opts.Experiment, Kind: UndoKind, Data: data, Target: target.Ref{Runtime: RuntimeName, ID: e.id},
		Manual: fmt.Sprintf("grep -lszxF -- %s /proc/[0-9]*/environ | cut -d/ -f3 | xargs -r kill -9; rm -rf %s", diag.ShellWord(e.marker), diag.ShellWord(e.opts.WorkDir)),
	})
}

func (e *Environment) start(ctx context.Context) error {
	if err := makeWorkDir(e.opts.WorkDir, e.marker); err != nil {
		return err
	}
	e.workDir = e.opts.WorkDir
	e.enter()
	for _, name := range slices.Sorted(maps.Keys(e.opts.Spec.Services)) {
		if err := e.prepare(name); err != nil {
			return err
		}
	}
	if err := e.openLinks(); err != nil {
		return err
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, s := range e.services {
		all.Go(func() {
			if err := e.first(ctx, s); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if ctx.Err() == nil || len(errs) == 0 {
					errs = append(errs, err)
				}
				cancel(errOther)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// errOther ends the wait for the other services when one has failed.
var errOther = errors.New("another service could not be started")

func (e *Environment) enter() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.entered = true
	e.opts.Orphans.Enter()
}

// prepare makes what a service needs before it starts: ports, a data folder, a cgroup.
func (e *Environment) prepare(name string) error {
	s, err := newService(name, e.opts.Spec.Services[name], e.opts.WorkDir)
	if err != nil {
		return fmt.Errorf("service %s: %w", name, err)
	}
	s.program, s.vars, s.dir, s.events = e.opts.Binaries[name], e.opts.Variables[name], e.opts.Root, e.events
	s.revealed, s.secrets = e.opts.Revealed, e.opts.Secrets
	s.logPath = filepath.Join(e.opts.LogDir, name+".log")
	s.marks = []string{e.marker, instanceMarker(e.id, s.instance)}
	s.links = func(to string) string { return e.links[target.Link{From: name, To: to}].address() }
	if err := os.Mkdir(s.data, 0o700); err != nil {
		return fmt.Errorf("service %s: make its data folder: %w", name, err)
	}
	if s.ports, err = holdPorts(slices.Sorted(maps.Keys(s.spec.Ports))); err != nil {
		return fmt.Errorf("service %s: %w", name, err)
	}
	e.services[name] = s // from here on Down releases the ports
	if s.group, err = e.charge.create(name, s.settings.memory); err != nil {
		return fmt.Errorf("service %s: %w", name, err)
	}
	return nil
}

// instanceMarker marks the processes of one instance, helpers apart.
func instanceMarker(environment, instance string) string {
	return instancePrefix + environment + "/" + instance
}

const instancePrefix = "CHAOS_INSTANCE="

// mark is the service's instance marker.
func (s *service) mark() string { return s.marks[len(s.marks)-1] }

// portTries is how often a service is started anew because somebody else took one of its ports in the moment before it did.
const portTries = 3

// first starts a service for the first time.
func (e *Environment) first(ctx context.Context, s *service) error {
	for try := 1; ; try++ {
		s.ask()
		s.supervisor.Go(s.supervise)
		err := s.waitReady(ctx, 0)
		now, _ := s.look()
		if err == nil || now.exits == 0 || try == portTries || !strings.Contains(readFrom(s.logPath, now.logFrom), "address already in use") {
			return err
		}
		if err := e.newPorts(s); err != nil {
			return err
		}
	}
}

// newPorts ends a service's supervision and gives it other ports.
func (e *Environment) newPorts(s *service) error {
	e.endService(s)
	s.supervisor.Wait()
	other, err := holdPorts(slices.Sorted(maps.Keys(s.spec.Ports)))
	if err != nil {
		return fmt.Errorf("service %s: %w", s.name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports = other
	s.state = state{lastExit: -1}
	return nil
}

// Resolve implements target.Runtime. A service has one instance here, so "one", "all", "1" and any share above nothing select it.
func (e *Environment) Resolve(_ context.Context, sel target.Selection) ([]target.Target, error) {
	if len(sel.Services) == 0 {
		return nil, errors.New("nothing is selected: the selection names no service")
	}
	var found []target.Target
	for _, name := range slices.Sorted(slices.Values(sel.Services)) {
		s, err := e.service(target.Target{Ref: target.Ref{Service: name}})
		if err != nil {
			return nil, fmt.Errorf("there is no service %q here; there are %s", name, strings.Join(slices.Sorted(maps.Keys(e.services)), ", "))
		}
		if _, err := target.Pick(name, []string{s.instance}, sel); err != nil {
			return nil, err
		}
		found = append(found, target.Target{Ref: target.Ref{Runtime: RuntimeName, Service: name, Instance: s.instance, ID: e.id + "/" + s.instance}})
	}
	return slices.Compact(found), nil
}

// shortID is a name for folders outside, unique for the run and experiment.
func shortID(id string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // never fails
	return fmt.Sprintf("%s%016x", ownPrefix, h.Sum64())
}

// downTimeout bounds taking down what a failed Up has started.
const downTimeout = 20 * time.Second
