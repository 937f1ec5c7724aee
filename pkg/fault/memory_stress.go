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

// memoryPart is the part of the size that must be resident to prove it.
const memoryPart = 0.9

// memoryStall is how long a fill may make no progress before it is given up.
const memoryStall = 10 * time.Second

// memoryStress is memory.stress.
type memoryStress struct {
	hosted
	config agent.MemoryConfig
	place  target.Placement
}

func newMemoryStress(r Request) (Fault, error) {
	config := agent.MemoryConfig{Size: r.Params.Bytes("size"), Rate: r.Params.Flow("rate"), Victim: r.Params.Text("victim")}
	return eachInstance(r, func(i instance) (subject, error) {
		h, err := newHosted(r, i, "memory.stress")
		return &memoryStress{hosted: h, config: config}, err
	})
}

// memoryOnset is how long filling takes.
func memoryOnset(p Params) time.Duration {
	rate := p.Flow("rate")
	if rate <= 0 {
		return 0
	}
	return time.Duration(float64(p.Bytes("size")) / float64(rate) * float64(time.Second))
}

// Prepare implements Fault. Where the service has no limit of its own, only the stressor may be killed: the kernel could choose any process of the machine else.
func (m *memoryStress) Prepare(ctx context.Context) ([]target.Undo, error) {
	m.place = m.hoster.Placement(m.Target)
	m.config.Limit = m.place.MemoryLimit
	return m.arm(ctx, agent.MemoryJob, m.config, "")
}

// Inject implements Fault. It returns when the memory is resident, or when the kernel has killed somebody for it.
func (m *memoryStress) Inject(ctx context.Context) (Effect, error) {
	m.touched = true
	now, err := call[agent.MemoryStatus](ctx, &m.hosted, agent.Inject)
	filled, moved := now.Filled, time.Now()
	for err == nil && !m.resident(now) {
		if now.Filled > filled {
			filled, moved = now.Filled, time.Now()
		}
		if time.Since(moved) > memoryStall {
			break
		}
		if _, err = until(ctx, pollLast, func(context.Context) (bool, error) { return false, nil }); err == nil {
			now, err = call[agent.MemoryStatus](ctx, &m.hosted, agent.Status)
		}
	}
	return m.outcome(ctx, now, err)
}

func (m *memoryStress) resident(now agent.MemoryStatus) bool {
	return float64(now.RSS) >= memoryPart*float64(m.config.Size)
}

// outcome judges a reading of the helper, or its end.
func (m *memoryStress) outcome(ctx context.Context, now agent.MemoryStatus, err error) (Effect, error) {
	if errors.Is(err, agent.ErrEnded) {
		return m.killed(ctx)
	}
	if err != nil {
		return Effect{}, err
	}
	return m.withFate(ctx, Effect{
		Proven: m.resident(now),
		Summary: fmt.Sprintf("%s: %s of the %s asked for are resident (in %s%s)",
			m.Instance, size(now.RSS), size(m.config.Size), m.place.Where, m.limit()),
		Readings: map[string]float64{"rss_bytes": float64(now.RSS), "asked_bytes": float64(m.config.Size), "oom_score_adj": float64(now.OOMScoreAdj)},
	})
}

// killed tells what is known when the helper is gone: the memory ran out, which is the effect at its strongest, or something else ended it.
func (m *memoryStress) killed(ctx context.Context) (Effect, error) {
	st, err := m.inspect(ctx)
	if err != nil {
		return Effect{}, err
	}
	e := Effect{Proven: st.OOMKilled && !m.before.OOMKilled, Readings: map[string]float64{"asked_bytes": float64(m.config.Size)}}
	e.Summary = m.Instance + ": the load has ended before its time, and not for memory"
	if e.Proven {
		e.Summary = fmt.Sprintf("%s: memory ran out%s, and the kernel has killed the load", m.Instance, m.limit())
	}
	return m.withFate(ctx, e)
}

func (m *memoryStress) limit() string {
	if m.place.MemoryLimit == 0 {
		return ""
	}
	return ", limit " + size(m.place.MemoryLimit)
}

func size(bytes int64) string { return quantity.Format(float64(bytes), quantity.Bytes) }

// Check implements Fault.
func (m *memoryStress) Check(ctx context.Context) (Effect, error) {
	now, err := call[agent.MemoryStatus](ctx, &m.hosted, agent.Status)
	return m.outcome(ctx, now, err)
}

// Revert implements Fault.
func (m *memoryStress) Revert(ctx context.Context) (Effect, error) {
	if err := m.close(ctx); err != nil {
		return Effect{}, err
	}
	return Effect{Proven: true, Summary: m.Instance + ": the memory is given back, its process is gone"}, nil
}
