package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/target"
)

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
// need, and of what they may leave down: the project itself was there before and is as it was afterwards. That nobody else works on it meanwhile is the caller's to see to, by
// Hold. An experiment's own is started first, and its end recorded.
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

// take finds the project that is there.
func (e *Environment) take(ctx context.Context, record target.RecordUndo) (err error) {
	if e.instances, err = e.containers(ctx); err != nil {
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
	e.engine, e.cpus, e.hosts = engine, info.NCPU, newHosts(e.opts.Helpers, engine, e.id)
	e.volumes = path.Join(info.DockerRootDir, "volumes")
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
		if i.ran {
			left.Ran = append(left.Ran, i.id)
		}
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
		text += fmt.Sprintf("; %[1]s ps -aq --filter %[2]s | xargs -r env %[1]s rm -fv; %[1]s network ls -q --filter %[2]s | xargs -r env %[1]s network rm; %[1]s volume ls -q --filter %[2]s | xargs -r env %[1]s volume rm; %[1]s images -q --filter %[3]s --filter %[4]s | xargs -r env %[1]s rmi",
			l.Endpoint.command(), own, diag.ShellWord("reference="+l.Project+"_*"), diag.ShellWord("reference="+l.Project+"-*"))
	}
	return text
}
