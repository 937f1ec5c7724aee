package docker

import (
	"context"
	"fmt"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// instance is one container of a service, over all its starts.
type instance struct {
	service   string
	number    int
	name      string // service-a-1
	id        string
	spec      spec.Service
	endpoint  Endpoint
	engine    *client.Client
	protected bool

	front *forwarder // nil: it is reached at a fixed address
	fixed string

	mu       sync.Mutex
	now      string // where it is reached in its current start; of front
	held     bool
	hit      time.Time // when a fault has last hit it
	baseline int       // restarts, by the engine's count, before Up
	counted  int       // restarts before the engine's count began anew
	// lastCount is the engine's count when it was last read.
	lastCount int
	oomAt     time.Time // when the kernel has last killed for memory in this start
	running   bool      // what was last told
	started   string    // the start and the end that were last told, by the engine's time
	finished  string
	unpoll    context.CancelFunc
	lastExit  int
	oomKills  int64
	loads     int // helpers that take its memory, so that being killed for it is the fault's doing
}

// goneError says that a container is no longer there.
func (i *instance) gone() error {
	return fmt.Errorf("%s: its container %.12s was removed", i.name, i.id)
}

func (i *instance) inspect(ctx context.Context) (container.InspectResponse, error) {
	info, err := i.engine.ContainerInspect(ctx, i.id)
	if cerrdefs.IsNotFound(err) {
		return info, i.gone()
	}
	if err != nil {
		return info, fmt.Errorf("inspect %s: %w", i.name, err)
	}
	if info.State == nil || info.HostConfig == nil || info.Config == nil || info.NetworkSettings == nil {
		return info, fmt.Errorf("inspect %s: the engine's answer lacks its state", i.name)
	}
	return info, nil
}

// status is the instance's state as faults see it.
func (i *instance) status(ctx context.Context) (target.Status, error) {
	info, err := i.inspect(ctx)
	if err != nil {
		return target.Status{ExitCode: -1}, err
	}
	i.moved(info) // before the start is told of, or if it never is
	st := statusOf(info)
	i.mu.Lock()
	st.Restarts = i.countedTo(info.RestartCount)
	st.OOMKills = i.oomKills
	if st.Running && i.lastExit >= 0 {
		st.ExitCode = i.lastExit
	}
	i.mu.Unlock()
	st.OOMKilled = st.OOMKills > 0 || info.State.OOMKilled
	st.Ready = st.Running && i.readyNow(ctx, info) == nil
	return st, nil
}

// statusOf is what the engine says by itself.
func statusOf(info container.InspectResponse) target.Status {
	st := target.Status{Running: info.State.Running && !info.State.Restarting, Paused: info.State.Paused, ExitCode: -1}
	if st.Running {
		st.PID = info.State.Pid
	} else {
		st.ExitCode = info.State.ExitCode
	}
	st.Started, _ = time.Parse(time.RFC3339Nano, info.State.StartedAt) // zero if it never was
	return st
}
