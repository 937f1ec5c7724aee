package proc

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrExited means that the process has exited already, so it cannot get a signal.
var ErrExited = errors.New("the process has exited")

// outputGrace is how long the output of an exited child is still read when a process that left its group keeps the pipe open.
const outputGrace = 250 * time.Millisecond

// Exit is how a process ended.
type Exit struct {
	Code   int            // 128+n for signal n
	Signal syscall.Signal // 0 if it exited by itself
	At     time.Time
	// Err says that its output could not be read or written to the end; nil otherwise. An exit code is not an error.
	Err error
}

// String is "exit code 3" or "signal 9 (killed)".
func (e Exit) String() string {
	if e.Signal != 0 {
		return fmt.Sprintf("signal %d (%v)", int(e.Signal), e.Signal)
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Process is a started child and its process group. It is safe for concurrent use.
type Process struct {
	cmd  *exec.Cmd
	id   ID
	done chan struct{}

	mu     sync.Mutex // held while signalling and while deciding that the leader may be reaped
	exited bool
	exit   Exit // set before done is closed
}

// Start starts cmd as the leader of a new process group (of a new session if cmd asks for Setsid), to be killed when this program dies, and waits for
// it in the background: nobody may call cmd.Wait. Starting is serial over the whole program, about a millisecond a child.
//
// The parent-death signal reaches the child only: its own children die with the group if this program is alive to kill it, else by KillMarked. The kernel
// also forgets the signal when the child executes a set-user-ID program.
func Start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = !cmd.SysProcAttr.Setsid
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = outputGrace
	}
	if err := theSpawner().start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	p := &Process{cmd: cmd, id: ID{PID: cmd.Process.Pid}, done: make(chan struct{})}
	// The child is not reaped yet, so even if it has exited this reads the right process.
	if id, err := Identify(p.id.PID); err == nil {
		p.id = id
	}
	go p.reap()
	return p, nil
}

// reap waits for the leader, kills what it left in its group while the zombie still keeps the group's number from being given out again, and reaps it.
func (p *Process) reap() {
	waitExited(p.id.PID)
	at := time.Now()
	p.mu.Lock()
	p.exited = true
	_ = syscall.Kill(-p.id.PID, syscall.SIGKILL) // fails only if nobody is left
	p.mu.Unlock()
	err := p.cmd.Wait()
	p.exit = exitOf(p.cmd, err, at)
	close(p.done)
}

// waitExited returns when the child has exited, and leaves it a zombie.
func waitExited(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

func exitOf(cmd *exec.Cmd, err error, at time.Time) Exit {
	var status *exec.ExitError
	if errors.As(err, &status) {
		err = nil
	}
	e := Exit{At: at, Err: err, Code: -1}
	if cmd.ProcessState == nil {
		return e
	}
	e.Code = cmd.ProcessState.ExitCode()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.Signal = ws.Signal()
		e.Code = 128 + int(e.Signal)
	}
	return e
}

// PID is the process id of the leader, which is also its group's id.
func (p *Process) PID() int { return p.id.PID }

// ID names the leader for others, also after this program's end.
func (p *Process) ID() ID { return p.id }

// Done is closed when the leader has exited and was reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit is how the leader ended; valid after Done is closed.
func (p *Process) Exit() Exit { return p.exit }

// Wait waits for the leader's end. An error means that ctx ended first.
func (p *Process) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-p.done:
		return p.exit, nil
	default:
	}
	select {
	case <-p.done:
		return p.exit, nil
	case <-ctx.Done():
		return Exit{}, fmt.Errorf("wait for process %d: %w", p.id.PID, context.Cause(ctx))
	}
}

// Signal sends a signal to every process of the group. It is ErrExited if the leader has exited; a signal never reaches a process that got the same
// number later.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exited {
		return ErrExited
	}
	if err := syscall.Kill(-p.id.PID, sig); err != nil {
		return fmt.Errorf("send signal %d to process group %d: %w", int(sig), p.id.PID, err)
	}
	return nil
}

// Kill kills every process of the group, stopped ones too. A leader that has exited is not an error: its group was killed then.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, ErrExited) {
		return err
	}
	return nil
}
