package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"

	"chaosgate/pkg/target"
)

// exactLimit is the limit of one resource as an engine writes it. An engine keeps a limit on CPU in one of two ways, and refuses to change it in the other.
type exactLimit struct {
	NanoCPUs   int64 `json:"nano_cpus,omitempty"`  // billionths of a processor
	CPUQuota   int64 `json:"cpu_quota,omitempty"`  // microseconds in each period
	CPUPeriod  int64 `json:"cpu_period,omitempty"` // 0 is the usual one
	Memory     int64 `json:"memory,omitempty"`
	MemorySwap int64 `json:"memory_swap,omitempty"` // memory and swap together; -1 is any amount of swap
}

// What no engine and no kernel takes less than.
const (
	leastQuota  = 1000 // microseconds
	leastMemory = 6 << 20
)

// Limit implements target.Limiter.
func (e *Environment) Limit(ctx context.Context, t target.Target, what target.Resource) (target.Limit, error) {
	i, err := e.mayHit(t)
	if err != nil {
		return target.Limit{}, err
	}
	info, err := i.inspect(ctx)
	if err != nil {
		return target.Limit{}, err
	}
	l := target.Limit{Resource: what, Lowered: i.isLowered(what)}
	var x exactLimit
	if what == target.Memory {
		x, err = memoryLimit(info.HostConfig.Resources)
		l.Amount, l.Least = float64(x.Memory), float64(max(leastMemory, info.HostConfig.MemoryReservation))
	} else {
		x, err = cpuShare(info.HostConfig.Resources)
		l.Amount, l.Least = cmp.Or(cpuLimit(info.HostConfig.Resources), float64(e.cpus)), float64(leastQuota)/float64(x.period())
	}
	if err != nil {
		return l, err
	}
	l.Manual = e.opts.Endpoint.command() + " update " + x.flags(what) + " " + i.id[:12]
	l.Exact, err = json.Marshal(x)
	return l, err
}

// cpuShare reads a limit on CPU. One that a container does not have can be given and taken away again as a quota: to an engine as to the kernel -1 is none.
func cpuShare(r container.Resources) (exactLimit, error) {
	if r.NanoCPUs > 0 && r.CPUQuota != 0 {
		return exactLimit{}, errors.New("it has its CPU limit in two ways at once, of which the engine heeds one now and the other after a restart: create its container anew")
	}
	return exactLimit{NanoCPUs: r.NanoCPUs, CPUQuota: r.CPUQuota, CPUPeriod: r.CPUPeriod}, nil
}

// memoryLimit reads a limit on memory. A container without one could not get rid of it: an engine takes an update to 0 as none at all and refuses -1. (The largest number
// would do in the kernel, with cgroup v1, but the container would be one that has a limit to everybody who asks the engine.)
func memoryLimit(r container.Resources) (exactLimit, error) {
	x := exactLimit{Memory: r.Memory, MemorySwap: r.MemorySwap}
	switch {
	case r.Memory <= 0:
		return x, errors.New("it has no memory limit, and an engine cannot return to none: give the service a limit in the Compose file, such as `mem_limit: 512m`; the fault lowers it and gives it back")
	case r.MemorySwap == 0:
		return x, errors.New("it has a memory limit and none on swap, to which an engine cannot return: give the service one in the Compose file, such as `memswap_limit: 512m`, or -1")
	}
	return x, nil
}

func (x exactLimit) period() int64 { return cmp.Or(x.CPUPeriod, usualPeriod) }

// flags are those of `docker update` that set the limit.
func (x exactLimit) flags(what target.Resource) string {
	r := x.original(what)
	switch {
	case what == target.Memory:
		return fmt.Sprintf("--memory %d --memory-swap %d", r.Memory, r.MemorySwap)
	case r.NanoCPUs > 0:
		return "--cpus " + strconv.FormatFloat(float64(r.NanoCPUs)/1e9, 'f', -1, 64)
	}
	if r.CPUPeriod > 0 {
		return fmt.Sprintf("--cpu-period %d --cpu-quota %d", r.CPUPeriod, r.CPUQuota)
	}
	return fmt.Sprintf("--cpu-quota %d", r.CPUQuota)
}

// original is the update that sets the limit. What is zero in an update is left as it is; a container that had no quota shows -1 afterwards instead of 0, which is none as
// well: the kernel has -1 for both, also after a restart, and the container can be given any other limit on CPU as before.
func (x exactLimit) original(what target.Resource) container.Resources {
	switch {
	case what == target.Memory:
		return container.Resources{Memory: x.Memory, MemorySwap: x.MemorySwap}
	case x.NanoCPUs > 0:
		return container.Resources{NanoCPUs: x.NanoCPUs}
	}
	quota := x.CPUQuota
	if quota <= 0 {
		quota = -1
	}
	return container.Resources{CPUQuota: quota, CPUPeriod: x.CPUPeriod} // with its period, or a kernel may take the usual one
}

// lowered is the update that sets the limit to another amount, in the way in which the container has it. What is beyond a limit on memory does not go to swap, unless
// the container may have any amount of it: an engine does not return to that while the container runs.
func (x exactLimit) lowered(what target.Resource, amount float64) container.Resources {
	switch {
	case what == target.Memory && x.MemorySwap < 0:
		return container.Resources{Memory: int64(amount), MemorySwap: x.MemorySwap}
	case what == target.Memory:
		return container.Resources{Memory: int64(amount), MemorySwap: int64(amount)}
	case x.NanoCPUs > 0:
		return container.Resources{NanoCPUs: int64(math.Round(amount * 1e9))}
	}
	return container.Resources{CPUQuota: int64(math.Round(amount * float64(x.period()))), CPUPeriod: x.CPUPeriod}
}

// LowerLimit implements target.Limiter.
func (e *Environment) LowerLimit(ctx context.Context, t target.Target, was target.Limit, amount float64) error {
	i, err := e.mayHit(t)
	if err != nil {
		return err
	}
	x, err := exactly(was)
	if err != nil {
		return err
	}
	i.lower(was.Resource)
	if err := update(ctx, i.engine, i.id, x.lowered(was.Resource, amount)); err != nil {
		return fmt.Errorf("lower the %s limit of %s: %w", was.Resource, i.name, err)
	}
	return nil
}

// RestoreLimit implements target.Limiter.
func (e *Environment) RestoreLimit(ctx context.Context, t target.Target, was target.Limit) error {
	i, err := e.mayHit(t)
	if err != nil {
		return err
	}
	if err := restoreLimit(ctx, i.engine, i.id, was); err != nil {
		return fmt.Errorf("give %s its %s limit back: %w", i.name, was.Resource, err)
	}
	i.raise(was.Resource)
	return nil
}

// RestoreLimit implements target.LimitRestorer.
func (a *attached) RestoreLimit(ctx context.Context, _ target.Target, was target.Limit) error {
	return a.with(func(engine *client.Client, r reference) error { return restoreLimit(ctx, engine, r.Container, was) })
}

func exactly(l target.Limit) (x exactLimit, err error) {
	if err = json.Unmarshal(l.Exact, &x); err != nil {
		err = fmt.Errorf("read the limit: %w", err)
	}
	return x, err
}

// restoreWithin is how long is tried to give a limit back.
const restoreWithin = 5 * time.Second

// restoreLimit sets a limit as it was. It writes also what reads right already: an update that has failed may have reached the kernel all the same. A container that ends or starts meanwhile makes an update fail, so it is tried for a while.
func restoreLimit(ctx context.Context, engine *client.Client, id string, was target.Limit) error {
	x, err := exactly(was)
	if err != nil {
		return err
	}
	trying, cancel := context.WithTimeout(ctx, restoreWithin)
	defer cancel()
	var failed error
	err = poll(trying, func() (bool, error) {
		failed = update(ctx, engine, id, x.original(was.Resource))
		return failed == nil || errors.Is(failed, target.ErrGone), nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// update changes limits of a container and reads them back, from the engine and, where the engine tells, from the kernel. The engine's own word is not enough when it
// reports an error: half of it may be done.
func update(ctx context.Context, engine *client.Client, id string, want container.Resources) error {
	_, failed := engine.ContainerUpdate(ctx, id, container.UpdateConfig{Resources: want})
	info, err := engine.ContainerInspect(ctx, id)
	switch {
	case cerrdefs.IsNotFound(err):
		return target.ErrGone
	case err != nil || failed != nil:
		return errors.Join(failed, err)
	case !shows(info.HostConfig.Resources, want):
		return fmt.Errorf("the engine says that it has %+v, expected %+v", exactOf(info.HostConfig.Resources), exactOf(want))
	case want.Memory == 0:
		return nil
	}
	return kernelShows(ctx, engine, id, want.Memory)
}

func exactOf(r container.Resources) exactLimit {
	return exactLimit{NanoCPUs: r.NanoCPUs, CPUQuota: r.CPUQuota, CPUPeriod: r.CPUPeriod, Memory: r.Memory, MemorySwap: r.MemorySwap}
}

// shows says whether a container has all that an update has set.
func shows(got, want container.Resources) bool {
	is := func(got, want int64) bool { return want == 0 || got == want }
	return is(got.NanoCPUs, want.NanoCPUs) && is(got.CPUQuota, want.CPUQuota) && is(got.Memory, want.Memory) && is(got.MemorySwap, want.MemorySwap)
}

// largestPage is what a kernel may round a memory limit to.
const largestPage = 64 << 10

// kernelShows is an error if the kernel keeps another memory limit than the one that was set. It keeps none for a container that does not run.
func kernelShows(ctx context.Context, engine *client.Client, id string, want int64) error {
	s, err := stats(ctx, engine, id)
	got := int64(s.MemoryStats.Limit)
	if err != nil || got == 0 || got <= want && want-got < largestPage {
		return err
	}
	var machine system.Info
	if machine, err = engine.Info(ctx); err == nil && (got != machine.MemTotal || want < got) { // an engine shows no more than the machine has
		err = fmt.Errorf("the kernel keeps a memory limit of %d bytes, expected %d", got, want)
	}
	return err
}

// Strain implements target.Limiter.
func (e *Environment) Strain(ctx context.Context, t target.Target) (target.Strain, error) {
	i, err := e.instance(t)
	if err != nil {
		return target.Strain{}, err
	}
	s, err := stats(ctx, i.engine, i.id)
	if err != nil {
		return target.Strain{}, fmt.Errorf("%s: %w", i.name, err)
	}
	return strainOf(s), nil
}

// strainOf reads what limits have done. How often memory has met its limit is counted by cgroup v1 only.
func strainOf(s container.StatsResponse) target.Strain {
	throttled := s.CPUStats.ThrottlingData
	return target.Strain{
		Throttled: int64(throttled.ThrottledPeriods), ThrottledFor: target.Duration(throttled.ThrottledTime),
		Memory: int64(s.MemoryStats.Usage), MemoryMet: int64(s.MemoryStats.Failcnt),
	}
}

func (i *instance) isLowered(what target.Resource) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.lowered[what]
}

// lower notes that a fault lowers a limit. When memory runs out from now on, that is the fault's doing.
func (i *instance) lower(what target.Resource) {
	i.mu.Lock()
	was := i.lowered[what]
	if i.lowered == nil {
		i.lowered = map[target.Resource]bool{}
	}
	i.lowered[what] = true
	i.mu.Unlock()
	if what == target.Memory && !was {
		i.load(1)
	}
}

func (i *instance) raise(what target.Resource) {
	i.mu.Lock()
	was := i.lowered[what]
	delete(i.lowered, what)
	i.mu.Unlock()
	if what == target.Memory && was {
		i.load(-1)
	}
}
