package docker

import (
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/target"
)

// near says whether something has happened a moment before or after another; never says no.
func near(a, b time.Time) bool { return !a.IsZero() && b.Sub(a).Abs() < oomNear }

// causes says whether a fault's hit came so shortly before an end that it is its cause.
func causes(hit, end time.Time) bool {
	return !hit.IsZero() && !end.Before(hit) && end.Sub(hit) < hitFor
}

// heldAt says whether a fault held the instance down at a time. Its mutex is locked.
func (i *instance) heldAt(t time.Time) bool {
	return !i.heldSince.IsZero() && !t.Before(i.heldSince) && (i.held || t.Before(i.heldUntil))
}

// gaveUp says whether a container's policy would have started it again, had it not done so as often as it may: the engine says before the end of a container whether
// it will be.
func gaveUp(info container.InspectResponse) bool {
	p := info.HostConfig.RestartPolicy
	return p.IsOnFailure() && p.MaximumRetryCount > 0 && info.RestartCount >= p.MaximumRetryCount && !info.State.Restarting && !info.State.Running
}

// endOf is when a container ended that was started at a time and of whose end the engine told at another, by the clock of this machine. A busy engine tells of it
// only after it has cleaned up, which may take seconds: long enough for a fault to begin meanwhile.
func (w *watcher) endOf(info container.InspectResponse, started, told time.Time) time.Time {
	if end := engineTime(info.State.FinishedAt); w.env.opts.Endpoint.Local() && end.After(started) && end.Before(told) {
		return end
	}
	return told
}

// cause says how an instance ended.
func cause(e target.Event) string {
	text := fmt.Sprintf("exit code %d", e.ExitCode)
	if e.ExitCode == unknownExit {
		text = "unheard, so that its exit code is not known"
	}
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
