package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"chaosgate/pkg/proc"
	"chaosgate/pkg/target"
)

// helperTimeout bounds how long a helper may take to revert and exit when its stdin is closed.
const helperTimeout = 5 * time.Second

// helper is an injector at work on a service: this program with the argument agent, a child like the services.
type helper struct {
	env     *Environment
	service *service
	process *proc.Process
	stdin   io.Closer
	stdout  io.Closer
	client  target.HelperClient
}

// Host implements target.Hoster.
func (e *Environment) Host(ctx context.Context, t target.Target, job string, config any) (target.Helper, error) {
	s, err := e.service(t)
	if err != nil {
		return nil, err
	}
	h, err := e.startHelper(s)
	if err != nil && e.ending() {
		err = errEnding
	}
	if err != nil {
		return nil, fmt.Errorf("start the helper for %s on %s: %w", job, s.instance, err)
	}
	if err := h.client.Arm(ctx, job, config); err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), helperTimeout)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("arm the helper for %s on %s: %w", job, s.instance, err), h.Close(closing))
	}
	return h, nil
}

// startHelper starts a helper in the service's cgroup where there is one. Pipes are made here and not by package exec, which would close the reading end
// before its last answer was read.
func (e *Environment) startHelper(s *service) (*helper, error) {
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, inR.Close(), inW.Close())
	}
	h := &helper{env: e, service: s, stdin: inW, stdout: outR}
	h.process, err = e.runHelper(s, inR, outW)
	err = errors.Join(err, inR.Close(), outW.Close())
	if err == nil {
		h.client = e.opts.Connect(inW, outR)
		err = e.addHelper(h)
	}
	if err != nil {
		return nil, errors.Join(err, h.kill())
	}
	return h, nil
}

func (e *Environment) runHelper(s *service, stdin, stdout *os.File) (*proc.Process, error) {
	log, _, err := openLog(filepath.Join(e.opts.LogDir, s.name+"-helpers.log"), s.instance+" helper", []string{e.opts.Self, "agent"})
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(e.opts.Self, "agent")
	cmd.Env = append(os.Environ(), e.marker)
	cmd.Dir = e.opts.Root
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, log
	p, err := proc.Start(cmd)
	if err != nil || s.group == nil {
		return p, err
	}
	return p, s.group.add(p.PID())
}

var errEnding = errors.New("the environment ends")

func (e *Environment) ending() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ended
}

// addHelper makes a helper known, so that Down ends it.
func (e *Environment) addHelper(h *helper) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return errEnding
	}
	e.helpers[h] = struct{}{}
	h.service.change(func(st *state) { st.helpers++ })
	return nil
}

func (e *Environment) dropHelper(h *helper) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.helpers[h]; ok {
		delete(e.helpers, h)
		h.service.change(func(st *state) { st.helpers-- })
	}
}

// endHelpers lets no more helpers in and answers those there are.
func (e *Environment) endHelpers() []*helper {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	var all []*helper
	for h := range e.helpers {
		all = append(all, h)
	}
	clear(e.helpers)
	return all
}

// Call implements target.Helper.
func (h *helper) Call(ctx context.Context, command string) (json.RawMessage, error) {
	return h.client.Call(ctx, command)
}

// PID implements target.Helper.
func (h *helper) PID() int { return h.process.PID() }

// ID implements target.Helper: its process is enough.
func (h *helper) ID() string { return "" }

// Close implements target.Helper. A helper that does not exit in time is killed, which is an error: whether it has reverted is not known then.
func (h *helper) Close(ctx context.Context) error {
	defer h.env.dropHelper(h)
	_ = h.stdin.Close() // it fails only if it is closed
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	exit, err := h.process.Wait(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("the helper on %s did not end when it was told to: %w", h.service.instance, err), h.kill())
	}
	_ = h.stdout.Close()
	// A helper that the kernel has killed for memory has left nothing to revert.
	if exit.Code != 0 && exit.Signal == 0 {
		return fmt.Errorf("the helper on %s ended with %v: see %s-helpers.log", h.service.instance, exit, h.service.name)
	}
	return nil
}

func (h *helper) kill() error {
	_, _ = h.stdin.Close(), h.stdout.Close()
	if h.process == nil {
		return nil
	}
	err := h.process.Kill()
	<-h.process.Done()
	return err
}

// Placement implements target.Hoster.
func (e *Environment) Placement(_ context.Context, t target.Target) (target.Placement, error) {
	s, err := e.service(t)
	if err != nil {
		return target.Placement{}, err
	}
	return e.charge.placement(s), nil
}

// Usage implements target.Hoster. Without a cgroup it is the sum over the live processes of the instance and its helpers, so the CPU time of one that has ended
// is missing.
func (e *Environment) Usage(_ context.Context, t target.Target) (target.Usage, error) {
	s, err := e.service(t)
	if err != nil {
		return target.Usage{}, err
	}
	if s.group != nil {
		return s.group.usage()
	}
	ids, err := proc.FindMarked(s.mark())
	if err != nil {
		return target.Usage{}, err
	}
	e.mu.Lock()
	for h := range e.helpers {
		if h.service == s {
			ids = append(ids, h.process.ID())
		}
	}
	e.mu.Unlock()
	var sum target.Usage
	for _, id := range ids {
		if stat, err := proc.ReadStat(id.PID); err == nil && stat.ID == id {
			sum.CPU += target.Duration(stat.CPU)
			sum.Memory += stat.RSS
		}
	}
	return sum, nil
}
