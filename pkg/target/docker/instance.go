package docker

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"

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
	lastExit int
	oomKills int64
	loads    int // helpers inside, so that being killed for memory is the fault's doing
}

// defaultReady is how long a service may take to be ready.
const defaultReady = 15 * time.Second

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

// httpPort is the container's port that traffic reaches, "5000/tcp"; false if it has none.
func (i *instance) httpPort() (nat.Port, bool) {
	port, ok := i.spec.Ports[spec.HTTPPort]
	return nat.Port(port + "/tcp"), ok
}

// place finds where the instance is reached. A port that the engine publishes under a number of the author's stays the same over all starts; any other place is
// looked up again after each start, behind an address that stays.
func (i *instance) place(info container.InspectResponse) error {
	port, ok := i.httpPort()
	if !ok {
		return nil
	}
	for _, b := range info.HostConfig.PortBindings[port] {
		if b.HostPort != "" && b.HostPort != "0" && !strings.Contains(b.HostPort, "-") {
			i.fixed = net.JoinHostPort(i.hostOf(b.HostIP), b.HostPort)
			return nil
		}
	}
	now, err := i.find(info, port)
	if err != nil {
		return err
	}
	i.now = now
	i.front, err = forward(i.current)
	return err
}

// find answers where a port is reached in the container's current start.
func (i *instance) find(info container.InspectResponse, port nat.Port) (string, error) {
	for _, b := range info.NetworkSettings.Ports[port] {
		if b.HostPort != "" {
			return net.JoinHostPort(i.hostOf(b.HostIP), b.HostPort), nil
		}
	}
	networks := info.NetworkSettings.Networks
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		if n := networks[name]; n != nil && n.IPAddress != "" && i.endpoint.Local() {
			return net.JoinHostPort(n.IPAddress, port.Port()), nil
		}
	}
	return "", fmt.Errorf("%s: its port %s cannot be reached from here: publish it in the Compose file", i.name, port.Port())
}

// hostOf is how a published address is reached from here.
func (i *instance) hostOf(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil || a.IsUnspecified() || a.IsLoopback() && !i.endpoint.Local() {
		return i.endpoint.name()
	}
	return ip
}

// address is where the instance is reached, over all its starts; empty if it has no http port.
func (i *instance) address() string {
	if i.front != nil {
		return i.front.address()
	}
	return i.fixed
}

// current is where it is reached now.
func (i *instance) current() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now
}

// moved looks up where the instance is reached in a new start.
func (i *instance) moved(info container.InspectResponse) {
	port, ok := i.httpPort()
	if !ok || i.front == nil {
		return
	}
	now, err := i.find(info, port)
	if err != nil {
		now = "" // nowhere, which its callers will see
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.now = now
}

func (i *instance) close() error {
	if i.front == nil {
		return nil
	}
	return i.front.close()
}

// readyURL is what answers 2xx when the instance is ready; empty if it has no such path.
func (i *instance) readyURL() string {
	if at := i.address(); at != "" && i.spec.Ready.HTTP != "" {
		return "http://" + at + i.spec.Ready.HTTP
	}
	return ""
}

// outlasts is the part of readyURL that outlasts this process: a forwarder does not.
func (i *instance) outlasts() string {
	if i.front != nil {
		return ""
	}
	return i.readyURL()
}

// askReady looks once whether it is ready: its path answers, else the engine's health check says so, else its port takes connections; with none of them, running is ready.
func (i *instance) askReady(ctx context.Context) error {
	info, err := i.inspect(ctx)
	if err != nil {
		return err
	}
	return i.readyNow(ctx, info)
}

func (i *instance) readyNow(ctx context.Context, info container.InspectResponse) error {
	if err := runs(info); err != nil {
		return err
	}
	url, at := i.readyURL(), i.address()
	if url == "" && info.State.Health != nil {
		return healthy(info)
	}
	if url == "" && at == "" {
		return nil
	}
	return target.AskReady(ctx, url, at)
}

func runs(info container.InspectResponse) error {
	switch {
	case info.State.Paused:
		return fmt.Errorf("it is paused")
	case !info.State.Running || info.State.Restarting:
		return fmt.Errorf("it is %s (exit code %d)", info.State.Status, info.State.ExitCode)
	}
	return nil
}

func healthy(info container.InspectResponse) error {
	if h := info.State.Health; h != nil && h.Status != container.Healthy && h.Status != container.NoHealthcheck {
		return fmt.Errorf("its health check says %s", h.Status)
	}
	return nil
}

// waitReady waits until it is ready; one that is not in time is an error that says what was tried and what it wrote last.
func (i *instance) waitReady(ctx context.Context) error {
	within := defaultReady
	if i.spec.Ready.Within != "" {
		var err error
		if within, err = time.ParseDuration(i.spec.Ready.Within); err != nil {
			return err
		}
	}
	limit, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := target.PollReady(limit, i.askReady)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("wait until %s is ready: %w", i.name, context.Cause(ctx))
	}
	return fmt.Errorf("%s was not ready within %v: %w; %s", i.name, within, err, i.tail(ctx))
}

// status is the instance's state as faults see it.
func (i *instance) status(ctx context.Context) (target.Status, error) {
	info, err := i.inspect(ctx)
	if err != nil {
		return target.Status{ExitCode: -1}, err
	}
	st := statusOf(info)
	i.mu.Lock()
	st.Restarts = i.counted + info.RestartCount - i.baseline
	st.OOMKills = i.oomKills
	if st.Running && i.lastExit >= 0 {
		st.ExitCode = i.lastExit
	}
	i.mu.Unlock()
	st.OOMKilled = st.OOMKills > 0
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
