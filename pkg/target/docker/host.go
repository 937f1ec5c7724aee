package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// Host implements target.Hoster: the helper runs inside the container.
func (e *Environment) Host(ctx context.Context, t target.Target, job string, config any) (target.Helper, error) {
	i, err := e.mayHit(t)
	if err != nil {
		return nil, err
	}
	g, err := e.hosts.enter(ctx, i.id, job, config)
	if err != nil {
		return nil, fmt.Errorf("start the helper for %s in %s: %w", job, i.name, err)
	}
	if !slices.Contains(e.opts.Helpers.Jobs.Memory, job) {
		return g, nil
	}
	i.load(1)
	return &load{guest: g, on: i}, nil
}

// load is a helper that takes an instance's memory.
type load struct {
	*guest
	on    *instance
	ended sync.Once
}

// Close implements target.Helper.
func (l *load) Close(ctx context.Context) error {
	defer l.ended.Do(func() { l.on.load(-1) })
	return l.guest.Close(ctx)
}

func (i *instance) load(n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.loads += n
	if n < 0 {
		i.loadedUntil = time.Now()
	}
}

// Database implements target.Databaser: the path is the container's own. A server is a service of the environment.
func (e *Environment) Database(t target.Target, name string) (target.Database, error) {
	i, err := e.instance(t)
	if err != nil {
		return target.Database{}, err
	}
	path, err := target.PickDatabase(i.service, i.spec.Databases, name)
	if err == nil && spec.IsServer(path) {
		return e.server(path)
	}
	return target.Database{Path: path, Inside: true}, err
}

// Placement implements target.Hoster.
func (e *Environment) Placement(ctx context.Context, t target.Target) (target.Placement, error) {
	i, err := e.instance(t)
	if err != nil {
		return target.Placement{}, err
	}
	info, err := i.inspect(ctx)
	if err != nil {
		return target.Placement{}, err
	}
	r := info.HostConfig.Resources
	return target.Placement{
		Cgroup: true, Where: "the container's own cgroup", MemoryLimit: r.Memory, CPULimit: cpuLimit(r), NeverKills: r.OomKillDisable != nil && *r.OomKillDisable,
	}, nil
}

// usualPeriod is the kernel's own, in microseconds.
const usualPeriod = 100_000

// cpuLimit is how many processors' time a container may use; 0 is all.
func cpuLimit(r container.Resources) float64 {
	switch {
	case r.NanoCPUs > 0:
		return float64(r.NanoCPUs) / 1e9
	case r.CPUQuota > 0 && r.CPUPeriod > 0:
		return float64(r.CPUQuota) / float64(r.CPUPeriod)
	case r.CPUQuota > 0:
		return float64(r.CPUQuota) / usualPeriod
	}
	return 0
}

// Usage implements target.Hoster.
func (e *Environment) Usage(ctx context.Context, t target.Target) (target.Usage, error) {
	i, err := e.instance(t)
	if err != nil {
		return target.Usage{}, err
	}
	s, err := stats(ctx, i.engine, i.id)
	if err != nil {
		return target.Usage{}, fmt.Errorf("%s: %w", i.name, err)
	}
	return target.Usage{CPU: target.Duration(s.CPUStats.CPUUsage.TotalUsage), Memory: int64(s.MemoryStats.Usage)}, nil
}

// stats reads once what the kernel counts of a container; all is zero if it does not run.
func stats(ctx context.Context, engine *client.Client, id string) (s container.StatsResponse, err error) {
	answer, err := engine.ContainerStatsOneShot(ctx, id)
	if err == nil {
		err = json.NewDecoder(answer.Body).Decode(&s)
		err = errors.Join(err, answer.Body.Close())
	}
	if err != nil {
		err = fmt.Errorf("read what it uses: %w", err)
	}
	return s, err
}

// OOMScore implements target.OOMScorer: a helper inside reads the score of the container's first process.
func (e *Environment) OOMScore(ctx context.Context, t target.Target) (int, error) {
	i, err := e.instance(t)
	if err != nil {
		return 0, err
	}
	return e.hosts.score(ctx, i.id, nil)
}

// SetOOMScore implements target.OOMScorer.
func (e *Environment) SetOOMScore(ctx context.Context, t target.Target, score int) error {
	i, err := e.mayHit(t)
	if err != nil {
		return err
	}
	_, err = e.hosts.score(ctx, i.id, &score)
	return err
}

// score reads the OOM score of a container's first process, or sets it and reads it back.
func (h *hosts) score(ctx context.Context, id string, score *int) (int, error) {
	job, config := h.Jobs.Score(score)
	g, err := h.enter(ctx, id, job, config)
	if err != nil {
		return 0, fmt.Errorf("reach the OOM score: %w", err)
	}
	text, err := g.Call(ctx, "inject")
	var now struct {
		Score int `json:"score"`
	}
	if err == nil {
		err = json.Unmarshal(text, &now)
	}
	if err = errors.Join(err, g.Close(context.WithoutCancel(ctx))); err != nil {
		return 0, fmt.Errorf("reach the OOM score: %w", g.stderr.with(err))
	}
	return now.Score, nil
}
