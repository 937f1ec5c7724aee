package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// released is what the runner says when it ends with nothing left to undo. Anything else at the end of the pipe means that it died.
const released = "released\n"

// Process is a running guard: a process in a session of its own that holds the other end of a pipe to this one.
type Process struct {
	cmd   *exec.Cmd
	pipe  io.WriteCloser
	ended chan struct{}
	err   error // how it ended; valid after ended is closed
}

// Start starts `command args...` as the guard. It survives the runner and its terminal; its output goes to log.
func Start(log *os.File, command string, args ...string) (*Process, error) {
	cmd := exec.Command(command, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stdout, cmd.Stderr = log, log
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	p := &Process{cmd: cmd, pipe: pipe, ended: make(chan struct{})}
	go func() { p.err = cmd.Wait(); close(p.ended) }()
	return p, nil
}

// Ended is closed when the guard has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// HasEnded says whether the guard has ended.
func (p *Process) HasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// closePipe closes this end of the pipe. That of a guard which has ended is closed already.
func (p *Process) closePipe() error {
	if err := p.pipe.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

func (p *Process) wait() error {
	<-p.ended
	return p.err
}

// PID is the guard's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// releasePatience is how long a guard may take to hear that it is released.
const releasePatience = 5 * time.Second

// Release tells the guard that nothing is left to undo, and waits for its end. One that does not hear it, because somebody has stopped it, is killed: it has
// nothing to do any more.
func (p *Process) Release() error {
	_, err := io.WriteString(p.pipe, released)
	err = errors.Join(err, p.closePipe())
	select {
	case <-p.ended:
	case <-time.After(releasePatience):
		err = errors.Join(err, p.cmd.Process.Kill())
	}
	return errors.Join(err, p.wait())
}

// Abandon lets the guard do its work: it undoes what is pending. It waits for its end.
func (p *Process) Abandon() error {
	return errors.Join(p.closePipe(), p.wait())
}

// Serve is the guard's own side: it waits on the pipe, and if the runner went without releasing it, it rolls the journal back. It answers what it
// did.
func Serve(ctx context.Context, pipe io.Reader, path string, revert RevertFunc) (Result, error) {
	said, err := io.ReadAll(io.LimitReader(pipe, 1<<10))
	if err == nil && strings.HasSuffix(string(said), released) {
		return Result{Released: true}, nil
	}
	return Rollback(ctx, path, "guard", revert)
}
