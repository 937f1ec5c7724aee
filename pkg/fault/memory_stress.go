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

// askLimit bounds how long the helper may take to answer.
const askLimit = 2 * time.Second

var errSilent = fmt.Errorf("the helper did not answer within %v", askLimit)

// memoryStress is memory.stress.
type memoryStress struct {
	hosted
	config agent.MemoryConfig
	place  target.Placement
	ranOut bool // the kernel has killed for memory since the injection
	score  int  // the helper's own oom_score_adj, as last read
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

// Inject implements Fault. It returns when all of the memory is filled, or when the kernel has killed somebody for it.
func (m *memoryStress) Inject(ctx context.Context) (Effect, error) {
	if err := m.look(ctx); err != nil {
		return Effect{}, err
	}
	m.touched = true
	now, err := m.ask(ctx, agent.Inject)
	filled, moved := now.Filled, time.Now()
	for err == nil && !m.ranOut && now.Filled < m.config.Size && time.Since(moved) < memoryStall {
		if err = breathe(ctx); err == nil {
			now, err = m.ask(ctx, agent.Status)
		}
		if now.Filled > filled {
			filled, moved = now.Filled, time.Now()
		}
	}
	return m.outcome(ctx, now, err)
}

// ask sends a command to the helper and looks whether memory has run out: then the helper may have to wait for a page and cannot answer.
func (m *memoryStress) ask(ctx context.Context, command string) (agent.MemoryStatus, error) {
	asking, cancel := context.WithTimeoutCause(ctx, askLimit, errSilent)
	defer cancel()
	now, err := call[agent.MemoryStatus](asking, &m.hosted, command)
	if errors.Is(err, agent.ErrEnded) {
		return now, err
	}
	if err == nil {
		m.score = now.OOMScoreAdj
	}
	st, inspectErr := m.inspect(ctx)
	m.ranOut = m.ranOut || st.OOMKilled && !m.before.OOMKilled
	if errors.Is(err, errSilent) && m.ranOut {
		err = nil
	}
	return now, errors.Join(err, inspectErr)
}

func (m *memoryStress) felt(now agent.MemoryStatus) bool { return m.ranOut || m.resident(now) }

func (m *memoryStress) resident(now agent.MemoryStatus) bool {
	return float64(now.Resident) >= memoryPart*float64(m.config.Size)
}

// outcome judges a reading of the helper, or its end.
func (m *memoryStress) outcome(ctx context.Context, now agent.MemoryStatus, err error) (Effect, error) {
	if errors.Is(err, agent.ErrEnded) {
		return m.helperEnded(ctx)
	}
	if err != nil {
		return Effect{}, err
	}
	e := Effect{
		Proven:   m.felt(now),
		Summary:  fmt.Sprintf("%s: %s of the %s asked for are resident (%s%s)", m.Instance, size(now.Resident), size(m.config.Size), in(m.place), m.limit()),
		Readings: map[string]float64{"resident_bytes": float64(now.Resident), "asked_bytes": float64(m.config.Size), "oom_score_adj": float64(now.OOMScoreAdj)},
	}
	if m.ranOut {
		e.Summary += "; memory ran out, and the kernel has killed a process for it"
	}
	return m.withFate(ctx, e)
}

// helperEnded tells what is known when the helper is gone: the memory ran out, which is the effect at its strongest, or something else ended it.
func (m *memoryStress) helperEnded(ctx context.Context) (Effect, error) {
	st, err := m.inspect(ctx)
	if err != nil {
		return Effect{}, err
	}
	e := Effect{Proven: m.ranOut || st.OOMKilled && !m.before.OOMKilled, Readings: map[string]float64{"asked_bytes": float64(m.config.Size)}}
	switch {
	case e.Proven:
		e.Summary = fmt.Sprintf("%s: memory ran out%s, and the kernel has killed the load%s", m.Instance, m.limit(), m.notTheVictim())
	case st.OOMKilled:
		e.Summary = m.Instance + ": the load has ended before its time; whether for memory cannot be told, because memory had run out before it as well"
	default:
		e.Summary = m.Instance + ": the load has ended before its time, and not for memory"
	}
	return m.withFate(ctx, e)
}

// notTheVictim says why the load was killed although the service was to be.
func (m *memoryStress) notTheVictim() string {
	if m.config.Victim != agent.VictimService || m.score == -1000 {
		return ""
	}
	return ", not the service: the load may not protect itself here (that takes CAP_SYS_RESOURCE)"
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
	now, err := m.ask(ctx, agent.Status)
	return m.outcome(ctx, now, err)
}

// Revert implements Fault.
func (m *memoryStress) Revert(ctx context.Context) (Effect, error) {
	if err := m.close(ctx); err != nil {
		return Effect{}, err
	}
	if !m.touched {
		return m.untouched(), nil
	}
	return Effect{Proven: true, Summary: m.Instance + ": the memory is given back, its process is gone"}, nil
}
