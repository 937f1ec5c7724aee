package process

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"chaosgate/pkg/proc"
	"chaosgate/pkg/target"
)

const (
	// healthyAfter is how long a start must last for the backoff to begin anew.
	healthyAfter = 10 * time.Second
	// backoffMost is the longest backoff, as a multiple of the first.
	backoffMost = 16
	// hitFor is how long after a fault's signal an exit counts as caused by it.
	hitFor = 10 * time.Second
	// leftoverTimeout bounds killing what a start has left outside its group.
	leftoverTimeout = 2 * time.Second
)

// supervise starts the service when that is wanted, until the environment ends.
func (s *service) supervise() {
	for s.awaitStart() {
		s.runOnce()
	}
}

// awaitStart waits until the service is to be started; false if never again.
func (s *service) awaitStart() bool {
	for {
		now, changed := s.look()
		wait := time.Until(now.due)
		switch {
		case now.ending:
			return false
		case now.held:
			wait = -1
		case now.asked:
			s.change(func(st *state) { st.asked, st.due = false, time.Time{} })
			return true
		case now.due.IsZero():
			wait = -1
		case wait <= 0:
			s.change(func(st *state) { st.due = time.Time{}; st.restarts++; st.streak++ })
			return true
		}
		var timer <-chan time.Time
		if wait >= 0 {
			timer = time.After(wait)
		}
		select {
		case <-changed:
		case <-timer:
		}
	}
}

// runOnce is one start, to the end of its process.
func (s *service) runOnce() {
	p, log, err := s.launch()
	if err != nil {
		s.couldNotStart(err)
		return
	}
	now, _ := s.look()
	if now.ending {
		_ = p.Kill() // Down came between the decision and the start, and has not seen this process
	}
	s.events.Add(s.event(target.Started, p.PID(), now.restarts))
	ctx, stop := context.WithCancel(context.Background())
	polled := make(chan struct{})
	go func() { defer close(polled); s.becomeReady(ctx, p, now.started) }()
	<-p.Done()
	_ = log.Close() // what it said last stands in the log before its end is known; the end counts more than the log
	stop()
	<-polled
	s.exited(p)
}

// becomeReady reports the moment from which the service is ready.
func (s *service) becomeReady(ctx context.Context, p *proc.Process, began time.Time) {
	if target.PollReady(ctx, s.probeReady) != nil || ctx.Err() != nil {
		return
	}
	took := time.Since(began)
	s.change(func(st *state) { st.ready = true })
	now, _ := s.look()
	e := s.event(target.Ready, p.PID(), now.restarts)
	e.Took = target.Duration(took)
	s.events.Add(e)
}

func (s *service) couldNotStart(err error) {
	now, _ := s.look()
	e := s.event(target.Exited, 0, now.restarts)
	e.ExitCode, e.Detail = -1, "it could not be started: "+err.Error()
	s.decide(e, time.Time{}, err)
}

// exited reports the end of a process and decides what follows.
func (s *service) exited(p *proc.Process) {
	exit := p.Exit()
	now, _ := s.look()
	e := s.event(target.Exited, p.PID(), now.restarts)
	e.Time, e.ExitCode = exit.At, exit.Code
	e.OOM = exit.Signal == syscall.SIGKILL && s.newOOMKill()
	e.Expected, e.Detail = cause(exit, now, e.OOM)
	s.killLeftovers()
	s.decide(e, now.started, nil)
}

// cause says why a process ended: by Down, by a fault, by the kernel, or by itself.
func cause(exit proc.Exit, now state, oom bool) (expected bool, detail string) {
	detail = exit.String()
	if exit.Signal != 0 {
		detail = "killed by " + detail
	}
	switch {
	case now.ending:
		return true, detail + " (the environment ends)"
	case oom && now.helpers > 0:
		return true, detail + " (out of memory, by a fault)"
	case oom:
		return false, detail + " (out of memory)"
	case now.hit.signal != 0 && (exit.Signal == now.hit.signal || exit.At.Sub(now.hit.at) < hitFor):
		return true, detail + " (fault)"
	}
	return false, detail + " (by itself)"
}

// killLeftovers ends processes that have left the group but belong to the start that has just ended: a container would not keep them either.
func (s *service) killLeftovers() {
	ctx, cancel := context.WithTimeout(context.Background(), leftoverTimeout)
	defer cancel()
	// What resists is found by Down, which reports it.
	_ = proc.KillFound(ctx, s.everything)
}

// everything answers all live processes of the instance, helpers apart: those that carry its marker, and those in its cgroup, where one is found that has cast off
// the environment that it was started with. Helpers are in the cgroup too, and carry the marker of the environment alone.
func (s *service) everything() ([]proc.ID, error) {
	marked, err := proc.FindMarked(s.mark())
	if err != nil || s.group == nil {
		return marked, err
	}
	grouped, err := members(s.group.memory)
	hidden := slices.DeleteFunc(grouped, func(id proc.ID) bool { return slices.Contains(marked, id) })
	if err != nil || len(hidden) == 0 {
		return marked, err
	}
	ours, err := proc.FindMarked(s.marks[0])
	hidden = slices.DeleteFunc(hidden, func(id proc.ID) bool { return slices.Contains(ours, id) })
	return append(marked, hidden...), err
}

// newOOMKill says whether the kernel has killed a process of the service for memory since the last look.
func (s *service) newOOMKill() bool {
	if s.group == nil {
		return false
	}
	kills, err := s.group.oomKills()
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	newer := kills > s.oomKills
	s.oomKills = kills
	return newer
}

// decide notes an exit, applies the restart policy, and then tells: who hears of the exit finds it in the state.
func (s *service) decide(e target.Event, began time.Time, failed error) {
	s.change(func(st *state) {
		st.running, st.ready, st.failed = false, false, failed
		st.exits++
		st.lastExit = e.ExitCode
		if !began.IsZero() && time.Since(began) >= healthyAfter {
			st.streak = 0
		}
		again := s.settings.policy == restartAlways || s.settings.policy == restartOnFailure && e.ExitCode != 0
		switch {
		case st.ending || !again || st.asked:
		case st.restarts >= s.settings.times:
			st.gaveUp = true
		default:
			st.due = time.Now().Add(backoff(s.settings.backoff, st.streak))
		}
	})
	s.events.Add(e)
	if now, _ := s.look(); now.gaveUp {
		last := s.event(target.GaveUp, 0, now.restarts)
		last.ExitCode = e.ExitCode
		last.Detail = fmt.Sprintf("it was started again %d times, which is all that its restart policy allows", now.restarts)
		s.events.Add(last)
	}
}

// backoff doubles with each restart in a row, up to backoffMost times the first.
func backoff(first time.Duration, streak int) time.Duration {
	return first * time.Duration(min(backoffMost, 1<<min(streak, 10)))
}
