package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"chaosgate/pkg/target"
)

// Attach answers the runtime of a target whose runner has died: it can be started, also anew, and resumed, and looked at. A container that is no longer there is target.ErrGone.
func Attach(ref target.Ref, h Helpers) target.Runtime { return &attached{ref: ref, helpers: h} }

// attached reaches one container from a fresh process; each call makes a connection of its own.
type attached struct {
	ref     target.Ref
	helpers Helpers
}

var (
	_ target.Runtime   = (*attached)(nil)
	_ target.Inspector = (*attached)(nil)
	_ target.Killer    = (*attached)(nil)
	_ target.Starter   = (*attached)(nil)
	_ target.Pauser    = (*attached)(nil)
	_ target.Hoster    = (*attached)(nil)
	_ target.OOMScorer = (*attached)(nil)
	_ target.Mounter   = (*attached)(nil)

	_ target.HelperEnder  = (*attached)(nil)
	_ target.LinkRestorer = (*attached)(nil)
	_ target.ServerFinder = (*attached)(nil)

	_ target.LimitRestorer = (*attached)(nil)
)

// EndHelper implements target.HelperEnder.
func (a *attached) EndHelper(ctx context.Context, _ target.Target, helper string) error {
	return a.with(func(engine *client.Client, r reference) error { return visitOf(r.Container, helper).end(ctx, engine) })
}

// OOMScore implements target.OOMScorer.
func (a *attached) OOMScore(ctx context.Context, _ target.Target) (score int, err error) {
	err = a.score(ctx, nil, &score)
	return score, err
}

// SetOOMScore implements target.OOMScorer.
func (a *attached) SetOOMScore(ctx context.Context, _ target.Target, score int) error {
	return a.score(ctx, &score, new(int))
}

// score reaches the OOM score with helpers of this process's own, which are gone when it returns.
func (a *attached) score(ctx context.Context, set, now *int) error {
	return a.with(func(engine *client.Client, r reference) error {
		info, err := engine.ContainerInspect(ctx, r.Container)
		if cerrdefs.IsNotFound(err) || err == nil && !info.State.Running {
			return target.ErrGone // with its score
		}
		if err != nil {
			return err
		}
		h := a.hosts(engine, r)
		*now, err = h.score(ctx, r.Container, set)
		return errors.Join(err, a.ended(ctx, h))
	})
}

// ended ends helpers and removes what was made for them, also if ctx has ended.
func (a *attached) ended(ctx context.Context, h *hosts) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	return h.end(ctx)
}

// Host implements target.Hoster: after the Close of what it answers, all that was made for it is gone.
func (a *attached) Host(ctx context.Context, _ target.Target, job string, config any) (target.Helper, error) {
	engine, r, err := a.open()
	if err != nil {
		return nil, err
	}
	h := a.hosts(engine, r)
	g, err := h.enter(ctx, r.Container, job, config)
	if r.Own && cerrdefs.IsNotFound(err) {
		err = target.ErrGone // with its volumes; those of a project that others share may live on
	}
	if err != nil {
		return nil, errors.Join(err, a.ended(ctx, h), engine.Close())
	}
	return &visitor{guest: g, hosts: h}, nil
}

// hosts are for helpers of this process's own. They carry the label of the environment, by which its undo finds what this process leaves if it is killed.
func (a *attached) hosts(engine *client.Client, r reference) *hosts {
	return newHosts(a.helpers, engine, r.Environment)
}

// visitor is a helper with what it came by.
type visitor struct {
	*guest
	hosts *hosts
}

// Close implements target.Helper.
func (v *visitor) Close(ctx context.Context) error {
	return errors.Join(v.guest.Close(ctx), v.hosts.end(ctx), v.hosts.engine.Close())
}

func (a *attached) Placement(context.Context, target.Target) (target.Placement, error) {
	return target.Placement{}, errUndoOnly
}
func (a *attached) Usage(context.Context, target.Target) (target.Usage, error) {
	return target.Usage{}, errUndoOnly
}

// with calls f with the container and a connection to its engine.
func (a *attached) with(f func(*client.Client, reference) error) error {
	engine, r, err := a.open()
	if err != nil {
		return err
	}
	return errors.Join(f(engine, r), engine.Close())
}

// open reads which container is meant and makes a connection to its engine.
func (a *attached) open() (*client.Client, reference, error) {
	var r reference
	if err := json.Unmarshal([]byte(a.ref.ID), &r); err != nil {
		return nil, r, fmt.Errorf("the target's id cannot be read: %w", err)
	}
	engine, err := r.Endpoint.connect()
	return engine, r, err
}

// Inspect implements target.Inspector. Ready is what its path answers, else its health check, else that it runs.
func (a *attached) Inspect(ctx context.Context, _ target.Target) (target.Status, error) {
	st := target.Status{ExitCode: -1}
	err := a.with(func(engine *client.Client, r reference) error {
		info, err := engine.ContainerInspect(ctx, r.Container)
		if cerrdefs.IsNotFound(err) {
			return target.ErrGone
		}
		if err != nil {
			return err
		}
		st = statusOf(info)
		st.Ready = st.Running && !st.Paused && readyAfter(ctx, info, r) == nil
		return nil
	})
	return st, err
}

func readyAfter(ctx context.Context, info container.InspectResponse, r reference) error {
	if r.Ready != "" {
		return target.AskReady(ctx, r.Ready, "")
	}
	return healthy(info)
}

// within is how long the container may take to be ready. Whoever carries the undo out gives it that time and more, as the undo says.
func (r reference) within() time.Duration {
	if d, err := time.ParseDuration(r.Within); err == nil && d > 0 {
		return d
	}
	return target.DefaultReady
}

// Start implements target.Starter: it returns when the container is ready, or with an error when it has not become so in time.
func (a *attached) Start(ctx context.Context, t target.Target) error {
	return a.with(func(engine *client.Client, r reference) error {
		before, err := engine.ContainerInspect(ctx, r.Container)
		if cerrdefs.IsNotFound(err) {
			return target.ErrGone
		}
		if err == nil {
			err = start(ctx, engine, r.Container)
		}
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, r.within())
		defer cancel()
		return target.PollReady(ctx, func(ctx context.Context) error {
			info, err := engine.ContainerInspect(ctx, r.Container)
			if err == nil && hasEnded(info) && info.State.StartedAt == before.State.StartedAt {
				err = start(ctx, engine, r.Container) // the engine has taken it for one that runs
			}
			if err == nil {
				err = runs(info)
			}
			if err == nil {
				err = readyAfter(ctx, info, r)
			}
			return err
		})
	})
}

// Stop implements target.Starter, for what is to be started anew. The grace is the caller's: more than zero.
func (a *attached) Stop(ctx context.Context, _ target.Target, grace time.Duration) error {
	return a.with(func(engine *client.Client, r reference) error {
		i := &instance{name: a.ref.Instance, id: r.Container, engine: engine}
		info, err := i.inspect(ctx)
		if err == nil && info.State.Running {
			err = i.end(ctx, cmp.Or(info.Config.StopSignal, "SIGTERM"), grace)
		}
		if _, gone := engine.ContainerInspect(ctx, r.Container); cerrdefs.IsNotFound(gone) {
			return target.ErrGone
		}
		return err
	})
}

// Resume implements target.Pauser.
func (a *attached) Resume(ctx context.Context, _ target.Target) error {
	return a.with(func(engine *client.Client, r reference) error { return resume(ctx, engine, r.Container) })
}

// Release implements target.Killer: what held the container has died with the runner.
func (a *attached) Release(context.Context, target.Target) error { return nil }

func (a *attached) Name() string { return RuntimeName }
func (a *attached) Close() error { return nil }

// errUndoOnly is what one answers that is there to take faults back.
var errUndoOnly = errors.New("the run that could do this is over; only its undo can be carried out")

func (a *attached) Resolve(context.Context, target.Selection) ([]target.Target, error) {
	return nil, errUndoOnly
}
func (a *attached) Kill(context.Context, target.Target, string) error { return errUndoOnly }
func (a *attached) Hold(context.Context, target.Target) error         { return errUndoOnly }
func (a *attached) Pause(context.Context, target.Target) error        { return errUndoOnly }
