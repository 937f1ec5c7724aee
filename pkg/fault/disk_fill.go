package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/target"
)

// fillStall is how long a fill may make no progress before it is given up.
const fillStall = 10 * time.Second

// memoryPartOfRoom is what of memory a full file system may need beside its room, for what the kernel keeps of it.
const memoryPartOfRoom = 1.0 / 32

// diskFill is disk.fill.
type diskFill struct {
	hosted
	owner  target.DiskOwner
	config agent.DiskFillConfig
	was    agent.DiskFillStatus // zero before Prepare
}

func newDiskFill(r Request) (Fault, error) {
	owner, err := able[target.DiskOwner](r.Runtime, target.CanFill)
	if err != nil {
		return nil, err
	}
	config := agent.DiskFillConfig{Path: r.Params.Text("path"), Size: r.Params.Bytes("size"), Leave: r.Params.Bytes("leave")}
	return eachInstance(r, func(i instance) (subject, error) {
		h, err := newHosted(r, i, "disk.fill")
		return &diskFill{hosted: h, owner: owner, config: config}, err
	})
}

// checkFill refuses two answers to one question.
func checkFill(p Params) []ParamProblem {
	if p["size"] == "" || p["leave"] == "" {
		return nil
	}
	return []ParamProblem{{Name: "size", Message: "size says how much is taken and leave how much is left", Hint: "remove one of them; without both, nothing is left"}}
}

// Prepare implements Fault. What others use as well is not filled, nor what would be no fault.
func (d *diskFill) Prepare(ctx context.Context) ([]target.Undo, error) {
	undos, err := d.arm(ctx, agent.DiskFillJob, d.config, helperUndo{})
	if err != nil {
		return nil, err
	}
	return undos, d.possible(ctx)
}

// possible is an error if it is not certain, as things are now, that the room can be taken, and from nobody but the instance.
func (d *diskFill) possible(ctx context.Context) error {
	var err error
	if d.was, err = call[agent.DiskFillStatus](ctx, &d.hosted, agent.Status); err != nil {
		return err
	}
	spare, err := d.owner.OwnDisk(ctx, d.Target, d.was.Mount)
	if err != nil {
		return err
	}
	wanted, free, path := d.config.Size, d.was.Free, d.was.Path
	if wanted == 0 {
		wanted = free - d.config.Leave
	}
	switch {
	case d.was.Write == agent.Full:
		return fmt.Errorf("%s is full already, so the fault would prove nothing", path)
	case d.was.Write != agent.Succeeded:
		return fmt.Errorf("its own user cannot write at %s, so it would not feel the fault: %s", path, d.was.Text)
	case wanted <= 0:
		return fmt.Errorf("%s has %s free, and %s are to be left, so there is nothing to take", path, size(free), size(d.config.Leave))
	case wanted > free:
		return fmt.Errorf("%s has %s free, and %s are to be taken", path, size(free), size(wanted))
	case d.was.Mount.Type == target.Tmpfs:
		return d.bearable(wanted, spare)
	}
	return nil
}

// bearable is an error if memory would run out, the instance's or the machine's, before so much of a file system in memory is taken.
func (d *diskFill) bearable(wanted, spare int64) error {
	whose := "the instance"
	if d.was.Spare < spare {
		whose, spare = "the machine", d.was.Spare
	}
	if needed := float64(wanted) * (1 + memoryPartOfRoom); needed <= float64(spare) {
		return nil
	}
	return fmt.Errorf("the file system at %s is memory, of which %s has %s to spare, and %s of it are to be taken: memory would run out before that. "+
		"Give the instance more memory, or the file system a smaller size", d.was.Mount.At, whose, size(max(spare, 0)), size(wanted))
}

// Inject implements Fault. It returns when the room is taken. Whose the disk is, and how much there is of it, is looked at again: it may be minutes since the fault was prepared.
func (d *diskFill) Inject(ctx context.Context) (Effect, error) {
	if err := d.look(ctx); err != nil {
		return Effect{}, err
	}
	if err := d.possible(ctx); err != nil {
		return Effect{}, err
	}
	d.touched = true
	now, err := call[agent.DiskFillStatus](ctx, &d.hosted, agent.Inject)
	held, moved := now.Held, time.Now()
	for err == nil && !now.Done && time.Since(moved) < fillStall {
		if err = breathe(ctx); err == nil {
			now, err = call[agent.DiskFillStatus](ctx, &d.hosted, agent.Status)
		}
		if now.Held > held {
			held, moved = now.Held, time.Now()
		}
	}
	return d.outcome(ctx, now, err)
}

// felt says whether the file system is as full as was asked for, by its own count.
func (d *diskFill) felt(now agent.DiskFillStatus) bool {
	switch {
	case now.Held == 0 || now.Total-now.Free < now.Held:
		return false
	case d.config.Size > 0:
		return now.Held >= d.config.Size
	case d.config.Leave > 0:
		return now.Done && now.Free < d.config.Leave+oneTurn
	}
	return now.Write == agent.Full
}

// oneTurn is what may be free beyond what is to be left: what somebody frees is taken a moment later, page by page.
const oneTurn = 1 << 20

// outcome judges a reading of the helper, or its end.
func (d *diskFill) outcome(ctx context.Context, now agent.DiskFillStatus, err error) (Effect, error) {
	switch {
	case errors.Is(err, agent.ErrEnded):
		return d.helperEnded(ctx)
	case err != nil:
		return Effect{}, err
	}
	e := Effect{
		Proven:   d.felt(now) && now.Astray == "",
		Summary:  fmt.Sprintf("%s: %s has %s free of %s", d.Instance, d.was.Path, size(now.Free), size(now.Total)),
		Readings: map[string]float64{"free_before_bytes": float64(d.was.Free), "free_bytes": float64(now.Free), "taken_bytes": float64(now.Held)},
	}
	if d.touched {
		e.Summary += fmt.Sprintf(" instead of %s, with %s taken", size(d.was.Free), size(now.Held))
	}
	if now.Write == agent.Full {
		e.Summary += ", and a write meets ENOSPC"
	}
	if now.Astray != "" {
		e.Summary += "; " + now.Astray
	}
	return d.withFate(ctx, e)
}

// helperEnded tells what is known when the helper is gone, and with it what it had taken.
func (d *diskFill) helperEnded(ctx context.Context) (Effect, error) {
	e := Effect{Summary: fmt.Sprintf("%s: the process that had taken the room at %s has ended before its time, and the room is free again", d.Instance, d.was.Path)}
	st, err := d.inspect(ctx)
	if err != nil {
		return Effect{}, err
	}
	if st.OOMKills > d.before.OOMKills {
		e.Summary += "; memory ran out, of which the file system is a part, and the kernel has killed for it"
	}
	return d.withFate(ctx, e)
}

// Check implements Fault.
func (d *diskFill) Check(ctx context.Context) (Effect, error) {
	now, err := call[agent.DiskFillStatus](ctx, &d.hosted, agent.Status)
	return d.outcome(ctx, now, err)
}

// Revert implements Fault. The room is read back by who had taken it; where that has ended, its end is what frees it.
func (d *diskFill) Revert(ctx context.Context) (Effect, error) {
	e := Effect{Proven: true, Summary: fmt.Sprintf("%s: the process that had taken the room at %s is gone, and the room is free with it", d.Instance, d.was.Path)}
	if d.touched && d.helper != nil {
		if now, err := d.givenBack(ctx); err == nil {
			e = d.free(now, e)
		}
	}
	if err := d.close(ctx); err != nil {
		return Effect{}, err
	}
	if !d.touched {
		return d.untouched(), nil
	}
	return e, nil
}

// free judges a reading after the revert: as much is free as was, or a write succeeds. Where neither is so, somebody else has taken what was given back, since the end of who had taken
// it is what frees it, and that is what counts, as in gone.
func (d *diskFill) free(now agent.DiskFillStatus, gone Effect) Effect {
	if now.Free >= d.was.Free || now.Write == agent.Succeeded {
		return Effect{Proven: true, Summary: fmt.Sprintf("%s: %s has %s free again", d.Instance, d.was.Path, size(now.Free))}
	}
	gone.Summary += fmt.Sprintf("; %s of %s are free now, and a write meets: %s", size(now.Free), size(d.was.Free), now.Text)
	return gone
}

func (d *diskFill) givenBack(ctx context.Context) (agent.DiskFillStatus, error) {
	if _, err := d.helper.Call(ctx, agent.Revert); err != nil {
		return agent.DiskFillStatus{}, err
	}
	return call[agent.DiskFillStatus](ctx, &d.hosted, agent.Status)
}
