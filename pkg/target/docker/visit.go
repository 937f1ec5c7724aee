package docker

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"
)

// visit is how a helper in a container is found: by the engine's name for it and, as an engine that is started again forgets that, by its process on the engine's machine.
type visit struct {
	container, exec string
	pid             int // 0: it was not seen
}

// id is what another process needs of it that knows the container.
func (v visit) id() string { return fmt.Sprintf("%s/%d", v.exec, v.pid) }

func visitOf(container, id string) visit {
	exec, process, _ := strings.Cut(id, "/")
	pid, _ := strconv.Atoi(process) // none is none
	return visit{container: container, exec: exec, pid: pid}
}

// look asks which process it is.
func (v *visit) look(ctx context.Context, engine *client.Client) error {
	now, err := engine.ContainerExecInspect(ctx, v.exec)
	if err == nil {
		v.pid = now.Pid
	}
	return err
}

// end waits until the helper is no longer at work. It ends with the connection of its runner, which has died, or some seconds after that was lost; there is nothing to end it
// by from outside, so one that stays is an error that names its process.
func (v visit) end(ctx context.Context, engine *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	seen := 0
	err := poll(ctx, func() (bool, error) {
		now, err := engine.ContainerExecInspect(ctx, v.exec)
		if cerrdefs.IsNotFound(err) { // with its container, or long ago; or the engine has forgotten it
			now.Pid = v.pid
			now.Running, err = v.runs(ctx, engine)
		}
		if err == nil {
			seen = now.Pid
		}
		return err == nil && !now.Running, err
	})
	switch {
	case err == nil:
		return nil
	case seen == 0:
		return fmt.Errorf("whether the helper in the container has ended cannot be seen: %w", err)
	}
	return fmt.Errorf("the helper in the container is still at work (process %d of the engine's machine): %w", seen, err)
}

// runs looks for the helper among the processes of its container, none of which runs on when that ends.
func (v visit) runs(ctx context.Context, engine *client.Client) (bool, error) {
	top, err := engine.ContainerTop(ctx, v.container, []string{"-eo", "pid,args"})
	if err != nil && goes(err) { // the container is gone, or does not run
		return false, nil
	}
	return slices.ContainsFunc(top.Processes, func(p []string) bool {
		return len(p) > 1 && p[0] == strconv.Itoa(v.pid) && strings.HasSuffix(p[len(p)-1], " "+guestArg)
	}), err
}
