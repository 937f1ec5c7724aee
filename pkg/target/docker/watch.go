package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"chaosgate/pkg/target"
)

const (
	// hitFor is how long after a fault's hit an exit counts as caused by it.
	hitFor = 10 * time.Second
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
	w := &watcher{env: e, ctx: ctx, since: e.since}
	w.all.Go(func() {
		for ctx.Err() == nil {
			w.listen(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(watchAgain):
			}
		}
	})
	return func() { cancel(); w.all.Wait() }
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
	since time.Time // of the last event that was told
}

// listen tells what the engine says until it stops saying anything.
func (w *watcher) listen(ctx context.Context) {
	from := w.since.Add(time.Nanosecond)
	messages, failed := w.env.engine.Events(ctx, events.ListOptions{
		Since: fmt.Sprintf("%d.%09d", from.Unix(), from.Nanosecond()),
		Filters: filters.NewArgs(
			filters.Arg("type", string(events.ContainerEventType)), filters.Arg("label", labelProject+"="+w.env.opts.Project),
			filters.Arg("event", string(events.ActionStart)), filters.Arg("event", string(events.ActionDie)),
			filters.Arg("event", string(events.ActionOOM)), filters.Arg("event", string(events.ActionDestroy)),
		),
	})
	w.compare(ctx)
	for {
		select {
		case m := <-messages:
			w.since = time.Unix(0, m.TimeNano)
			for _, i := range w.env.instances {
				if i.id == m.Actor.ID {
					w.tell(ctx, i, m)
				}
			}
		case <-failed:
			return
		}
	}
}

// compare finds what has happened while nothing was heard: an engine forgets its events when it is started anew, and keeps only the last few hundred at any time.
func (w *watcher) compare(ctx context.Context) {
	for _, i := range w.env.instances {
		info, err := i.inspect(ctx)
		if err != nil {
			continue // it says so to whoever asks next
		}
		i.mu.Lock()
		before, running := i.started, i.running
		i.mu.Unlock()
		e := target.Event{Time: time.Now(), Service: i.service, Instance: i.name}
		switch again := info.State.StartedAt != before; {
		case running && (again || !info.State.Running):
			w.died(ctx, i, e, strconv.Itoa(info.State.ExitCode))
			if again && info.State.Running {
				w.started(ctx, i, e)
			}
		case !running && info.State.Running && again:
			w.started(ctx, i, e)
		}
	}
}

func (w *watcher) tell(ctx context.Context, i *instance, m events.Message) {
	e := target.Event{Time: w.at(m), Service: i.service, Instance: i.name}
	switch m.Action {
	case events.ActionOOM:
		i.mu.Lock()
		i.oomKills++
		i.oomAt = e.Time
		i.mu.Unlock()
	case events.ActionStart:
		if !i.told(ctx) {
			w.started(ctx, i, e)
		}
	case events.ActionDie:
		if i.ended(ctx) {
			return // it was told already
		}
		w.died(ctx, i, e, m.Actor.Attributes["exitCode"])
	case events.ActionDestroy:
		e.Type, e.Detail = target.GaveUp, "its container was removed"
		w.env.events.Add(e)
	}
}

// at is when something happened, by the clock of this machine: another machine's may be wrong.
func (w *watcher) at(m events.Message) time.Time {
	if w.env.opts.Endpoint.Local() {
		return time.Unix(0, m.TimeNano)
	}
	return time.Now()
}

func (w *watcher) started(ctx context.Context, i *instance, e target.Event) {
	info, err := i.inspect(ctx)
	if err == nil {
		i.moved(info)
		e.PID = info.State.Pid
		e.Restarts = i.restarts(info.RestartCount)
	}
	e.Type = target.Started
	w.env.events.Add(e)
	began := time.Now()
	polling, stop := context.WithCancel(w.ctx)
	i.mu.Lock()
	i.hit, i.oomAt, i.running = time.Time{}, time.Time{}, true
	if err == nil {
		i.started = info.State.StartedAt
	}
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

// ended says whether the last end was told of.
func (i *instance) ended(ctx context.Context) bool {
	info, err := i.inspect(ctx)
	i.mu.Lock()
	defer i.mu.Unlock()
	return err == nil && i.finished == info.State.FinishedAt
}

// told says whether the current start was told of.
func (i *instance) told(ctx context.Context) bool {
	info, err := i.inspect(ctx)
	i.mu.Lock()
	defer i.mu.Unlock()
	return err == nil && i.running && i.started == info.State.StartedAt
}

func (i *instance) restarts(count int) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.countedTo(count)
}

// countedTo is how often the instance was restarted since Up, given the engine's count now, which begins anew with a start that was asked for, and with the engine. The
// caller holds mu.
func (i *instance) countedTo(count int) int {
	if count < i.lastCount {
		i.counted += i.lastCount - i.baseline
		i.baseline = 0
	}
	i.lastCount = count
	return i.counted + count - i.baseline
}

func (w *watcher) died(ctx context.Context, i *instance, e target.Event, code string) {
	e.Type = target.Exited
	e.ExitCode, _ = strconv.Atoi(code) // the engine's own number
	info, err := i.inspect(ctx)
	if err == nil {
		e.Restarts = i.restarts(info.RestartCount)
	}
	i.mu.Lock()
	i.lastExit, i.running = e.ExitCode, false
	if err == nil {
		i.finished = info.State.FinishedAt
	}
	e.OOM = e.ExitCode == killedExit && !i.oomAt.IsZero() && e.Time.Sub(i.oomAt) < oomNear
	held := i.held
	e.Expected = held || !i.hit.IsZero() && e.Time.Sub(i.hit) < hitFor || e.OOM && i.loads > 0
	if i.unpoll != nil {
		i.unpoll()
	}
	i.mu.Unlock()
	e.Detail = cause(e)
	w.env.events.Add(e)
	if err == nil && !held && e.ExitCode != 0 && gaveUp(info) {
		e.Type, e.Detail = target.GaveUp, fmt.Sprintf("it was started again %d times, which is all that its restart policy allows", info.RestartCount)
		w.env.events.Add(e)
	}
}

// gaveUp says whether a container's policy would have started it again, had it not done so as often as it may: the engine says before the end of a container whether
// it will be.
func gaveUp(info container.InspectResponse) bool {
	p := info.HostConfig.RestartPolicy
	return p.IsOnFailure() && p.MaximumRetryCount > 0 && info.RestartCount >= p.MaximumRetryCount && !info.State.Restarting && !info.State.Running
}

// cause says how an instance ended.
func cause(e target.Event) string {
	text := fmt.Sprintf("exit code %d", e.ExitCode)
	if e.ExitCode > 128 {
		text = fmt.Sprintf("killed by signal %d", e.ExitCode-128)
	}
	switch {
	case e.OOM:
		return text + " (out of memory)"
	case e.Expected:
		return text + " (fault)"
	}
	return text + " (by itself, or by somebody else)"
}
