package docker

import (
	"context"
	"errors"
	"fmt"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"chaosgate/pkg/target"
)

// labelMounts is that of a helper that changes what is mounted for a container: its value is the container's id.
const labelMounts = "chaosgate.mounts"

// changesMountsOf lets a helper enter what is mounted for a container, whoever its user is, and change that.
func changesMountsOf(id string) powers {
	return func(c *container.Config, h *container.HostConfig) {
		c.User = "0:0"
		c.Labels[labelMounts] = id
		h.PidMode, h.UsernsMode = container.PidMode("container:"+id), "host"
		h.CapAdd = []string{"SYS_ADMIN", "SYS_CHROOT", "SYS_PTRACE", "DAC_READ_SEARCH"} // to mount, to enter (two), and to find a folder that only its owner may look into
		h.SecurityOpt = append(h.SecurityOpt, "apparmor=unconfined")                    // a profile lets nobody mount
	}
}

// Mounting implements target.Mounter.
func (e *Environment) Mounting(ctx context.Context, t target.Target, job string, config any) (target.Helper, error) {
	i, err := e.mayHit(t)
	if err != nil {
		return nil, err
	}
	h, err := e.hosts.mounting(ctx, i.id, job, config)
	if err != nil {
		return nil, fmt.Errorf("start the helper for %s beside %s: %w", job, i.name, err)
	}
	return h, nil
}

// mounting starts a helper that is among the processes of a container. Among those that are others' as well the first one is not the container's.
func (h *hosts) mounting(ctx context.Context, id, job string, config any) (*helper, error) {
	info, err := h.engine.ContainerInspect(ctx, id)
	if err != nil {
		return nil, err
	}
	if mode := info.HostConfig.PidMode; mode != "" && mode != "private" {
		return nil, fmt.Errorf("its processes are those of others as well (pid: %q in the Compose file), so what is mounted for it cannot be told from theirs", mode)
	}
	return h.start(ctx, job, config, changesMountsOf(id))
}

// Mounting implements target.Mounter.
func (a *attached) Mounting(ctx context.Context, _ target.Target, job string, config any) (target.Helper, error) {
	engine, r, err := a.open()
	if err != nil {
		return nil, err
	}
	h := a.hosts(engine, r)
	err = endMounting(ctx, engine, r)
	var one *helper
	if err == nil {
		one, err = h.mounting(ctx, r.Container, job, config)
	}
	if cerrdefs.IsNotFound(err) {
		err = target.ErrGone
	}
	if err != nil {
		return nil, errors.Join(err, a.ended(ctx, h), engine.Close())
	}
	return &neighbour{helper: one, hosts: h}, nil
}

// endMounting ends the helpers that a dead runner has left at work on what is mounted for a container: one of them could still be about to mount something.
func endMounting(ctx context.Context, engine *client.Client, r reference) error {
	return poll(ctx, func() (bool, error) {
		left, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
			filters.Arg("label", labelOurs+"="+mark(r.Environment)), filters.Arg("label", labelMounts+"="+r.Container))})
		for _, c := range left {
			if err := engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true}); err != nil && !goes(err) {
				return false, fmt.Errorf("remove the helper %.12s: %w", c.ID, err)
			}
		}
		return len(left) == 0, err
	})
}

// neighbour is a helper beside a container with what it came by.
type neighbour struct {
	*helper
	hosts *hosts
}

// Close implements target.Helper.
func (n *neighbour) Close(ctx context.Context) error {
	return errors.Join(n.helper.Close(ctx), n.hosts.end(ctx), n.hosts.engine.Close())
}
