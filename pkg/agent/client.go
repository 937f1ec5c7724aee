package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// ErrEnded means that the helper has ended, so it does nothing to its target any more: by itself, killed, or by the kernel for memory.
var ErrEnded = errors.New("the helper has ended")

// Client is the runner's side of a conversation. It is safe for concurrent use; calls wait for each other.
type Client struct {
	stdin   io.WriteCloser
	answers chan answer   // closed when the helper has closed its output
	ended   chan struct{} // closed then too
	readErr error         // why, valid after ended
	heard   atomic.Uint64 // lines from the helper
	still   chan struct{} // closed when it is taken for one that stands still
	lost    func()        // told then; nil: nobody is

	writing sync.Mutex
	turn    chan struct{} // one call at a time; a channel, so that waiting ends with ctx
	next    int
	shut    sync.Once
}

// NewClient speaks with a helper over its standard input and output. It reads stdout to its end; closing that is the caller's.
func NewClient(stdin io.WriteCloser, stdout io.Reader) *Client {
	return NewWatching(stdin, stdout, nil)
}

// NewWatching is NewClient for a helper that must not stand still: stopped, it would keep what it decides on. When it has answered nothing for a while, not even that it is there,
// lost is called, once and in a goroutine of the client's own. It must end the helper, and what is asked of it ends with that. With a nil lost nothing comes of it.
func NewWatching(stdin io.WriteCloser, stdout io.Reader, lost func()) *Client {
	c := &Client{
		stdin: stdin, answers: make(chan answer, 1), ended: make(chan struct{}), still: make(chan struct{}), lost: lost, turn: make(chan struct{}, 1),
	}
	go c.read(stdout)
	return c
}

func (c *Client) read(stdout io.Reader) {
	defer close(c.ended)
	scan := bufio.NewScanner(stdout)
	scan.Buffer(make([]byte, 0, 4096), maxLine)
	for scan.Scan() {
		c.heard.Add(1)
		if len(scan.Bytes()) == 0 { // it is there
			continue
		}
		var a answer
		if err := json.Unmarshal(scan.Bytes(), &a); err != nil {
			a = answer{ID: -1, Error: fmt.Sprintf("the helper answered %.80q, which is no answer: %v", scan.Text(), err)}
		}
		c.deliver(a)
	}
	c.readErr = scan.Err()
}

// deliver keeps only the newest answer: one that nobody took belongs to a call that gave up.
func (c *Client) deliver(a answer) {
	for {
		select {
		case c.answers <- a:
			return
		default:
		}
		select {
		case <-c.answers:
		default:
		}
	}
}

// Arm names the job and its configuration. It must be the first call; nothing is done to the target yet.
func (c *Client) Arm(ctx context.Context, job string, config any) error {
	text, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("configure %s: %w", job, err)
	}
	if _, err = c.exchange(ctx, request{Job: job, Config: text, Silence: maxSilence}); err != nil {
		return err
	}
	go c.stay()
	return nil
}

// stay says that the runner is there, and asks with that whether the helper is, until one of them or the lease has ended.
func (c *Client) stay() {
	var w watch
	for {
		before := c.heard.Load()
		if c.write(nil) != nil {
			return
		}
		asked := time.Now()
		select {
		case <-c.ended:
			return
		case <-time.After(beat):
		}
		w.note(c.heard.Load() > before, time.Since(asked))
		if c.lost != nil && w.over() {
			close(c.still)
			c.lost()
			return
		}
	}
}

// write sends one line.
func (c *Client) write(text []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.stdin.Write(append(text, '\n'))
	return err
}

// Call sends a command (Inject, Status or Revert) and answers what the job says about it. ErrEnded if the helper is gone.
func (c *Client) Call(ctx context.Context, command string) (json.RawMessage, error) {
	data, err := c.exchange(ctx, request{Command: command})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	return data, nil
}

func (c *Client) exchange(ctx context.Context, r request) (json.RawMessage, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	c.next++
	r.ID = c.next
	if by, ok := ctx.Deadline(); ok {
		r.Within = max(time.Until(by), 1)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if err := c.write(text); err != nil {
		return nil, c.gone(err)
	}
	return c.await(ctx, r.ID)
}

// answerGrace is how much longer than its limit an answer is waited for: a helper that ran into the limit says so.
const answerGrace = 250 * time.Millisecond

// await waits for the answer to one request and drops the late answers to earlier ones.
func (c *Client) await(ctx context.Context, id int) (json.RawMessage, error) {
	done := ctx.Done()
	var over <-chan time.Time // once the limit is reached
	for {
		select {
		case a := <-c.answers:
			if a.ID == id || a.ID <= 0 {
				return a.result()
			}
		case <-c.ended:
			select {
			case a := <-c.answers:
				if a.ID == id {
					return a.result()
				}
			default:
			}
			return nil, c.gone(c.readErr)
		case <-done:
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, context.Cause(ctx)
			}
			done, over = nil, time.After(answerGrace)
		case <-over:
			return nil, context.Cause(ctx)
		}
	}
}

// gone is ErrEnded and how that came, as far as it is known.
func (c *Client) gone(why error) error {
	select {
	case <-c.still:
		return fmt.Errorf("%w: it had given no answer for %v, like one that is stopped, and was removed", ErrEnded, maxUnanswered*beat)
	default:
		return errors.Join(ErrEnded, why)
	}
}

func (a answer) result() (json.RawMessage, error) {
	switch {
	case a.Error != "":
		return nil, errors.New(a.Error)
	case !a.OK:
		return nil, errors.New("the helper's answer says neither ok nor what went wrong")
	}
	return a.Data, nil
}

// Close ends the lease and waits until the helper has closed its output, which it does when it has reverted and exits. It is idempotent.
func (c *Client) Close(ctx context.Context) error {
	c.shut.Do(func() { _ = c.stdin.Close() }) // it fails only if it is closed
	select {
	case <-c.ended:
		return c.readErr
	case <-ctx.Done():
		return fmt.Errorf("the helper did not end when it was told to: %w", context.Cause(ctx))
	}
}
