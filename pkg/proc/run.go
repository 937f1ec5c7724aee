package proc

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

// Result is what a command that was run to its end did. Output beyond the limit was read and dropped.
type Result struct {
	ExitCode       int // 128+n for signal n
	Stdout, Stderr string
	Truncated      bool // one of the outputs was longer than the limit
	Took           time.Duration
}

// Run runs a command and keeps at most limit bytes of each of its outputs. An exit code other than 0 is no error. When ctx ends, or the command exits,
// its whole group is killed; an ended ctx is an error that wraps ctx's cause, and the Result then holds what was captured so far.
func Run(ctx context.Context, cmd *exec.Cmd, limit int) (Result, error) {
	if ctx.Err() != nil {
		return Result{}, fmt.Errorf("%s was not started: %w", filepath.Base(cmd.Path), context.Cause(ctx))
	}
	stdout, stderr := &capture{limit: limit}, &capture{limit: limit}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	began := time.Now()
	p, err := Start(cmd)
	if err != nil {
		return Result{}, err
	}
	_, ended := p.Wait(ctx)
	if ended != nil {
		err = p.Kill()
		<-p.Done()
	}
	r := Result{
		ExitCode: p.Exit().Code, Stdout: stdout.buf.String(), Stderr: stderr.buf.String(),
		Truncated: stdout.over || stderr.over, Took: time.Since(began),
	}
	switch {
	case err != nil:
		return r, err
	case ended != nil:
		return r, fmt.Errorf("%s was killed after %v: %w", filepath.Base(cmd.Path), r.Took.Round(time.Millisecond), context.Cause(ctx))
	}
	return r, nil
}

// capture keeps the first limit bytes written to it. It is written by one goroutine, and read after the process is done.
type capture struct {
	limit int
	buf   bytes.Buffer
	over  bool
}

func (c *capture) Write(p []byte) (int, error) {
	keep := min(len(p), max(0, c.limit-c.buf.Len()))
	c.buf.Write(p[:keep])
	c.over = c.over || keep < len(p)
	return len(p), nil
}
