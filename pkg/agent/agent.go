// Package agent is the helper near a target that loads it or does something to its disk, its database or its links: one job in a process of its own, told what to do over its standard input.
//
// A conversation is lines of JSON. The first names the job and its configuration; then come the commands inject, status and revert, each answered before
// the next is begun. All three are idempotent. The end of standard input is the lease's end: whatever the job did is reverted and Serve returns. So a runner
// that dies takes its faults with it, and nothing has to be told about that. The lease ends as well when nothing is heard for as long as the first line allows: a runner
// may be stopped, or the connection to it lost without an end. An empty line says that it is there; another one is the answer, at once and whatever command is at work, so
// that the runner hears of a helper that stands still.
package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxLine bounds one line of the conversation.
const maxLine = 1 << 20

// maxWaiting is how many commands may wait for the one at work until no more is read, and nothing heard either: a caller that gives up may send the next.
const maxWaiting = 16

// lockTimeout bounds how long a lock is waited for that others hold.
const lockTimeout = 10 * time.Second

// revertTimeout bounds the revert at the end of the conversation, which nobody waits for any more.
const revertTimeout = 5 * time.Second

// The commands.
const (
	Inject = "inject"
	Status = "status"
	Revert = "revert"
)

// request is one line to the helper: the first has Job, the others Command.
type request struct {
	ID      int             `json:"id"`
	Job     string          `json:"job,omitempty"`
	Config  json.RawMessage `json:"config,omitempty"`
	Command string          `json:"command,omitempty"`
	// Within is how long the caller waits for the answer; 0 is without end. What is not done by then ends.
	Within time.Duration `json:"within,omitempty"`
	// Silence, in the first line, is how long the caller may be silent until it is taken for gone; 0 is without end.
	Silence time.Duration `json:"silence,omitempty"`
}

// answer is one line from the helper: either OK or Error is set.
type answer struct {
	ID    int             `json:"id"`
	OK    bool            `json:"ok,omitempty"`
	Error string          `json:"error,omitempty"`
	Data  json.RawMessage `json:"data,omitempty"`
}

// job is what a helper does. Its methods are called by one goroutine, each any number of times and in any order; what they answer is sent as JSON.
type job interface {
	// inject returns when the change is made, or begun if status tells how far it has come; after an error nothing is.
	inject(context.Context) (any, error)
	// status reads back what the change does now.
	status(context.Context) (any, error)
	// revert returns when the change is gone.
	revert(context.Context) error
}

// jobs is all there are: a new one is a file and a row.
var jobs = map[string]func(json.RawMessage) (job, error){
	CPUJob:        newCPU,
	MemoryJob:     newMemory,
	SQLiteLockJob: newSQLiteLock,
	SQLiteJob:     newSQLite,
	SignalJob:     newSignal,
	SelfJob:       newSelf,
	ScoreJob:      newScore,
	LinkJob:       newLink,
	HTTPJob:       newHTTP,
	RoundTripJob:  newRoundTrip,
	DirectoryJob:  newDirectory,
	DiskFillJob:   newDiskFill,
	ReadOnlyJob:   newReadOnly,
}

// Serve is a helper's whole life: it reads the job and the commands from in, answers on out, and reverts and returns when in or ctx ends, or when the caller is silent for too long. It returns nil if the
// conversation ended in an orderly way and nothing is left of the fault.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan []byte, maxWaiting)
	broken := make(chan error, 1)
	s := &server{out: &voice{out: out}, lease: newLease(cancel)}
	defer s.lease.end()
	go func() {
		defer close(lines)
		defer cancel() // a command at work must not outlive the lease
		broken <- s.listen(ctx, in, lines)
	}()
	err := s.converse(ctx, lines)
	if err == nil {
		select {
		case err = <-broken:
		default: // ctx ended first: in may never end
		}
	}
	return errors.Join(err, s.end(ctx))
}

// listen hands on the commands, and answers by itself that the helper is there.
func (s *server) listen(ctx context.Context, in io.Reader, lines chan<- []byte) error {
	scan := bufio.NewScanner(in)
	scan.Buffer(make([]byte, 0, 4096), maxLine)
	for scan.Scan() {
		s.lease.renew()
		if len(scan.Bytes()) == 0 {
			_ = s.out.say(nil) // it fails only if nobody hears it
			continue
		}
		select {
		case lines <- slices.Clone(scan.Bytes()):
		case <-ctx.Done():
			return nil
		}
	}
	if err := scan.Err(); err != nil {
		return fmt.Errorf("read a command: %w", err)
	}
	return nil
}

// voice says whole lines, whoever of several speaks. It is safe for concurrent use.
type voice struct {
	mu  sync.Mutex
	out io.Writer
}

func (v *voice) say(line []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, err := v.out.Write(append(line, '\n'))
	return err
}

// server is one conversation; job is nil until the first line has named it.
type server struct {
	out   *voice
	job   job
	lease *lease
}

func (s *server) converse(ctx context.Context, lines <-chan []byte) error {
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return nil
			}
			text, err := json.Marshal(s.answer(ctx, line))
			if err == nil {
				err = s.out.say(text)
			}
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("answer: %w", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *server) answer(ctx context.Context, line []byte) answer {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return answer{Error: fmt.Sprintf("the line is not a command: %v", err)}
	}
	data, err := s.do(ctx, r)
	if err != nil {
		return answer{ID: r.ID, Error: err.Error()}
	}
	text, err := json.Marshal(data)
	if err != nil {
		return answer{ID: r.ID, Error: err.Error()}
	}
	return answer{ID: r.ID, OK: true, Data: text}
}

func (s *server) do(ctx context.Context, r request) (any, error) {
	if s.job == nil {
		return nil, s.arm(r)
	}
	if r.Within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Within)
		defer cancel()
	}
	switch r.Command {
	case Inject:
		return s.job.inject(ctx)
	case Status:
		return s.job.status(ctx)
	case Revert:
		return nil, s.job.revert(ctx)
	}
	return nil, fmt.Errorf("there is no command %q; there are %s, %s and %s", r.Command, Inject, Status, Revert)
}

func (s *server) arm(r request) error {
	make, ok := jobs[r.Job]
	if !ok {
		names := slices.Sorted(maps.Keys(jobs))
		return fmt.Errorf("there is no job %q; there are %s", r.Job, strings.Join(names, ", "))
	}
	j, err := make(r.Config)
	if err != nil {
		return fmt.Errorf("job %s: %w", r.Job, err)
	}
	s.job = j
	s.lease.begin(r.Silence)
	return nil
}

// end reverts in its own time: ctx has ended by now.
func (s *server) end(ctx context.Context) error {
	if s.job == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revertTimeout)
	defer cancel()
	if err := s.job.revert(ctx); err != nil {
		return fmt.Errorf("revert at the end: %w", err)
	}
	return nil
}

// decode reads a configuration strictly: a key that is not known would be a load that nobody asked for.
func decode(config json.RawMessage, into any) error {
	d := json.NewDecoder(strings.NewReader(string(config)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("its configuration cannot be read: %w", err)
	}
	return nil
}
