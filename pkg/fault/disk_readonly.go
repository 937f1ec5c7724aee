package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/target"
)

// diskReadonly is disk.readonly: one helper changes what is mounted for the instance, and another one, which is a process of the instance's own user, tries to write.
type diskReadonly struct {
	instance
	rt      target.Runtime
	hoster  target.Hoster
	mounter target.Mounter
	path    string
	open    string // openNone or openAny

	mounting target.Helper // nil before Prepare and after the revert
	writing  target.Helper // nil if it has ended
	mark     readonlyUndo
	seen     agent.ReadOnlyStatus // what the first helper has told last
	left     agent.Uses           // who was there when it was taken off
}

func newDiskReadonly(r Request) (Fault, error) {
	hoster, err := able[target.Hoster](r.Runtime, target.CanHost)
	if err != nil {
		return nil, err
	}
	mounter, err := able[target.Mounter](r.Runtime, target.CanMount)
	if err != nil {
		return nil, err
	}
	return eachInstance(r, func(i instance) (subject, error) {
		return &diskReadonly{instance: i, rt: r.Runtime, hoster: hoster, mounter: mounter, path: r.Params.Text("path"), open: r.Params.Text("open")}, nil
	})
}

// firstProcess is the number of an instance's first process to a helper that mounts.
const firstProcess = 1

// Prepare implements Fault.
func (d *diskReadonly) Prepare(ctx context.Context) ([]target.Undo, error) {
	if err := d.look(ctx); err != nil {
		return nil, err
	}
	now, err := d.write(ctx)
	if err != nil {
		return nil, err
	}
	if now.Write == agent.ReadOnly {
		return nil, fmt.Errorf("%s is read-only already, so the fault would prove nothing", d.path)
	}
	if now.Write != agent.Succeeded {
		return nil, fmt.Errorf("its own user cannot write at %s, so it would not feel the fault: %s", d.path, now.Text)
	}
	if d.mounting, err = d.mounter.Mounting(ctx, d.Target, agent.ReadOnlyJob, agent.ReadOnlyConfig{Process: firstProcess, Path: d.path}); err != nil {
		return nil, err
	}
	s, err := answerOf[agent.ReadOnlyStatus](ctx, d.mounting, agent.Status)
	if err != nil {
		return nil, err
	}
	d.mark = readonlyUndo{ReadOnlyMark: s.Mark, Started: d.before.Started, Writer: d.writing.ID()}
	return d.undo("disk.readonly", d.mark, rollback)
}

// write tries to write as a process of the instance. One that has ended, with the instance or by itself, is replaced.
func (d *diskReadonly) write(ctx context.Context) (agent.DirectoryStatus, error) {
	if d.writing != nil {
		now, err := answerOf[agent.DirectoryStatus](ctx, d.writing, agent.Status)
		if !errors.Is(err, agent.ErrEnded) {
			return now, err
		}
		if err := d.letGo(ctx); err != nil {
			return now, err
		}
	}
	h, err := d.hoster.Host(ctx, d.Target, agent.DirectoryJob, agent.DirectoryConfig{Path: d.path})
	if err != nil {
		return agent.DirectoryStatus{}, err
	}
	d.writing = h
	return answerOf[agent.DirectoryStatus](ctx, h, agent.Status)
}

// letGo ends who tries to write.
func (d *diskReadonly) letGo(ctx context.Context) error {
	if d.writing == nil {
		return nil
	}
	h := d.writing
	d.writing = nil
	if err := h.Close(ctx); err != nil && !errors.Is(err, agent.ErrEnded) {
		return err
	}
	return nil
}

// Inject implements Fault.
func (d *diskReadonly) Inject(ctx context.Context) (Effect, error) {
	before := d.before
	if err := d.look(ctx); err != nil {
		return Effect{}, err
	}
	if !before.Started.Equal(d.before.Started) {
		return Effect{}, errors.New("it was started again since the fault was prepared")
	}
	d.touched = true
	if _, err := answerOf[agent.ReadOnlyStatus](ctx, d.mounting, agent.Inject); err != nil {
		_, _ = d.mounted(ctx) // what it has mounted the revert asks as well
		return Effect{}, err
	}
	if _, err := until(ctx, closeLimit, func(ctx context.Context) (bool, error) {
		_, err := d.mounted(ctx)
		return d.whole(), err
	}); err != nil {
		return Effect{}, err
	}
	return d.measure(ctx)
}

// measure tells what comes of a write.
func (d *diskReadonly) measure(ctx context.Context) (Effect, error) {
	now, err := d.write(ctx)
	if err != nil {
		return Effect{}, err
	}
	switch {
	case now.Write == agent.ReadOnly:
		return d.readOnly(ctx)
	case now.Write == agent.Succeeded && !d.touched:
		return Effect{Summary: fmt.Sprintf("%s: %s can be written to", d.Instance, d.path)}, nil
	case now.Write == agent.Succeeded:
		return Effect{Summary: fmt.Sprintf("%s: %s can be written to all the same", d.Instance, d.path)}, nil
	}
	return Effect{Summary: fmt.Sprintf("%s: a write at %s should meet EROFS, but met: %s", d.Instance, d.path, now.Text)}, nil
}

// Check implements Fault. What is mounted stays if only its helper is gone, so it is the write that counts.
func (d *diskReadonly) Check(ctx context.Context) (Effect, error) {
	st, err := d.inspect(ctx)
	if err != nil {
		return Effect{}, err
	}
	if !st.Running {
		return d.withFate(ctx, Effect{Summary: fmt.Sprintf("%s: it does not run, and nobody can write at %s", d.Instance, d.path)})
	}
	e, err := d.measure(ctx)
	if err != nil {
		return e, err
	}
	return d.withFate(ctx, e)
}

// Revert implements Fault. A helper that cannot take off what it has mounted, because it is gone or for any other reason, leaves that to another one.
func (d *diskReadonly) Revert(ctx context.Context) (Effect, error) {
	if d.mounting != nil {
		failed := d.takeOff(ctx)
		if failed != nil && d.touched {
			left, err := takeOffAnew(ctx, d.rt, d.Ref, d.mark)
			if err != nil {
				return Effect{}, errors.Join(err, failed)
			}
			d.left = left
		}
		d.mounting = nil // one that has mounted nothing may be gone for any reason
	}
	if !d.touched {
		return d.untouched(), d.letGo(ctx)
	}
	e, err := d.writable(ctx)
	return e, errors.Join(err, d.letGo(ctx))
}

// mounted asks the helper what is mounted. Where it says that it has mounted nothing, what there is is another fault's, and not this one's to take off.
func (d *diskReadonly) mounted(ctx context.Context) (agent.ReadOnlyStatus, error) {
	s, err := answerOf[agent.ReadOnlyStatus](ctx, d.mounting, agent.Status)
	if err != nil {
		return s, err
	}
	d.seen = s
	if !s.Touched {
		d.touched = false
	}
	return s, nil
}

// takeOff has the helper take off what it has mounted, and ends it.
func (d *diskReadonly) takeOff(ctx context.Context) error {
	_, err := d.mounting.Call(ctx, agent.Revert)
	if err == nil {
		var s agent.ReadOnlyStatus
		s, err = d.mounted(ctx)
		d.left, err = s.Left, off(s, err)
	}
	return errors.Join(err, d.mounting.Close(ctx))
}

// off is an error if something is mounted still.
func off(s agent.ReadOnlyStatus, err error) error {
	if err == nil && s.On {
		err = fmt.Errorf("%s is mounted read-only still", s.Mark.At)
	}
	return err
}

// writable reads back what comes of a write now.
func (d *diskReadonly) writable(ctx context.Context) (Effect, error) {
	if gone, err := lostMounts(ctx, d.instance, d.mark.Started); gone || err != nil {
		return Effect{Proven: gone, Summary: d.Instance + ": it has ended or was started again meanwhile, and what was mounted for it is gone with that"}, err
	}
	now, err := d.write(ctx)
	switch {
	case err != nil:
		return Effect{}, err
	case now.Write == agent.Succeeded:
		e := Effect{Proven: true, Summary: fmt.Sprintf("%s: %s can be written to again", d.Instance, d.path)}
		if d.left.Count > 0 {
			e.Summary += fmt.Sprintf("; come there meanwhile, and able to write, but without a name of their working directory until they leave it, %s", namely(d.left, "process"))
			e.Readings = map[string]float64{"processes_left": float64(d.left.Count)}
		}
		return e, nil
	}
	return Effect{Proven: now.Write != agent.ReadOnly, Summary: fmt.Sprintf("%s: what was mounted at %s is taken off; a write meets: %s", d.Instance, d.path, now.Text)}, nil
}

// lostMounts says whether what was mounted for an instance has gone with the start of that time.
func lostMounts(ctx context.Context, i instance, started time.Time) (bool, error) {
	now, err := i.inspect(ctx)
	if errors.Is(err, target.ErrGone) {
		return true, nil
	}
	return err == nil && (!now.Running || !now.Started.Equal(started)), err
}

// takeOffAnew has another helper take off what was mounted, and verify that. It answers who was there.
func takeOffAnew(ctx context.Context, rt target.Runtime, ref target.Ref, u readonlyUndo) (agent.Uses, error) {
	i, err := newInstance(Request{Runtime: rt}, target.Target{Ref: ref})
	if err != nil {
		return agent.Uses{}, err
	}
	if gone, err := lostMounts(ctx, i, u.Started); gone || err != nil {
		return agent.Uses{}, err
	}
	mounter, err := able[target.Mounter](rt, target.CanMount)
	if err != nil {
		return agent.Uses{}, err
	}
	h, err := mounter.Mounting(ctx, i.Target, agent.ReadOnlyJob, agent.ReadOnlyConfig{Process: firstProcess, Path: u.At, Clear: &u.ReadOnlyMark})
	if err != nil {
		return agent.Uses{}, err
	}
	s, err := answerOf[agent.ReadOnlyStatus](ctx, h, agent.Inject)
	return s.Left, errors.Join(off(s, err), h.Close(ctx))
}

// revertDiskReadonly takes off what a dead runner has mounted, and sees that its helper in the instance is at work no more.
func revertDiskReadonly(ctx context.Context, rt target.Runtime, data json.RawMessage, ref target.Ref) error {
	var u readonlyUndo
	if err := json.Unmarshal(data, &u); err != nil {
		return fmt.Errorf("read the undo: %w", err)
	}
	if u.At == "" || u.Under == 0 {
		return errors.New("the undo names nothing that is mounted")
	}
	_, err := takeOffAnew(ctx, rt, ref, u)
	if errors.Is(err, target.ErrGone) {
		err = nil
	}
	if u.Writer != "" {
		err = errors.Join(err, endHelper(ctx, rt, helperUndo{Helper: u.Writer}, ref))
	}
	return err
}
