package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"chaosgate/pkg/target"
)

// helperTimeout bounds how long a helper may take to revert and exit when its stdin is closed.
const helperTimeout = 5 * time.Second

// helper is this program in a container of its own, told what to do over its standard input. When that ends, with the runner at the latest, it reverts and exits, and
// the engine removes it.
type helper struct {
	env    *Environment
	id     string
	stdin  types.HijackedResponse
	stdout *io.PipeReader
	client target.HelperClient
}

// powers say what a helper may do beyond nothing.
type powers func(*container.HostConfig)

// seesProcesses lets a helper see and signal the machine's processes.
func seesProcesses(c *container.HostConfig) {
	c.PidMode, c.UsernsMode = "host", "host"
	c.CapAdd = []string{"KILL"}
	c.SecurityOpt = append(c.SecurityOpt, "apparmor=unconfined") // a profile lets only its own be signalled
}

// host starts a helper for an instance and arms it.
func (e *Environment) host(ctx context.Context, i *instance, job string, config any, may powers) (*helper, error) {
	h, err := e.startHelper(ctx, may)
	if err != nil {
		return nil, fmt.Errorf("start the helper for %s on %s: %w", job, i.name, err)
	}
	if err := h.client.Arm(ctx, job, config); err != nil {
		return nil, errors.Join(fmt.Errorf("arm the helper for %s on %s: %w", job, i.name, err), h.Close(context.WithoutCancel(ctx)))
	}
	return h, nil
}

func (e *Environment) startHelper(ctx context.Context, may powers) (*helper, error) {
	image, err := e.program.image(ctx, e.engine, e.opts.Self, e.id)
	if err != nil {
		return nil, err
	}
	config := &container.Config{
		Image: image, Cmd: []string{programPath, "agent"}, User: "0:0", OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
		Labels: map[string]string{labelOurs: e.id},
	}
	host := &container.HostConfig{
		AutoRemove: true, NetworkMode: "none", ReadonlyRootfs: true, CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"},
		LogConfig: container.LogConfig{Type: "none"},
	}
	may(host)
	made, err := e.engine.ContainerCreate(ctx, config, host, nil, nil, "")
	if err != nil {
		return nil, err
	}
	h := &helper{env: e, id: made.ID}
	if err := h.run(ctx); err != nil {
		return nil, errors.Join(err, h.remove(context.WithoutCancel(ctx)))
	}
	return h, e.addHelper(ctx, h)
}

// run attaches to the container and starts it.
func (h *helper) run(ctx context.Context) error {
	engine := h.env.engine
	// The connection is the lease: it must not end with the step that needed it.
	attached, err := engine.ContainerAttach(context.WithoutCancel(ctx), h.id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return err
	}
	h.stdin = attached
	stdout, in := io.Pipe()
	h.stdout = stdout
	go func() {
		_, err := stdcopy.StdCopy(in, io.Discard, attached.Reader)
		_ = in.CloseWithError(errors.Join(err, io.EOF))
	}()
	h.client = h.env.opts.Connect(closer{attached}, stdout)
	return engine.ContainerStart(ctx, h.id, container.StartOptions{})
}

// closer is the standard input of an attached container; closing it is the end of it alone.
type closer struct{ types.HijackedResponse }

func (c closer) Write(p []byte) (int, error) { return c.Conn.Write(p) }
func (c closer) Close() error                { return c.CloseWrite() }

// Call implements target.Helper.
func (h *helper) Call(ctx context.Context, command string) (json.RawMessage, error) {
	return h.client.Call(ctx, command)
}

// Close implements target.Helper. A helper that does not exit in time is killed, which is an error: whether it has reverted is not known then.
func (h *helper) Close(ctx context.Context) error {
	h.env.dropHelper(h)
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	ended, failed := h.env.engine.ContainerWait(ctx, h.id, container.WaitConditionRemoved)
	_ = h.stdin.CloseWrite() // it fails only if it is closed
	var err error
	select {
	case r := <-ended:
		if r.StatusCode != 0 {
			err = fmt.Errorf("the helper %.12s ended with exit code %d", h.id, r.StatusCode)
		}
	case err = <-failed:
		if cerrdefs.IsNotFound(err) {
			err = nil
		} else {
			killing, cancel := context.WithTimeout(context.WithoutCancel(ctx), helperTimeout)
			defer cancel()
			err = errors.Join(fmt.Errorf("the helper %.12s did not end when it was told to: %w", h.id, err), h.remove(killing))
		}
	}
	h.stdin.Close()
	_ = h.stdout.Close()
	return err
}

func (h *helper) remove(ctx context.Context) error {
	err := h.env.engine.ContainerRemove(ctx, h.id, container.RemoveOptions{Force: true})
	if cerrdefs.IsNotFound(err) || cerrdefs.IsConflict(err) { // it is gone, or going
		return nil
	}
	return err
}

var errEnding = errors.New("the environment ends")

// addHelper makes a helper known, so that Down ends it.
func (e *Environment) addHelper(ctx context.Context, h *helper) error {
	e.mu.Lock()
	ended := e.ended
	if !ended {
		e.helpers[h] = struct{}{}
	}
	e.mu.Unlock()
	if ended {
		return errors.Join(errEnding, h.Close(context.WithoutCancel(ctx)))
	}
	return nil
}

func (e *Environment) dropHelper(h *helper) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.helpers, h)
}

// endHelpers lets no more helpers in and answers those there are.
func (e *Environment) endHelpers() []*helper {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	var all []*helper
	for h := range e.helpers {
		all = append(all, h)
	}
	return all
}
