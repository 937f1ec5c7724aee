package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"

	"chaosgate/pkg/target"
)

const (
	// hitFor is how long after a fault's hit an exit counts as caused by it.
	hitFor = 30 * time.Second
	// oomNear is how soon after the kernel has killed for memory the end of a container is its doing.
	oomNear = 2 * time.Second
	// killedExit is the exit code of what SIGKILL has ended.
	killedExit = 137
	// watchAgain is the pause before an engine is asked again that has stopped telling.
	watchAgain = 200 * time.Millisecond
)

// watch tells what happens to the instances until the answer is called, which returns when nothing is told any more. An engine that goes away and comes back
// is asked for what happened meanwhile.
func (e *Environment) watch() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{env: e, ctx: ctx, since: e.heard}
	w.all.Go(func() {
		for ctx.Err() == nil {
			w.listen(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(watchAgain):
			}
		}
	})
	return func() {
		cancel()
		w.all.Wait()
		if w.broken {
			w.ask()
		}
	}
}

// audible is nil if the engine tells of events.
func (e *Environment) audible(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	at := strconv.FormatInt(e.since.Unix(), 10)
	told, failed := e.engine.Events(ctx, events.ListOptions{Since: at, Until: at})
	for {
		select {
		case <-told: // of that moment
		case err := <-failed:
			if err == nil || errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("the engine does not tell what happens to containers: %w", err)
		}
	}
}

type watcher struct {
	env   *Environment
	ctx   context.Context //nolint:containedctx // of the polls for readiness, which events begin
	all   sync.WaitGroup
	since time.Time // of the last event that was told, by the engine's clock

	witness  bool // that was an event, and not the beginning
	recalled bool // and the engine has told it once more
	heard    int  // events, since it was asked
	broken   bool // the engine has stopped telling, and was not asked since
}

// listen hears what has happened meanwhile, compares that with how the instances are, since an engine forgets its events when it is started anew and keeps only the last few
// hundred at any time, and then tells what the engine says until it stops saying anything.
func (w *watcher) listen(ctx context.Context) {
	if !w.catchUp(ctx) {
		return
	}
	w.compare(ctx)
	w.hear(ctx, time.Time{})
	w.broken = ctx.Err() == nil
}

// catchUp hears what has happened since the last event, and answers whether it has. An engine that does not know that event any more was started anew: it forgets only the
// oldest of a few hundred.
func (w *watcher) catchUp(ctx context.Context) bool {
	info, err := w.env.engine.Info(ctx)
	if err != nil {
		return false
	}
	now, err := engineClock(info)
	witness := w.witness
	w.recalled, w.heard = false, 0
	if err != nil || !w.hear(ctx, now) {
		return false
	}
	if witness && !w.recalled && w.heard < remembered {
		w.env.lost(errStartedAnew)
	}
	w.broken = false
	return true
}

// remembered is how many events an engine keeps at least: of more than that it may have forgotten the first without having been away.
const remembered = 256

var errStartedAnew = errors.New("it was started anew")

// ask catches up at the end with an engine that had stopped telling right before.
func (w *watcher) ask() {
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	w.catchUp(ctx)
}

// hear tells the engine's events since the last, up to a moment or, if that is zero, until the engine stops; it answers whether all of them were heard. It hears all that the
// engine tells, so that it knows one that cannot be forgotten yet.
func (w *watcher) hear(ctx context.Context, until time.Time) bool {
	o := events.ListOptions{Since: stamp(w.since)}
	if !until.IsZero() {
		o.Until = stamp(until)
	}
	messages, failed := w.env.engine.Events(ctx, o)
	for {
		select {
		case m := <-messages:
			w.heard++
			at := time.Unix(0, m.TimeNano)
			if w.witness && at.Equal(w.since) {
				w.recalled = true
				continue
			}
			w.since, w.witness = at, true
			if brings(m) {
				w.all.Go(func() { w.env.newcomer(ctx) })
			}
			for _, i := range w.env.instances {
				if i.id == m.Actor.ID {
					w.tell(ctx, i, m)
				}
			}
		case err := <-failed:
			return err == nil || errors.Is(err, io.EOF)
		}
	}
}

func stamp(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }

// soonest is the shortest time in which an engine starts a container again: what lies nearer together is the same start, told twice.
const soonest = 90 * time.Millisecond

// compare tells of what has happened and was not heard.
func (w *watcher) compare(ctx context.Context) {
	for _, i := range w.env.instances {
		info, err := i.inspect(ctx)
		if err != nil {
			continue // it says so to whoever asks next
		}
		start := engineTime(info.State.StartedAt)
		i.mu.Lock()
		running, again := i.running, start.Sub(i.startAt) > soonest
		i.mu.Unlock()
		runs := info.State.Running && !info.State.Restarting
		e := target.Event{Time: time.Now(), Service: i.service, Instance: i.name}
		switch {
		case running && again:
			w.died(ctx, i, e, unknownExit)
			if runs {
				w.started(ctx, i, e, start)
			}
		case running && !runs:
			w.died(ctx, i, e, info.State.ExitCode)
		case !running && runs && again:
			w.started(ctx, i, e, start)
		}
	}
}

// unknownExit is the exit code of an end of which nothing was heard: the engine forgets it with the next start.
const unknownExit = -1

func engineTime(text string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, text) // zero if it never was
	return t
}

func (w *watcher) tell(ctx context.Context, i *instance, m events.Message) {
	at := time.Unix(0, m.TimeNano)
	e := target.Event{Time: w.at(m), Service: i.service, Instance: i.name}
	i.mu.Lock()
	running, start := i.running, i.startAt
	i.mu.Unlock()
	switch m.Action {
	case events.ActionOOM:
		i.mu.Lock()
		i.oomKills++
		i.oomAt = e.Time
		i.mu.Unlock()
	case events.ActionStart:
		if at.Sub(start) < soonest || w.knows(ctx, i, start) {
			return // it was told
		}
		if running { // its end was not heard
			w.died(ctx, i, e, unknownExit)
		}
		w.started(ctx, i, e, at)
	case events.ActionDie:
		if !running || at.Before(start) {
			return // it was told: of a start that is to have an end, the engine tells first
		}
		code, err := strconv.Atoi(m.Actor.Attributes["exitCode"])
		if err != nil {
			code = unknownExit
		}
		w.died(ctx, i, e, code)
	case events.ActionDestroy:
		e.Type, e.Detail = target.GaveUp, "its container was removed"
		w.env.events.Add(e)
	}
}

// knows is whether a start that was told is an instance's latest. A busy engine tells of one long after it.
func (w *watcher) knows(ctx context.Context, i *instance, start time.Time) bool {
	info, err := i.inspect(ctx)
	return err == nil && !engineTime(info.State.StartedAt).After(start)
}

// at is when something happened, by the clock of this machine: another machine's may be wrong.
func (w *watcher) at(m events.Message) time.Time {
	if w.env.opts.Endpoint.Local() {
		return time.Unix(0, m.TimeNano)
	}
	return time.Now()
}

// started tells of a start, and later that it is ready. At is by the engine's clock.
func (w *watcher) started(ctx context.Context, i *instance, e target.Event, at time.Time) {
	info, err := i.inspect(ctx)
	if err == nil {
		e.PID, e.Restarts = info.State.Pid, i.learn(info)
	}
	e.Type = target.Started
	w.env.events.Add(e)
	began := time.Now()
	polling, stop := context.WithCancel(w.ctx)
	i.mu.Lock()
	if i.hit.Before(e.Time) { // else it is that of the next end, and the start is told late
		i.hit = time.Time{}
	}
	i.oomAt, i.running, i.startAt = time.Time{}, true, at
	if i.unpoll != nil {
		i.unpoll() // of the start before
	}
	i.unpoll = stop
	i.mu.Unlock()
	w.all.Go(func() {
		defer stop()
		if target.PollReady(polling, i.askReady) == nil && polling.Err() == nil {
			e.Type, e.Time, e.Took = target.Ready, time.Now(), target.Duration(time.Since(began))
			w.env.events.Add(e)
		}
	})
}

// died tells of an end. The event's time is when it was told.
func (w *watcher) died(ctx context.Context, i *instance, e target.Event, code int) {
	info, err := i.inspect(ctx)
	if err == nil {
		e.Restarts = i.learn(info)
	}
	e.Type, e.ExitCode = target.Exited, code
	i.mu.Lock()
	if err == nil {
		e.Time = w.endOf(info, i.startAt, e.Time)
	}
	i.lastExit, i.running = code, false
	e.OOM = code == killedExit && (near(i.oomAt, e.Time) || err == nil && info.State.OOMKilled && (!info.State.Running || info.State.Restarting))
	held := i.heldAt(e.Time)
	e.Expected = held || causes(i.hit, e.Time) || e.OOM && (i.loads > 0 || near(i.loadedUntil, e.Time))
	if i.unpoll != nil {
		i.unpoll()
	}
	i.mu.Unlock()
	e.Detail = cause(e)
	w.env.events.Add(e)
	if err == nil && !held && code != 0 && gaveUp(info) {
		e.Type, e.Detail = target.GaveUp, fmt.Sprintf("it was started again %d times, which is all that its restart policy allows", info.RestartCount)
		w.env.events.Add(e)
	}
}
