package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/proc"
	"chaosgate/pkg/target"
)

// hosted is a helper at work on one instance.
type hosted struct {
	instance
	kind   string
	hoster target.Hoster
	helper target.Helper // nil before Prepare and after the revert
	id     proc.ID       // the helper's process; zero if it is not on this machine
}

// helperUndo is enough to end a helper that has outlived its runner.
type helperUndo struct {
	Process      proc.ID `json:"process"`
	Helper       string  `json:"helper,omitempty"` // its ID, if it is no process of this machine
	databaseUndo         // of the database that it locks
	// Score is the OOM score that the service had before it was made the first to be killed; nil if it was not.
	Score *int `json:"score,omitempty"`
}

func newHosted(r Request, i instance, kind string) (hosted, error) {
	hoster, err := able[target.Hoster](r.Runtime, target.CanHost)
	return hosted{instance: i, kind: kind, hoster: hoster}, err
}

// arm starts the helper near the instance; it does nothing yet. The helper ends with the runner, so the undo is for the case that it does not; it holds what more
// there is to take back.
func (h *hosted) arm(ctx context.Context, job string, config any, more helperUndo) ([]target.Undo, error) {
	if err := h.look(ctx); err != nil {
		return nil, err
	}
	helper, err := h.hoster.Host(ctx, h.Target, job, config)
	if err != nil {
		return nil, err
	}
	h.helper = helper
	manual := rollback
	if pid := helper.PID(); pid > 0 {
		if h.id, err = proc.Identify(pid); err != nil {
			return nil, fmt.Errorf("identify the helper: %w", err)
		}
		manual = fmt.Sprintf("kill -KILL %d", pid)
	}
	more.Process, more.Helper = h.id, helper.ID()
	return h.undo(h.kind, more, manual)
}

// call sends a command to the helper and reads its answer.
func call[T any](ctx context.Context, h *hosted, command string) (T, error) {
	return answerOf[T](ctx, h.helper, command)
}

// answerOf sends a command to a helper, which may be nil, and reads its answer.
func answerOf[T any](ctx context.Context, h target.Helper, command string) (T, error) {
	var answer T
	if h == nil {
		return answer, errors.New("the helper is not armed")
	}
	text, err := h.Call(ctx, command)
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	return answer, err
}

// close ends the helper, which reverts, and verifies that it is gone. It is idempotent.
func (h *hosted) close(ctx context.Context) error {
	if h.helper == nil {
		return nil
	}
	if err := h.helper.Close(ctx); err != nil && !errors.Is(err, agent.ErrEnded) {
		// One that had to be killed is gone as well, and all it held was its own; that is looked up next.
		if h.id == (proc.ID{}) || h.id.Alive() {
			return err
		}
	}
	if h.id != (proc.ID{}) && h.id.Alive() {
		return fmt.Errorf("the helper (pid %d) still runs", h.id.PID)
	}
	h.helper = nil
	return nil
}

// endHelper ends a helper that has outlived its runner and verifies that.
func endHelper(ctx context.Context, rt target.Runtime, u helperUndo, ref target.Ref) error {
	id := u.Process
	if ender, ok := rt.(target.HelperEnder); ok && u.Helper != "" {
		return ender.EndHelper(ctx, target.Target{Ref: ref}, u.Helper)
	}
	if id == (proc.ID{}) {
		return errors.New("the undo names no process on this machine, so it cannot be seen whether the helper has ended")
	}
	gone, err := until(ctx, EndLimit, func(context.Context) (bool, error) {
		err := id.Signal(syscall.SIGKILL)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return !id.Alive(), err
	})
	if err == nil && !gone {
		err = fmt.Errorf("the helper (pid %d) still runs %v after SIGKILL", id.PID, EndLimit)
	}
	return err
}

// in says where a load runs: "in the service's own cgroup", "beside the service: ...".
func in(p target.Placement) string {
	if p.Cgroup {
		return "in " + p.Where
	}
	return p.Where
}

// revertHosted ends the helper of a dead runner.
func revertHosted(ctx context.Context, rt target.Runtime, data json.RawMessage, ref target.Ref) error {
	u, err := readHelperUndo(data)
	if err != nil {
		return err
	}
	return endHelper(ctx, rt, u, ref)
}

func readHelperUndo(data json.RawMessage) (helperUndo, error) {
	var u helperUndo
	if err := json.Unmarshal(data, &u); err != nil {
		return u, fmt.Errorf("read the undo: %w", err)
	}
	return u, nil
}
