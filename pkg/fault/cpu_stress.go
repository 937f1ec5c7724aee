package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/target"
)

// The proof of CPU stress: at least this part of what was asked is used. Where others use the machine as well a smaller part will do, if nothing is left.
const (
	cpuPart   = 0.5
	cpuBusy   = 0.1 // of what was asked, if no more of all cores is idle than
	cpuIdle   = 0.1
	cpuSample = 20 * time.Millisecond  // the shortest time over which use is measured
	idleAfter = 200 * time.Millisecond // the same for idle time, which the kernel tells in steps of 10ms
	cpuLimit  = 2 * time.Second        // until it must show
)

// cpuStress is cpu.stress.
type cpuStress struct {
	hosted
	config agent.CPUConfig
	where  string
	wanted float64 // cores

	base  agent.CPUStatus // when the load began
	began time.Time
}

func newCPUStress(r Request) (Fault, error) {
	config := agent.CPUConfig{Workers: r.Params.Int("workers"), Load: r.Params.Percent("load")}
	return eachInstance(r, func(i instance) (subject, error) {
		h, err := newHosted(r, i, "cpu.stress")
		return &cpuStress{hosted: h, config: config}, err
	})
}

// wantedCores is how many processors' time a load can take at most: one for each worker, as many as its helper may use, and no more than the place may.
func wantedCores(c agent.CPUConfig, place target.Placement, cores int) float64 {
	workers := c.Workers
	if workers == 0 { // one for each
		workers = cores
	}
	wanted := float64(min(workers, cores)) * c.Load
	if place.CPULimit > 0 {
		wanted = min(wanted, place.CPULimit)
	}
	return wanted
}

// cpuOnset is the shortest time over which use is measured.
func cpuOnset(Params) time.Duration { return cpuSample }

// Prepare implements Fault.
func (c *cpuStress) Prepare(ctx context.Context) ([]target.Undo, error) {
	place, err := c.hoster.Placement(ctx, c.Target)
	if err != nil {
		return nil, err
	}
	c.where = in(place)
	undos, err := c.arm(ctx, agent.CPUJob, c.config, helperUndo{})
	if err != nil {
		return nil, err
	}
	// Until the load begins, use counts from here.
	c.began = time.Now()
	c.base, err = call[agent.CPUStatus](ctx, &c.hosted, agent.Status)
	c.wanted = wantedCores(c.config, place, c.base.CPUs)
	return undos, err
}

// Inject implements Fault.
func (c *cpuStress) Inject(ctx context.Context) (Effect, error) {
	if err := c.look(ctx); err != nil {
		return Effect{}, err
	}
	c.touched = true
	c.began = time.Now()
	var err error
	if c.base, err = call[agent.CPUStatus](ctx, &c.hosted, agent.Inject); err != nil {
		return Effect{}, err
	}
	var e Effect
	_, err = until(ctx, cpuLimit, func(ctx context.Context) (bool, error) {
		e, err = c.measure(ctx)
		return e.Proven, err
	})
	return e, err
}

// measure compares what was used since the load began with what was asked.
func (c *cpuStress) measure(ctx context.Context) (Effect, error) {
	now, err := call[agent.CPUStatus](ctx, &c.hosted, agent.Status)
	if err != nil {
		return Effect{}, err
	}
	lasted := time.Since(c.began)
	elapsed := lasted.Seconds()
	used := (now.CPUSeconds - c.base.CPUSeconds) / elapsed
	idle := (now.IdleSeconds - c.base.IdleSeconds) / elapsed / float64(now.Machine)
	e := Effect{
		Proven: cpuFelt(used/c.wanted, idle, lasted),
		Summary: fmt.Sprintf("%s: %s at %s used %.2f of the %.2f cores asked for over %s, %.0f%% of the machine was idle (the load runs %s)",
			c.Instance, count(now.Workers, "worker"), quantity.Format(c.config.Load, quantity.Percent), used, c.wanted, show(lasted),
			100*min(max(idle, 0), 1), c.where),
		Readings: map[string]float64{"cores_used": used, "cores_asked": c.wanted, "idle_ratio": idle},
	}
	return e, nil
}

// cpuFelt judges which part of what was asked was used, and which part of the machine was idle, over a time.
func cpuFelt(used, idle float64, lasted time.Duration) bool {
	return used >= cpuPart && lasted >= cpuSample || used >= cpuBusy && idle <= cpuIdle && lasted >= idleAfter
}

// Check implements Fault.
func (c *cpuStress) Check(ctx context.Context) (Effect, error) {
	e, err := c.measure(ctx)
	if errors.Is(err, agent.ErrEnded) {
		return c.withFate(ctx, Effect{Summary: c.Instance + ": the load has ended before its time"})
	}
	if err != nil {
		return e, err
	}
	return c.withFate(ctx, e)
}

// Revert implements Fault.
func (c *cpuStress) Revert(ctx context.Context) (Effect, error) {
	if err := c.close(ctx); err != nil {
		return Effect{}, err
	}
	if !c.touched {
		return c.untouched(), nil
	}
	return Effect{Proven: true, Summary: c.Instance + ": the load and its process are gone"}, nil
}
