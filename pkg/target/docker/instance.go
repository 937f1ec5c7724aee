package docker

import (
	"context"
	"fmt"
	"net/netip"
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
	ran       bool // when it was found

	front  *forwarder // nil: it is reached at a fixed address
	fixed  string
	door   *forwarder   // of scrapes and readiness; nil: they go the same way as traffic
	own    []netip.Addr // of this machine, when the door was opened
	way    attachment   // over which it was; zero without a door
	spared *target.Ports

	mu     sync.Mutex
	now    string // where it is reached in its current start; of front
	inside string // where its http port is in its network; of door

	// What faults do to it. What the engine tells later was caused by it then.
	held        bool
	heldSince   time.Time
	heldUntil   time.Time
	hit         time.Time // when a fault has last hit it
	loads       int       // helpers that take its memory
	loadedUntil time.Time
	lowered     map[target.Resource]bool // limits that a fault has lowered

	// What was told of it. The times are by the engine's clock.
	running  bool
	startAt  time.Time
	lastExit int
	oomAt    time.Time          // when the kernel has last killed for memory in this start
	unpoll   context.CancelFunc // ends asking whether the current start is ready

	// What the engine has answered last.
	latest    time.Time // the start that it spoke of
	lastCount int       // of restarts
	baseline  int       // restarts, by the engine's count, before Up
	counted   int       // restarts before the engine's count began anew
	oomKills  int64
	oomSeen   bool
	oomBefore time.Time // the start, before Up, in which the kernel had killed already
}

// gone says that a container is no longer there.
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
	st := statusOf(info)
	st.Restarts = i.learn(info)
	i.mu.Lock()
	st.OOMKills = i.oomKills
	st.OOMKilled = i.oomKills > 0 || i.oomSeen
	if st.Running && i.lastExit >= 0 {
		st.ExitCode = i.lastExit
	}
	i.mu.Unlock()
	st.Ready = st.Running && i.readyNow(ctx, info) == nil
	return st, nil
}

// learn takes in what the engine answers, and answers how often the instance was restarted since Up. Answers may come in another order than they were given in: an older
// one is left out. The engine's count begins anew with a start that was asked for, and with the engine.
func (i *instance) learn(info container.InspectResponse) int {
	started := engineTime(info.State.StartedAt)
	i.mu.Lock()
	defer i.mu.Unlock()
	newer := started.After(i.latest)
	if started.Before(i.latest) || !newer && info.RestartCount < i.lastCount {
		return i.counted + i.lastCount - i.baseline
	}
	if info.RestartCount < i.lastCount {
		i.counted += i.lastCount - i.baseline
		i.baseline = 0
	}
	i.latest, i.lastCount = started, info.RestartCount
	i.oomSeen = i.oomSeen || info.State.OOMKilled && !started.Equal(i.oomBefore)
	if port, ok := i.httpPort(); ok && i.front != nil {
		i.now, _ = i.find(info, port) // nowhere while it does not run, which its callers see
	}
	if i.door != nil {
		i.inside = i.insideOf(info) // nowhere while it does not run
	}
	return i.counted + info.RestartCount - i.baseline
}

// statusOf is what the engine says by itself.
func statusOf(info container.InspectResponse) target.Status {
	st := target.Status{Running: info.State.Running && !info.State.Restarting, Paused: info.State.Paused, ExitCode: -1}
	if st.Running {
		st.PID = info.State.Pid
	} else {
		st.ExitCode = info.State.ExitCode
	}
	st.Started = engineTime(info.State.StartedAt)
	return st
}
