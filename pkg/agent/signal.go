package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/proc"
)

// SignalJob sends a signal to the first process of a container, from outside of it: to the engine the container ends by itself, as in a crash, so that its restart
// policy applies. The helper must see the container's processes, from the process namespace above.
const SignalJob = "signal"

// SignalConfig says what is sent to whom.
type SignalConfig struct {
	Container string `json:"container"` // the whole id, 64 hexadecimal digits
	Signal    string `json:"signal"`    // "SIGKILL", "SIGTERM", ...
}

// SignalState is what was hit.
type SignalState struct {
	PID  int  `json:"pid"`  // as the helper sees it; 0 before
	Gone bool `json:"gone"` // the process that got the signal has ended
}

// signalGoneWithin bounds how long the kernel may take to end a process after SIGKILL.
const signalGoneWithin = 2 * time.Second

type signalJob struct {
	container string
	signal    unix.Signal
	hit       proc.ID // PID 0 before
}

func newSignal(config json.RawMessage) (job, error) {
	var c SignalConfig
	if err := decode(config, &c); err != nil {
		return nil, err
	}
	if len(c.Container) != 64 || strings.Trim(c.Container, "0123456789abcdef") != "" {
		return nil, fmt.Errorf("container is %q, expected 64 hexadecimal digits", c.Container)
	}
	sig := unix.SignalNum(c.Signal)
	if sig == 0 {
		return nil, fmt.Errorf("there is no signal %q", c.Signal)
	}
	return &signalJob{container: c.Container, signal: sig}, nil
}

func (j *signalJob) inject(ctx context.Context) (any, error) {
	if j.hit.PID != 0 {
		return j.status(ctx) // what was started again since is not hit again
	}
	found, err := firstProcess("/proc", j.container)
	if err != nil {
		return nil, err
	}
	if err := found.Signal(j.signal); err != nil {
		return nil, fmt.Errorf("send %s to process %d: %w", unix.SignalName(j.signal), found.PID, err)
	}
	j.hit = found
	for over := time.Now().Add(signalGoneWithin); j.signal == unix.SIGKILL && found.Alive(); {
		if time.Now().After(over) {
			return nil, fmt.Errorf("process %d still lives %v after SIGKILL", found.PID, signalGoneWithin)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
	return j.status(ctx)
}

func (j *signalJob) status(context.Context) (any, error) {
	return SignalState{PID: j.hit.PID, Gone: j.hit.PID != 0 && !j.hit.Alive()}, nil
}

// revert has nothing to take back: what comes after a crash is the restart policy's.
func (j *signalJob) revert(context.Context) error { return nil }

// firstProcess finds the process that is the first one in its process namespace and belongs to the container's cgroup. Who joined the container later is
// either not first there, or in a namespace of its own further down, which is not the one that ends the container: the one closest to the top is taken.
func firstProcess(procfs, container string) (proc.ID, error) {
	entries, err := os.ReadDir(procfs)
	if err != nil {
		return proc.ID{}, err
	}
	var found proc.ID
	least := 0
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		id, err := proc.Identify(pid)
		if err != nil {
			continue // it has ended meanwhile
		}
		if depth := firstOf(filepath.Join(procfs, e.Name()), container); depth > 0 && (least == 0 || depth < least) {
			found, least = id, depth
		}
	}
	if least == 0 {
		return proc.ID{}, errors.New("no process of the container is seen here: it does not run, or it is not on this machine")
	}
	return found, nil
}

// firstOf answers how many namespaces deep a process is that is the first one in its own and in the container's cgroup, and 0 for every other.
func firstOf(dir, container string) int {
	groups, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil || !inCgroupOf(string(groups), container) {
		return 0
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			pids := strings.Fields(ids)
			if len(pids) > 1 && pids[len(pids)-1] == "1" {
				return len(pids)
			}
		}
	}
	return 0
}

// inCgroupOf says whether one of the paths is the container's: a part of it is its id, or ends in it as the systemd driver names it (docker-ID.scope).
func inCgroupOf(groups, container string) bool {
	for line := range strings.Lines(groups) {
		parts := strings.Split(strings.TrimSpace(line), "/")
		if slices.ContainsFunc(parts, func(p string) bool {
			p = strings.TrimSuffix(p, ".scope")
			return p == container || strings.HasSuffix(p, "-"+container)
		}) {
			return true
		}
	}
	return false
}
