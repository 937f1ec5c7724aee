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

// oomNews is how long after the end of a helper an engine may tell that the kernel has killed for memory.
const oomNews = 500 * time.Millisecond

// endNews is how long after that it may tell that the service has ended as well.
const endNews = 2 * time.Second

// errNeverKills refuses a place in which memory that has run out stops everybody, the load too, which then could not be told to end.
var errNeverKills = errors.New("the kernel kills nobody for memory there (oom_kill_disable), so with memory everything would stand still, the load as well: take oom_kill_disable out of the Compose file and create the container anew")

var errSilent = fmt.Errorf("the helper did not answer within %v", askLimit)

// memoryStress is memory.stress.
type memoryStress struct {
	hosted
	config agent.MemoryConfig
	place  target.Placement
	ranOut bool          // the kernel has killed for memory since the injection
	took   time.Duration // from the injection until memory was seen to have run out; 0 if that was not seen right then
	// scorer makes the service the first to be killed, and score is what it had before; nil if somebody else is to be the first.
	scorer target.OOMScorer
	score  int
}

func newMemoryStress(r Request) (Fault, error) {
	config := agent.MemoryConfig{Size: r.Params.Bytes("size"), Rate: r.Params.Flow("rate"), Victim: r.Params.Text("victim")}
	return eachInstance(r, func(i instance) (subject, error) {
		h, err := newHosted(r, i, "memory.stress")
		m := &memoryStress{hosted: h, config: config}
		if err == nil && config.Victim == agent.VictimService {
			m.scorer, err = able[target.OOMScorer](r.Runtime, target.CanHost)
		}
		return m, err
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
	var err error
	if m.place, err = m.hoster.Placement(ctx, m.Target); err != nil {
		return nil, err
	}
	if m.place.NeverKills {
		return nil, errNeverKills
	}
	m.config.Limit = m.place.MemoryLimit
	if m.config.Limit == 0 {
		m.scorer = nil
	}
	var more helperUndo
	if m.scorer != nil {
		if m.score, err = m.scorer.OOMScore(ctx, m.Target); err != nil {
			return nil, err
		}
		more.Score = &m.score
	}
	return m.arm(ctx, agent.MemoryJob, m.config, more)
}

// placeAgain reads the limit as it is now, which a fault may have lowered since it was read first. Whether there is one must not have changed: by that it was decided who is killed.
func (m *memoryStress) placeAgain(ctx context.Context) error {
	place, err := m.hoster.Placement(ctx, m.Target)
	if err == nil && (place.MemoryLimit == 0) != (m.config.Limit == 0) {
		err = fmt.Errorf("it had %s when the fault was armed and has %s now, and by that it was decided who is killed: leave it as it is while the experiment runs",
			limitOf(m.place), limitOf(place))
	}
	m.place = place
	return err
}

// limitOf is "no memory limit" or "a memory limit of 256MiB".
func limitOf(p target.Placement) string {
	if p.MemoryLimit == 0 {
		return "no memory limit"
	}
	return "a memory limit of " + size(p.MemoryLimit)
}

// Inject implements Fault. It returns when all of the memory is filled, or when the kernel has killed somebody for it.
func (m *memoryStress) Inject(ctx context.Context) (Effect, error) {
	if err := errors.Join(m.look(ctx), m.placeAgain(ctx)); err != nil {
		return Effect{}, err
	}
	m.touched = true
	if m.scorer != nil {
		if err := setScore(ctx, m.scorer, m.Target, firstVictim); err != nil {
			return Effect{}, err
		}
	}
	began := time.Now()
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
	if m.ranOut || errors.Is(err, agent.ErrEnded) {
		m.took = time.Since(began)
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
	st, inspectErr := m.inspect(ctx)
	m.ranOut = m.ranOut || st.OOMKills > m.before.OOMKills
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

// helperEnded tells what is known when the helper is gone: the memory ran out, which is the effect at its strongest right then, or something else ended it.
func (m *memoryStress) helperEnded(ctx context.Context) (Effect, error) {
	var kills int64
	_, err := until(ctx, oomNews, func(ctx context.Context) (bool, error) {
		st, err := m.inspect(ctx)
		kills = st.OOMKills - m.before.OOMKills
		return kills > 0, err
	})
	if err != nil {
		return Effect{}, err
	}
	e := Effect{Proven: m.ranOut || kills > 0, Readings: map[string]float64{"asked_bytes": float64(m.config.Size), "oom_kills": float64(kills)}}
	if e.Proven {
		e.Summary = fmt.Sprintf("%s: memory ran out%s, and the kernel has killed for it: the load has ended", m.Instance, m.limit())
	} else {
		e.Summary = m.Instance + ": the load has ended before its time, and not for memory"
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

// Check implements Fault. With the load its effect has ended, unless the kernel has killed the service as well.
func (m *memoryStress) Check(ctx context.Context) (Effect, error) {
	now, err := m.ask(ctx, agent.Status)
	ended := errors.Is(err, agent.ErrEnded)
	e, err := m.outcome(ctx, now, err)
	if err != nil || !ended || !e.Proven {
		return e, err
	}
	return m.outlived(ctx, e)
}

// outlived takes the proof from a load that was killed for memory while the service has lived on: nothing was felt since. An engine may tell the end of the service later than that of the load.
func (m *memoryStress) outlived(ctx context.Context, e Effect) (Effect, error) {
	gone, err := until(ctx, endNews, func(ctx context.Context) (bool, error) {
		st, err := m.inspect(ctx)
		return !m.same(st), err
	})
	if err != nil {
		return Effect{}, err
	}
	e.Proven = gone
	e.Summary = fmt.Sprintf("%s: memory ran out%s%s, and the kernel has killed for it: the load has ended", m.Instance, m.limit(), m.when())
	if gone {
		return m.withFate(ctx, e)
	}
	e.Summary += ", and the service is the process that it was, so nothing was felt since: ask for less"
	if m.place.MemoryLimit > 0 && m.config.Victim != agent.VictimService {
		e.Summary += ", or for `victim: service`"
	}
	return e, nil
}

// when says how soon memory ran out, if that is known.
func (m *memoryStress) when() string {
	if m.took == 0 {
		return ""
	}
	return " after " + show(m.took)
}

// Revert implements Fault.
func (m *memoryStress) Revert(ctx context.Context) (Effect, error) {
	if err := m.close(ctx); err != nil {
		return Effect{}, err
	}
	if !m.touched {
		return m.untouched(), nil
	}
	if err := m.giveScoreBack(ctx); err != nil {
		return Effect{}, err
	}
	return Effect{Proven: true, Summary: m.Instance + ": the memory is given back, its process is gone"}, nil
}
