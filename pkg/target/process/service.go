package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"chaosgate/pkg/mask"
	"chaosgate/pkg/proc"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// service is the one instance of a service, over all its starts.
type service struct {
	name     string
	instance string
	spec     spec.Service
	settings settings
	program  string            // of Build; may be empty
	vars     map[string]string // more environment, of a weakened variant
	revealed map[string]string // secrets, for env
	secrets  *mask.Set
	dir      string // working directory
	data     string
	logPath  string
	marks    []string // environment entries by which its processes are found: the environment's, and its own
	events   *target.EventQueue
	links    func(to string) string // the near end of a link from this service

	supervisor sync.WaitGroup

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change of what follows
	ports   *ports
	group   *cgroup // nil if there is none
	state
}

// state is what the supervisor has seen and what is wanted of it. It is guarded by service.mu.
type state struct {
	process  *proc.Process // of the last start; nil before the first
	running  bool
	ready    bool
	asked    bool // somebody wants it started, whatever the policy says
	held     bool
	ending   bool
	gaveUp   bool
	due      time.Time // when the restart policy starts it again; zero if it does not
	exits    int
	restarts int
	streak   int // restarts since it was last healthy for a while
	lastExit int
	oomKills int64
	hit      hit
	// helpers is how many injectors load the service, so that the kernel's killing it for memory is the fault's doing.
	helpers int
	started time.Time
	logFrom int64 // where in the log the last start begins
	failed  error // why the last start came to nothing, if there was no process
}

// hit is the last signal that a fault has sent to the current start.
type hit struct {
	signal syscall.Signal
	at     time.Time
}

// alive asks the kernel whether the service's process runs: the supervisor hears of its end a moment later.
func (st state) alive() bool { return st.process != nil && st.process.ID().Alive() }

// change changes the state and wakes whoever waits for it.
func (s *service) change(f func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.state)
	close(s.changed)
	s.changed = make(chan struct{})
}

// look answers a copy of the state, and a channel that is closed when it changes.
func (s *service) look() (state, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.changed
}

// await waits until done says so.
func (s *service) await(ctx context.Context, done func(state) bool) error {
	for {
		now, changed := s.look()
		if done(now) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// port is a port's current number.
func (s *service) port(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ports.numbers[name]
}

// upstream is where the service itself listens for links.
func (s *service) upstream() string {
	name, _ := entrance(s.spec)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port(name)))
}

// known are the values that the service's references stand for.
func (s *service) known() values {
	v := values{"data": s.data}
	if s.program != "" {
		v["binary"] = s.program
	}
	for name := range s.spec.Ports {
		v["port."+name] = strconv.Itoa(s.port(name))
	}
	for _, to := range s.spec.Links {
		v["link."+to] = s.links(to)
	}
	return v
}

// inherited are the variables of this program's own environment that services get; any other would make a run depend on who starts it.
var inherited = []string{"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"}

func (s *service) command() (*exec.Cmd, error) {
	known := s.known()
	args := s.spec.Command
	if len(args) == 0 {
		args = []string{"${binary}"}
	}
	argv := make([]string, len(args))
	for i, arg := range args {
		var err error
		if argv[i], err = known.expand(arg); err != nil {
			return nil, fmt.Errorf("command: %w", err)
		}
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = s.dir
	for _, name := range inherited {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	for name, v := range s.revealed {
		known["secret."+name] = v
	}
	for _, vars := range []map[string]string{s.spec.Env, s.vars} {
		expanded, err := known.expandAll(vars)
		if err != nil {
			return nil, fmt.Errorf("env: %w", err)
		}
		for name, v := range expanded {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.Env = append(cmd.Env, s.marks...)
	return cmd, nil
}

// launch starts the service's process, in its cgroup and with its output going to its log, which is to be closed when the process has ended.
func (s *service) launch() (p *proc.Process, log io.Closer, err error) {
	cmd, err := s.command()
	if err != nil {
		return nil, nil, err
	}
	file, from, err := openLog(s.logPath, s.instance, cmd.Args)
	if err != nil {
		return nil, nil, err
	}
	log = file
	cmd.Stdout, cmd.Stderr = file, file
	if !s.secrets.Empty() {
		stream := s.secrets.Stream(file)
		log, cmd.Stdout, cmd.Stderr = stream, stream, stream
	}
	p, err = s.start(cmd, from)
	if err != nil {
		return nil, nil, errors.Join(err, log.Close())
	}
	return p, log, nil
}

func (s *service) start(cmd *exec.Cmd, from int64) (*proc.Process, error) {
	s.mu.Lock()
	held := s.ports
	s.logFrom = from
	s.mu.Unlock()
	if err := held.release(); err != nil {
		return nil, fmt.Errorf("free its ports: %w", err)
	}
	p, err := proc.Start(cmd)
	if err != nil {
		return nil, fmt.Errorf("%w (command %q in %s)", err, cmd.Path, s.dir)
	}
	// It can be seen, and hit by a fault, from now on.
	s.change(func(st *state) {
		st.process, st.running, st.ready, st.started, st.hit, st.failed = p, true, false, time.Now(), hit{}, nil
	})
	if s.group == nil {
		return p, nil
	}
	if err := s.group.add(p.PID()); err != nil && p.ID().Alive() {
		err = fmt.Errorf("%w; it was killed, because its load could not be charged to it", err)
		_ = p.Kill()
		<-p.Done()
		return nil, err
	}
	return p, nil
}

func (s *service) event(t target.EventType, pid, restarts int) target.Event {
	return target.Event{Time: time.Now(), Type: t, Service: s.name, Instance: s.instance, PID: pid, Restarts: restarts}
}

// newService makes an instance that is not started yet; its data folder is below data.
func newService(name string, sp spec.Service, data string) (*service, error) {
	read, errs := readSettings(sp)
	if len(errs) > 0 {
		return nil, errs[0]
	}
	instance := name + "-1"
	return &service{
		name: name, instance: instance, spec: sp, settings: read, data: filepath.Join(data, instance),
		changed: make(chan struct{}), state: state{lastExit: -1},
	}, nil
}
