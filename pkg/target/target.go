// Package target is what can be hit: an environment of services, the selection of targets in it, and what can be done to them.
//
// Adapters (target/process, target/docker, target/kubernetes) import this package and never each other. What an adapter can do
// beyond Runtime is an optional interface, found by type assertion as in io/fs; Capability names the same things for the plan,
// which decides offline.
package target

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// ErrGone means that the target, or the environment it lived in, no longer exists, so there is nothing left to undo on it.
var ErrGone = errors.New("the target no longer exists")

// Ref names one target so that another process can find it again. ID means something to the adapter only.
type Ref struct {
	Runtime  string `json:"runtime"`            // "process", "docker", "kubernetes"
	Service  string `json:"service"`            // name in chaos.yaml
	Instance string `json:"instance,omitempty"` // "service-a-1"
	ID       string `json:"id,omitempty"`
}

// Target is one running instance of a service.
type Target struct {
	Ref
}

// Undo is what must be done to take a change back, as data: it is written to the journal and synced before the change is made,
// and it must be enough for a fresh process that knows nothing else.
type Undo struct {
	ID     string          `json:"id"`     // unique in a journal
	Kind   string          `json:"kind"`   // a fault's name ("service.pause") or an adapter's own ("process.environment")
	Target Ref             `json:"target"` // what it acts on
	Data   json.RawMessage `json:"data,omitempty"`
	// Manual is the command a person could run if everything else fails, shown by the second ^C and by exit 6.
	Manual string `json:"manual,omitempty"`
	// Ready is how long those may take to be ready that it starts, see Patience, with what they may take longer than usual to end before; 0 if it starts nothing, or nothing is said of them.
	Ready Duration `json:"ready,omitempty,omitzero"`
}

// RecordUndo writes an Undo to the journal and returns when it is on disk. If it fails the change must not be made.
type RecordUndo func(Undo) error

// Selection is the blast radius of a step, decided by the plan except for the instances, which are only known at run time.
type Selection struct {
	Services  []string `json:"services"`            // at least one
	Instances string   `json:"instances,omitempty"` // "one", "all", "3", "50%"; empty is "all"
	Seed      uint64   `json:"seed"`                // picks instances; the same seed picks the same
}

// Runtime is an environment, open and usable. It is safe for concurrent use.
type Runtime interface {
	// Name is the adapter: "process".
	Name() string
	// Resolve answers the selected instances, sorted by service and instance. Nothing selected is an error.
	Resolve(context.Context, Selection) ([]Target, error)
	// Close lets go of connections; it does not stop the environment.
	Close() error
}

// Scrape is one place to read metrics from; Labels has at least service and instance.
type Scrape struct {
	URL    string            `json:"url"`
	Labels map[string]string `json:"labels"`
}

// Environment is a Runtime that this run has started for one experiment and will end.
type Environment interface {
	Runtime
	// Up starts everything and returns when all services are ready. Before anything exists it records one Undo from which a fresh
	// process can end the whole environment. On an error it has already taken down what it had started.
	Up(context.Context, RecordUndo) error
	// Down ends everything and verifies that nothing is left: no process, no port, no directory of its own.
	Down(context.Context) error
	// URL is how a caller outside reaches a service: scheme, host and port, no path ("http://127.0.0.1:40123"). Faults on all peers of a service apply to it.
	URL(service string) (string, error)
	// Scrapes lists where metrics are read; these connections are never subject to faults.
	Scrapes() []Scrape
	// Events delivers what happens to instances until Down; it is closed then. The receiver must keep reading.
	Events() <-chan Event
}

// EventType says what happened to an instance.
type EventType string

// The event types.
const (
	Started EventType = "started"
	Ready   EventType = "ready"
	Exited  EventType = "exited"  // by itself, by a fault or by the kernel; Detail says which as far as known
	GaveUp  EventType = "gave-up" // the restart policy will not start it again
	// Lost is of the environment as a whole, and of no instance: who holds the instances cannot be reached, so what happens to them is not known.
	Lost EventType = "lost"
)

// Event is one thing that happened to an instance.
type Event struct {
	Time     time.Time `json:"time"`
	Type     EventType `json:"type"`
	Service  string    `json:"service"`
	Instance string    `json:"instance"`
	PID      int       `json:"pid,omitempty"`
	ExitCode int       `json:"exit_code"`               // of Exited; 128+n for signal n
	OOM      bool      `json:"oom,omitempty"`           // killed by the kernel for memory
	Expected bool      `json:"expected,omitempty"`      // caused by a fault or by Down
	Detail   string    `json:"detail,omitempty"`        // "killed by signal 9 (fault)"
	Restarts int       `json:"restarts"`                // how often the restart policy has started it again so far
	Took     Duration  `json:"took,omitempty,omitzero"` // of Ready: since Started
}

// Duration is a time.Duration that is a string such as "300ms" in JSON.
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// Status is the state of one instance, read back from the system and not from memory.
type Status struct {
	Running   bool      `json:"running"`
	Paused    bool      `json:"paused"`
	Ready     bool      `json:"ready"`
	PID       int       `json:"pid,omitempty"`
	Restarts  int       `json:"restarts"`
	OOMKilled bool      `json:"oom_killed"` // at least once since Up
	OOMKills  int64     `json:"oom_kills"`  // how often the kernel has killed a process of it, or of a helper's beside it, for memory since Up
	ExitCode  int       `json:"exit_code"`  // of the last exit; -1 if it never exited
	Started   time.Time `json:"started,omitzero"`
}

// Inspector reads an instance's state.
type Inspector interface {
	Inspect(context.Context, Target) (Status, error)
}

// Killer sends a signal to the instance's main process and, with it, its whole group.
// Hold keeps the restart policy from starting the instance until Release is called; both are idempotent.
type Killer interface {
	Kill(ctx context.Context, t Target, signal string) error // "SIGKILL", "SIGTERM", ...
	Hold(ctx context.Context, t Target) error
	Release(ctx context.Context, t Target) error
}

// Armer readies what Kill needs to hit an instance that is not held, so that the kill itself is a message. It is idempotent, and nothing that the target can feel.
type Armer interface {
	Arm(ctx context.Context, t Target, signal string) error
}

// Protector says which targets may only be looked at.
type Protector interface {
	// Protected answers why nothing may hit a target; nil if it may be.
	Protected(Target) error
}

// ByHand says how a person takes back what was done to an instance, as a command; empty if there is none.
type ByHand interface {
	ByHand(ctx context.Context, t Target, what Capability) string
}

// Starter stops and starts an instance in an orderly way. Stop is SIGTERM, then SIGKILL after grace; it implies Hold.
// Start returns when the instance is ready.
type Starter interface {
	Stop(ctx context.Context, t Target, grace time.Duration) error
	Start(ctx context.Context, t Target) error
}

// Pauser freezes and thaws every process of an instance. Both are idempotent and verified by readback.
type Pauser interface {
	Pause(context.Context, Target) error
	Resume(context.Context, Target) error
}

// Helper is an injector near the target (see package agent). Closing its stdin makes it revert and exit; it dies with the runner in any case.
type Helper interface {
	// Call sends one command and waits for its answer.
	Call(ctx context.Context, command string) (json.RawMessage, error)
	// PID is the helper's process on this machine, 0 if it is not one. ID names it for HelperEnder then.
	PID() int
	ID() string
	// Close ends the helper: it reverts, exits, and is waited for.
	Close(ctx context.Context) error
}

// HelperClient speaks with a helper over its standard input and output; package agent has it.
type HelperClient interface {
	Arm(ctx context.Context, job string, config any) error
	Call(ctx context.Context, command string) (json.RawMessage, error)
}

// Hoster runs a helper where its load is charged to the target: in its cgroup where one can be had, else beside it (Placement says which).
type Hoster interface {
	Host(ctx context.Context, t Target, job string, config any) (Helper, error)
	// Placement is an error where it cannot be read: no limit that is known is not the same as none.
	Placement(ctx context.Context, t Target) (Placement, error)
	// Usage reads how much CPU time and memory the place has used: the target's cgroup, or the target's processes and helpers together.
	Usage(ctx context.Context, t Target) (Usage, error)
}

// Placement says where a helper's load is charged.
type Placement struct {
	Cgroup      bool   `json:"cgroup"`
	Where       string `json:"where"`        // "the service's own cgroup", "beside the service: no cgroup can be made here (permission denied)"
	MemoryLimit int64  `json:"memory_limit"` // bytes; 0 is none
	// CPULimit is how many processors' time all in the place may use together; 0 is all there are.
	CPULimit float64 `json:"cpu_limit,omitempty"`
	// NeverKills means that the kernel kills nobody in the place when memory runs out: whoever wants more waits.
	NeverKills bool `json:"never_kills,omitempty"`
}

// HelperEnder sees to it, from a fresh process, that a helper is at work no more, by its ID. It is idempotent.
type HelperEnder interface {
	EndHelper(ctx context.Context, t Target, helper string) error
}

// OOMScorer chooses whom the kernel kills first when memory runs out, among the processes that share a limit: a score from -1000 (never) to 1000 (first) of the
// instance's main process. A process that is started later has the usual score again.
type OOMScorer interface {
	OOMScore(context.Context, Target) (int, error)
	SetOOMScore(ctx context.Context, t Target, score int) error
}

// Usage is a reading of a target's resources.
type Usage struct {
	CPU    Duration `json:"cpu"`    // total CPU time so far
	Memory int64    `json:"memory"` // bytes resident now
}

// Database is where a database is: a SQLite file or, if there is a Server, one of a PostgreSQL server.
type Database struct {
	Path string
	// Inside means that the path is the instance's own, and only a helper that is hosted there reaches it.
	Inside bool
	Server *Server
}

// Databaser finds the databases of an instance.
type Databaser interface {
	// Database answers a database of the target by its name in chaos.yaml; an empty name means the only one.
	Database(t Target, name string) (Database, error)
	// MayHitDatabase is an error that names who else has the file of a SQLite database, unless all who do may be hit by what is done to it. The file is named as the target itself finds it, with links
	// followed. What others have can change, so it holds for this moment.
	MayHitDatabase(ctx context.Context, t Target, file string) error
}

// Server is a database of a PostgreSQL server, as data by which another process finds it again. There is no password in it.
type Server struct {
	URL         string `json:"url"`                    // as in chaos.yaml, without its password
	PasswordEnv string `json:"password_env,omitempty"` // the environment variable that holds it; empty: there is none
	On          *Ref   `json:"on,omitempty"`           // the instance that the server is; nil: it is none of the environment's, and the URL says where it is
}

// ServerFinder says where a server is reached now: host and port. ErrGone means that it ran in the environment and has ended, and with it all that was done to it.
type ServerFinder interface {
	FindServer(context.Context, Server) (string, error)
}

// Marker finds what is started for an environment by what it inherits: whoever carries these entries ("NAME=value") of its process environment is ended by the
// undo that Up has recorded. They are the same before and after Up.
type Marker interface {
	Marks() []string
}

// Capability names an optional interface for the plan, or a fact about the target that the plan must know.
type Capability string

// The capabilities.
const (
	CanKill     Capability = "kill"
	CanStart    Capability = "stop and start"
	CanPause    Capability = "pause"
	CanImpair   Capability = "impair links"
	CanPackets  Capability = "impair single packets"
	CanRequests Capability = "impair single requests"
	CanAllPeers Capability = "impair all links of a service at once"
	CanPorts    Capability = "impair a link to one port alone"
	CanHost     Capability = "load a target"
	CanDatabase Capability = "reach a database"
	CanInspect  Capability = "inspect"
	CanLimit    Capability = "limit a target's resources"
	CanFill     Capability = "fill a disk of the target's own"
	CanMount    Capability = "change what is mounted for the target alone"
	CanScale    Capability = "run several instances of one service"
	CanConfine  Capability = "confine a load" // to the target, so that nobody else on the machine feels it
)
