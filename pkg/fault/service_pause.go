package fault

import (
	"context"
	"encoding/json"
	"fmt"

	"chaosgate/pkg/target"
)

// pause is service.pause: the processes are frozen; connections stay open and nobody answers.
type pause struct {
	instance
	pauser target.Pauser
}

func newPause(r Request) (Fault, error) {
	return eachInstance(r, func(i instance) (subject, error) {
		p, err := able[target.Pauser](r.Runtime, target.CanPause)
		return &pause{instance: i, pauser: p}, err
	})
}

// Prepare implements Fault.
func (p *pause) Prepare(ctx context.Context) ([]target.Undo, error) {
	if err := p.look(ctx); err != nil {
		return nil, err
	}
	return p.undo("service.pause", nil, p.byHand(ctx, target.CanPause))
}

// Inject implements Fault.
func (p *pause) Inject(ctx context.Context) (Effect, error) {
	if err := p.look(ctx); err != nil {
		return Effect{}, err
	}
	p.touched = true
	if err := p.pauser.Pause(ctx, p.Target); err != nil {
		return Effect{}, err
	}
	return p.Check(ctx)
}

// Check implements Fault.
func (p *pause) Check(ctx context.Context) (Effect, error) {
	now, err := p.inspect(ctx)
	if err != nil {
		return Effect{}, err
	}
	e := Effect{Proven: now.Paused && p.same(now)}
	switch {
	case e.Proven:
		e.Summary = fmt.Sprintf("%s (pid %d) is paused", p.Instance, now.PID)
	case !now.Running:
		e.Summary = fmt.Sprintf("%s has ended (exit code %d), so it is not paused", p.Instance, now.ExitCode)
	case !p.same(now):
		e.Summary = fmt.Sprintf("%s was started again meanwhile (pid %d, now %d) and is not what was paused", p.Instance, p.before.PID, now.PID)
	default:
		e.Summary = fmt.Sprintf("%s (pid %d) is not paused", p.Instance, now.PID)
	}
	return e, nil
}

// Revert implements Fault.
func (p *pause) Revert(ctx context.Context) (Effect, error) {
	if !p.touched {
		return p.untouched(), nil
	}
	if err := p.pauser.Resume(ctx, p.Target); err != nil {
		return Effect{}, fmt.Errorf("resume: %w", err)
	}
	now, err := p.inspect(ctx)
	if err != nil {
		return Effect{}, err
	}
	return resumed(p.Instance, now), nil
}

func resumed(name string, now target.Status) Effect {
	switch {
	case !now.Running:
		return Effect{Proven: true, Summary: fmt.Sprintf("%s does not run (exit code %d), so nothing of it is paused", name, now.ExitCode)}
	case now.Paused:
		return Effect{Summary: fmt.Sprintf("%s (pid %d) is still paused", name, now.PID)}
	}
	return Effect{Proven: true, Summary: fmt.Sprintf("%s (pid %d) goes on", name, now.PID)}
}

// revertPause resumes what a dead runner has left paused.
func revertPause(ctx context.Context, rt target.Runtime, _ json.RawMessage, ref target.Ref) error {
	pauser, err := able[target.Pauser](rt, target.CanPause)
	if err != nil {
		return err
	}
	i, err := newInstance(Request{Runtime: rt}, target.Target{Ref: ref})
	if err != nil {
		return err
	}
	if err := pauser.Resume(ctx, i.Target); err != nil {
		return fmt.Errorf("resume %s: %w", ref.Instance, err)
	}
	now, err := i.inspect(ctx)
	if err != nil {
		return err
	}
	if e := resumed(ref.Instance, now); !e.Proven {
		return fmt.Errorf("%s", e.Summary)
	}
	return nil
}
