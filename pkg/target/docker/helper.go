package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/impair"
	"chaosgate/pkg/intercept"
	"chaosgate/pkg/target"
)

const (
	// tellTimeout bounds how long a helper may take to do what it is told.
	tellTimeout = 5 * time.Second
	// endTimeout bounds how long it takes until a helper is gone that was told to end: it reverts and exits, and a busy engine takes its time to see that and to remove it.
	endTimeout = 20 * time.Second
)

// Helpers says what helpers are made of.
type Helpers struct {
	Self string // this program
	// Connect speaks with a helper: agent.NewWatching. When it gives no answer any more, lost is called, if there is one.
	Connect func(stdin io.WriteCloser, stdout io.Reader, lost func()) target.HelperClient
	Jobs    Jobs
}

// Jobs are those of package agent that this adapter asks for by itself.
type Jobs struct {
	Memory []string                                           // those that take memory: what the kernel kills meanwhile is their doing
	Self   string                                             // tells its own process id as "pid"
	Signal func(container, signal string) (job string, c any) // sends a signal to a container's first process
	Score  func(score *int) (job string, c any)               // reads the OOM score of the first process as "score", or sets it
	// Link puts a fault on the packets of a link, in the network namespace of the helper, and tells "on", "problem" and "counts".
	Link func(impair.Link, impair.Fault) (job string, c any)
	// Requests deals with the HTTP requests of a link, in the network namespace of its callee, and tells "on", "problem" and "requests".
	Requests func(impair.Link, intercept.Fault) (job string, c any)
	// RoundTrip measures a request from some of the caller's ports: "took", "error" and whether that is a "reset".
	RoundTrip func(url string, from impair.Range) (job string, c any)
}

// helper is this program in a container of its own, told what to do over its standard input. When that ends, with the runner at the latest, it reverts and exits, and
// the engine removes it.
type helper struct {
	line
	of *hosts
	id string
}

var _ target.Helper = (*helper)(nil)

// ID implements target.Helper.
func (h *helper) ID() string { return h.id }

// attachTimeout bounds how long an engine may take to hand out a connection.
const attachTimeout = 10 * time.Second

// within gets a connection that outlasts the step that needed it, since it is the lease of a helper. While it is made it ends with ctx, which the client does not look at
// then: one that comes too late is closed.
func within(ctx context.Context, get func(context.Context) (types.HijackedResponse, error)) (types.HijackedResponse, error) {
	type answer struct {
		conn types.HijackedResponse
		err  error
	}
	got := make(chan answer, 1)
	outlasts := context.WithoutCancel(ctx)
	go func() {
		conn, err := get(outlasts)
		got <- answer{conn, err}
	}()
	ctx, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	select {
	case a := <-got:
		return a.conn, a.err
	case <-ctx.Done():
		go func() {
			if late := <-got; late.err == nil {
				late.conn.Close()
			}
		}()
		return types.HijackedResponse{}, fmt.Errorf("the engine hands out no connection: %w", context.Cause(ctx))
	}
}

// run attaches to the container and starts it.
func (h *helper) run(ctx context.Context) error {
	conn, err := within(ctx, func(ctx context.Context) (types.HijackedResponse, error) {
		return h.of.engine.ContainerAttach(ctx, h.id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	})
	if err != nil {
		return err
	}
	h.line = h.of.connect(conn, h.lose)
	if err := h.of.engine.ContainerStart(ctx, h.id, container.StartOptions{}); err != nil {
		h.hang()
		return err
	}
	return nil
}

// Close ends the helper. One that does not exit in time is killed, which is an error: whether it has reverted is not known then.
func (h *helper) Close(ctx context.Context) error {
	defer h.hang()
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	ended, failed := h.of.engine.ContainerWait(ctx, h.id, container.WaitConditionRemoved)
	h.release()
	code, err := h.await(ctx, ended, failed)
	switch {
	case err != nil:
		killing, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		return errors.Join(fmt.Errorf("the helper %.12s did not end when it was told to: %w", h.id, err), h.remove(killing))
	case code != 0:
		err = fmt.Errorf("the helper %.12s ended with exit code %d", h.id, code)
	}
	h.of.drop(h)
	return err
}

// lookAgain is how often an engine is asked whether a helper is gone, of which it may not tell.
const lookAgain = 100 * time.Millisecond

// await waits until the helper is removed and answers its exit code. An engine that is asked to tell of the end at the moment in which it comes may never do so; then the
// code is not known, and the helper was released before.
func (h *helper) await(ctx context.Context, ended <-chan container.WaitResponse, failed <-chan error) (code int64, err error) {
	for {
		select {
		case r := <-ended:
			return r.StatusCode, nil
		case err := <-failed:
			if cerrdefs.IsNotFound(err) {
				err = nil
			}
			return 0, err
		case <-time.After(lookAgain):
			if _, err := h.of.engine.ContainerInspect(ctx, h.id); cerrdefs.IsNotFound(err) {
				return h.codeOf(ended), nil
			}
		}
	}
}

// codeOf is the exit code, if the engine tells it at last.
func (h *helper) codeOf(ended <-chan container.WaitResponse) int64 {
	select {
	case r := <-ended:
		return r.StatusCode
	case <-time.After(lookAgain):
		return 0
	}
}

// lose removes a helper that gives no answer any more: the kernel keeps for one that is stopped or hangs what it decides on, and takes it off with its end. If that cannot be done
// it is left for those who take back its fault, and for the end of the environment.
func (h *helper) lose() {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if poll(ctx, func() (bool, error) { return h.remove(ctx) == nil, nil }) == nil && h.of.absent(ctx, h.id) == nil {
		h.hang()
		h.of.drop(h)
	}
}

func (h *helper) remove(ctx context.Context) error {
	err := h.of.engine.ContainerRemove(ctx, h.id, container.RemoveOptions{Force: true})
	if err != nil && goes(err) {
		return nil
	}
	return err
}
