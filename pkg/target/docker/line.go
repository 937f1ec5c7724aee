package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/pkg/stdcopy"

	"chaosgate/pkg/target"
)

// line is the connection to a helper's standard input and output: the lease.
type line struct {
	conn   types.HijackedResponse
	stdout *io.PipeReader
	client target.HelperClient
	stderr *lastWords
}

// lastWords keeps the end of what a helper says on its standard error. It is safe for concurrent use.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

const lastWordsLimit = 1 << 10

func (l *lastWords) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	l.text = l.text[max(0, len(l.text)-lastWordsLimit):]
	return len(p), nil
}

// with adds the last words to an error.
func (l *lastWords) with(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if said := strings.TrimSpace(string(l.text)); said != "" {
		return fmt.Errorf("%w (it said: %s)", err, said)
	}
	return err
}

// connect makes a line of an attached connection. When the helper gives no answer any more, lost is called, if there is one.
func (h *hosts) connect(conn types.HijackedResponse, lost func()) line {
	stdout, in := io.Pipe()
	said := &lastWords{}
	go func() {
		_, err := stdcopy.StdCopy(in, said, conn.Reader)
		_ = in.CloseWithError(err) // nil is the end
	}()
	return line{conn: conn, stdout: stdout, client: h.Connect(input{conn}, stdout, lost), stderr: said}
}

// Call implements target.Helper.
func (l line) Call(ctx context.Context, command string) (json.RawMessage, error) {
	return l.client.Call(ctx, command)
}

// PID implements target.Helper: it is not looked at as a process of this machine.
func (l line) PID() int { return 0 }

// release ends the lease, and hang the connection.
func (l line) release() { _ = l.conn.CloseWrite() } // it fails only if it is closed

func (l line) hang() {
	l.conn.Close()
	_ = l.stdout.Close()
}

// input is the standard input of an attached process; closing it is the end of it alone.
type input struct{ types.HijackedResponse }

func (c input) Write(p []byte) (int, error) { return c.Conn.Write(p) }
func (c input) Close() error                { return c.CloseWrite() }
