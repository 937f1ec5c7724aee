package docker

import (
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/target"
)

var onsets = flag.Int("onset.times", 0, "how often TestOnset makes each fault")

// From the command to the effect, beside what the engine's own calls take, in the same run: `make bench-peers` prints it.
func TestOnset(t *testing.T) {
	if *onsets == 0 {
		t.Skip("asked for with -onset.times")
	}
	p := newPair(t)
	web := p.one("web")
	again := func() {
		eventually(t, "it runs", func() bool { return p.status(web).Ready })
	}
	engine := p.project.engine
	row := func(what string, prepare, do, undo func()) {
		var took []time.Duration
		for range *onsets {
			prepare()
			began := time.Now()
			do()
			took = append(took, time.Since(began))
			undo()
		}
		slices.Sort(took)
		t.Logf("%-34s p50 %6.1f ms, slowest %6.1f ms", what, milliseconds(took[len(took)/2]), milliseconds(took[len(took)-1]))
	}
	none := func() {}
	start := func() { must(t, engine.ContainerStart(soon(t), p.web, container.StartOptions{})); again() }
	dead := func() {
		for {
			info, err := engine.ContainerInspect(soon(t), p.web)
			must(t, err)
			if !info.State.Running {
				return
			}
		}
	}
	row("kill, armed", func() { must(t, p.Arm(soon(t), web, "SIGKILL")) }, func() { must(t, p.Kill(soon(t), web, "SIGKILL")) }, func() { dead(); start() })
	row("kill by the engine", none, func() { must(t, engine.ContainerKill(soon(t), p.web, "SIGKILL")); dead() }, start)
	resume := func() { must(t, p.Resume(soon(t), web)) }
	row("pause", none, func() { must(t, p.Pause(soon(t), web)) }, resume)
	row("pause by the engine", none, func() { must(t, engine.ContainerPause(soon(t), p.web)) }, resume)
	slow := target.LinkFault{Latency: target.Duration(20 * time.Millisecond), Direction: "request"}
	row("latency on a link, armed", func() { must(t, p.ArmLink(soon(t), webToBack, "slow", slow)) }, func() { must(t, p.Impair(soon(t), webToBack, "slow", slow)) },
		func() { must(t, p.Restore(soon(t), webToBack, "slow")) })
	must(t, p.Impair(soon(t), webToBack, "slow", slow))
	t.Logf("memory of the helper: %s", p.memoryOfHelpers())
	must(t, p.Restore(soon(t), webToBack, "slow"))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// memoryOfHelpers is what the engine counts for those that have a fault on the link, in their cgroups.
func (p pair) memoryOfHelpers() (said string) {
	all, err := helpersOn(soon(p.project.t), p.project.engine, p.id, webToBack)
	must(p.project.t, err)
	for _, h := range all {
		answer, err := p.project.engine.ContainerStatsOneShot(soon(p.project.t), h.ID)
		must(p.project.t, err)
		var s container.StatsResponse
		must(p.project.t, json.NewDecoder(answer.Body).Decode(&s))
		must(p.project.t, answer.Body.Close())
		said += fmt.Sprintf("%.1f MB, %.1f MB of it resident; ", float64(s.MemoryStats.Usage)/1e6, float64(s.MemoryStats.Stats["rss"])/1e6)
	}
	return said
}
