package docker

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// hosts starts helpers and ends them. What it makes in the engine carries its id as a label. It is safe for concurrent use.
type hosts struct {
	Helpers
	engine  *client.Client
	id      string
	program program

	mu        sync.Mutex
	ended     bool
	open      map[ender]struct{}
	unsettled time.Duration // how long what was asked for may still come to be, because the asking was cut short
}

// ender is a helper, or what one needs, that is ended with its environment.
type ender interface {
	release()
	Close(context.Context) error
}

func newHosts(h Helpers, engine *client.Client, id string) *hosts {
	return &hosts{Helpers: h, engine: engine, id: id, open: map[ender]struct{}{}}
}

var errEnding = errors.New("the environment ends")

// keep makes a helper known, so that it is ended with the environment; one that comes too late is ended at once.
func (h *hosts) keep(ctx context.Context, e ender) error {
	h.mu.Lock()
	ended := h.ended
	if !ended {
		h.open[e] = struct{}{}
	}
	h.mu.Unlock()
	if ended {
		return errors.Join(errEnding, e.Close(context.WithoutCancel(ctx)))
	}
	return nil
}

func (h *hosts) drop(e ender) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, e)
}

// end lets no more helpers in, ends those there are, and removes what was made for them.
func (h *hosts) end(ctx context.Context) error {
	closed := h.close(ctx)
	h.mu.Lock()
	unsettled := h.unsettled
	h.mu.Unlock()
	return errors.Join(closed, endOurs(ctx, h.engine, h.id, unsettled))
}

// cutShort notes of an error in asking an engine for something whether it may come to be all the same.
func (h *hosts) cutShort(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		h.mu.Lock()
		h.unsettled = quiet
		h.mu.Unlock()
	}
	return err
}

// close lets no more helpers in and ends those there are.
func (h *hosts) close(ctx context.Context) error {
	h.mu.Lock()
	h.ended = true
	var open []ender
	for e := range h.open {
		open = append(open, e)
	}
	h.mu.Unlock()
	for _, e := range open {
		e.release() // all end at once; then each is waited for in its own time
	}
	var errs []error
	for _, e := range open {
		errs = append(errs, e.Close(ctx))
	}
	return errors.Join(errs...)
}

// powers say what a helper may do beyond nothing.
type powers func(*container.Config, *container.HostConfig)

// seesProcesses lets a helper see and signal the machine's processes.
func seesProcesses(c *container.Config, h *container.HostConfig) {
	c.User = "0:0"
	h.PidMode, h.UsernsMode = "host", "host"
	h.CapAdd = []string{"KILL"}
	h.SecurityOpt = append(h.SecurityOpt, "apparmor=unconfined") // a profile lets only its own be signalled
}

// inNetworkOf lets a helper send from the network namespace of a container.
func inNetworkOf(id string) powers {
	return func(_ *container.Config, h *container.HostConfig) {
		h.NetworkMode = container.NetworkMode("container:" + id)
	}
}

// rulesNetworkOf lets a helper decide what becomes of a container's packets, and carries a label by which it is found.
func rulesNetworkOf(id string, label map[string]string) powers {
	return func(c *container.Config, h *container.HostConfig) {
		inNetworkOf(id)(c, h)
		c.User = "0:0"
		h.CapAdd = []string{"NET_ADMIN"}
		maps.Copy(c.Labels, label)
	}
}

// start starts a helper in a container of its own and arms it.
func (h *hosts) start(ctx context.Context, job string, config any, may powers) (*helper, error) {
	image, err := h.program.image(ctx, h.engine, h.Self, h.id)
	if err != nil {
		return nil, h.cutShort(ctx, err)
	}
	c := &container.Config{
		Image: image, Cmd: []string{programPath, "agent"}, OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
		Labels: map[string]string{labelOurs: mark(h.id)},
	}
	host := &container.HostConfig{
		AutoRemove: true, NetworkMode: "none", ReadonlyRootfs: true, CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"},
		LogConfig: container.LogConfig{Type: "none"},
	}
	may(c, host)
	made, err := h.engine.ContainerCreate(ctx, c, host, nil, nil, "")
	if cerrdefs.IsNotFound(err) { // somebody has removed the image
		h.program.forget()
		if c.Image, err = h.program.image(ctx, h.engine, h.Self, h.id); err == nil {
			made, err = h.engine.ContainerCreate(ctx, c, host, nil, nil, "")
		}
	}
	if err != nil {
		return nil, h.cutShort(ctx, err)
	}
	one := &helper{of: h, id: made.ID}
	if err := one.run(ctx); err != nil {
		removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		return nil, errors.Join(err, one.remove(removing))
	}
	if err := h.keep(ctx, one); err != nil {
		return nil, err
	}
	if err := one.client.Arm(ctx, job, config); err != nil {
		return nil, errors.Join(one.stderr.with(err), one.Close(context.WithoutCancel(ctx)))
	}
	return one, nil
}
