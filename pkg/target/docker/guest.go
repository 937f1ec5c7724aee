package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/target"
)

// guest is this program inside a target's container: in its cgroup, with its user, its limits and its files, and without a file of ours copied into it. It is begun from
// the program of a helper that shares the container's processes for a moment; that works in a container without a shell, and in one to which nothing can be written.
type guest struct {
	line
	of *hosts
	at visit
}

var _ target.Helper = (*guest)(nil)

// enter starts a helper inside a container and arms it.
func (h *hosts) enter(ctx context.Context, id, job string, config any) (*guest, error) {
	user, err := h.userOf(ctx, id)
	if err != nil {
		return nil, err
	}
	door, err := h.start(ctx, h.Jobs.Self, struct{}{}, func(c *container.Config, host *container.HostConfig) {
		c.User, host.PidMode = user, container.PidMode("container:"+id) // who is looked at must be the same user as who looks
	})
	if err != nil {
		return nil, fmt.Errorf("share its processes: %w", err)
	}
	g, err := h.through(ctx, door, id, user)
	if err == nil {
		err = g.arm(ctx, job, config) // until it answers it may still be reading its program, which goes with the door
	}
	if err == nil {
		err = g.at.look(ctx, h.engine)
	}
	err = errors.Join(err, door.Close(context.WithoutCancel(ctx))) // bounded by itself
	if err == nil {
		if err = h.keep(ctx, g); err == nil {
			return g, nil
		}
	}
	if g != nil {
		err = errors.Join(err, g.Close(context.WithoutCancel(ctx)))
	}
	return nil, err
}

// enterWithin is how long is waited for a container that is down to run again, so that it can be entered: its restart policy may be about to start it.
const enterWithin = 10 * time.Second

// running waits until a container runs.
func (h *hosts) running(ctx context.Context, id string) (info container.InspectResponse, err error) {
	ctx, cancel := context.WithTimeout(ctx, enterWithin)
	defer cancel()
	if waited := poll(ctx, func() (bool, error) {
		info, err = h.engine.ContainerInspect(ctx, id)
		return err == nil && runs(info) == nil, err
	}); waited != nil && err == nil {
		err = fmt.Errorf("it does not run: %w", waited)
	}
	return info, err
}

// userOf answers as whom the container's first process runs, in numbers: a name means something in the container only.
func (h *hosts) userOf(ctx context.Context, id string) (string, error) {
	info, err := h.running(ctx, id)
	if err != nil {
		return "", err
	}
	top, err := h.engine.ContainerTop(ctx, id, []string{"-eo", "pid,uid,gid"})
	if err != nil {
		return "", fmt.Errorf("see as whom it runs: %w", err)
	}
	for _, p := range top.Processes {
		if len(p) == 3 && p[0] == strconv.Itoa(info.State.Pid) {
			return p[1] + ":" + p[2], nil
		}
	}
	return "", fmt.Errorf("as whom it runs cannot be seen: its process %d is not in the engine's list", info.State.Pid)
}

func (g *guest) arm(ctx context.Context, job string, config any) error {
	if err := g.client.Arm(ctx, job, config); err != nil {
		return g.stderr.with(err)
	}
	return nil
}

// through begins a guest by the program of a helper that shares the container's processes.
func (h *hosts) through(ctx context.Context, door *helper, id, user string) (*guest, error) {
	text, err := door.Call(ctx, "status")
	if err != nil {
		return nil, err
	}
	var at struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(text, &at); err != nil || at.PID <= 0 {
		return nil, fmt.Errorf("the helper says %q, and not which process it is: %w", text, err)
	}
	command, err := h.command(at.PID)
	if err != nil {
		return nil, err
	}
	made, err := h.engine.ContainerExecCreate(ctx, id, container.ExecOptions{User: user, WorkingDir: "/", Cmd: command, AttachStdin: true, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return nil, err
	}
	conn, err := within(ctx, func(ctx context.Context) (types.HijackedResponse, error) {
		return h.engine.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	})
	if err != nil {
		return nil, err
	}
	// That it gives no answer is no sign: it stands still with its container when that is paused, and waits with it when memory has run out.
	return &guest{line: h.connect(conn, nil), of: h, at: visit{container: id, exec: made.ID}}, nil
}

// command starts the program of another process. One that is not static brings its loader and its libraries along, from that process's own files.
func (h *hosts) command(pid int) ([]string, error) {
	files, err := closure(h.Self)
	if err != nil {
		return nil, err
	}
	if len(files) == 1 {
		return []string{fmt.Sprintf("/proc/%d/exe", pid), guestArg}, nil
	}
	root := fmt.Sprintf("/proc/%d/root", pid)
	var dirs []string
	for _, f := range files[2:] {
		if dir := root + filepath.Dir(f.to); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return []string{root + files[1].to, "--library-path", strings.Join(dirs, ":"), root + programPath, guestArg}, nil
}

// guestArg makes this program a helper.
const guestArg = "agent"

// Close implements target.Helper. It returns when the process has ended; one that does not end is an error that names it.
func (g *guest) Close(ctx context.Context) error {
	defer g.hang()
	g.release()
	err := g.at.end(ctx, g.of.engine)
	if err == nil {
		g.of.drop(g)
	}
	return err
}

// ID implements target.Helper: it is how another process finds the helper.
func (g *guest) ID() string { return g.at.id() }

// poll asks until the answer is yes, or an error; it is an error if ctx ends first.
func poll(ctx context.Context, ask func() (bool, error)) error {
	for {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		if err := breathe(ctx); err != nil {
			return err
		}
	}
}
