package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/proc"
	"chaosgate/pkg/target"
)

// RevertEnvironment ends an environment from a fresh process, given the data of the undo that Up recorded: it kills every process of it and removes its cgroups
// and its data, and verifies that. It is idempotent, and safe if Up never came to start anything. What the data names is not believed: only processes that
// carry a marker of ours or are in a cgroup named after it, those cgroups, and a folder with our stamp are touched.
func RevertEnvironment(ctx context.Context, data json.RawMessage) error {
	var l leftover
	if err := json.Unmarshal(data, &l); err != nil {
		return fmt.Errorf("read the undo of an environment: %w", err)
	}
	if id, ok := strings.CutPrefix(l.Marker, proc.MarkerName+"="); !ok || id == "" {
		return fmt.Errorf("the undo of an environment has the marker %q, expected %s=<run>/<experiment>: nothing was done", l.Marker, proc.MarkerName)
	}
	if err := proc.KillMarked(ctx, l.Marker); err != nil {
		return fmt.Errorf("end the services: %w", err)
	}
	errs := []error{removeWorkDir(l.WorkDir, l.Marker)}
	for _, dir := range l.Cgroups {
		errs = append(errs, revertCgroup(ctx, dir, strings.TrimPrefix(l.Marker, proc.MarkerName+"=")))
	}
	return errors.Join(errs...)
}

// revertCgroup removes a cgroup of the environment with this id. Who is still in it has hidden from the search for the marker: a cgroup cannot be left by those who may
// not write to it.
func revertCgroup(ctx context.Context, dir, id string) error {
	if err := checkOwnCgroup(dir, id); err != nil {
		return err
	}
	if err := proc.KillFound(ctx, func() ([]proc.ID, error) { return members(dir) }); err != nil {
		return fmt.Errorf("end the processes of cgroup %s: %w", dir, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return removeCgroup(ctx, dir)
}

// The magic numbers of file systems with cgroups.
const (
	cgroupV1Magic = unix.CGROUP_SUPER_MAGIC
	cgroupV2Magic = unix.CGROUP2_SUPER_MAGIC
)

// checkOwnCgroup is nil for what may be removed: a folder named by us for this environment in a cgroup file system, or one that is not there.
func checkOwnCgroup(dir, id string) error {
	refused := fmt.Errorf("%q is not removed: it is not a cgroup of ours", dir)
	if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || !strings.HasPrefix(filepath.Base(dir), shortID(id)+"-") {
		return refused
	}
	var fs unix.Statfs_t
	err := unix.Statfs(dir, &fs)
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at cgroup %s: %w", dir, err)
	}
	if fs.Type != cgroupV1Magic && fs.Type != cgroupV2Magic {
		return refused
	}
	return nil
}

// Attach answers the runtime of a target whose runner has died. Its services die with it, so every capability answers target.ErrGone; only what was
// stopped and has outlived the runner can be resumed, so that it can be ended in an orderly way.
func Attach(ref target.Ref) target.Runtime { return &gone{instance: ref.Instance, id: ref.ID} }

// gone is an environment whose runner has died.
type gone struct {
	instance string
	id       string // run id/experiment/instance
}

var (
	_ target.Runtime   = (*gone)(nil)
	_ target.Inspector = (*gone)(nil)
	_ target.Killer    = (*gone)(nil)
	_ target.Starter   = (*gone)(nil)
	_ target.Pauser    = (*gone)(nil)

	_ target.LinkRestorer = (*gone)(nil)
	_ target.Hoster       = (*gone)(nil)
	_ target.Databaser    = (*gone)(nil)
	_ target.ServerFinder = (*gone)(nil)
	_ target.OOMScorer    = (*gone)(nil)
)

// Resume implements target.Pauser.
func (g *gone) Resume(ctx context.Context, _ target.Target) error {
	if g.id == "" {
		return target.ErrGone
	}
	find := func() ([]proc.ID, error) { return proc.FindMarked(instancePrefix + g.id) }
	ids, err := find()
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return target.ErrGone
	}
	return freeze(ctx, g.instance, find, syscall.SIGCONT)
}

func (g *gone) Name() string { return RuntimeName }
func (g *gone) Close() error { return nil }
func (g *gone) Resolve(context.Context, target.Selection) ([]target.Target, error) {
	return nil, target.ErrGone
}

func (g *gone) Inspect(context.Context, target.Target) (target.Status, error) {
	return target.Status{ExitCode: -1}, target.ErrGone
}
func (g *gone) Kill(context.Context, target.Target, string) error        { return target.ErrGone }
func (g *gone) Hold(context.Context, target.Target) error                { return target.ErrGone }
func (g *gone) Release(context.Context, target.Target) error             { return target.ErrGone }
func (g *gone) Stop(context.Context, target.Target, time.Duration) error { return target.ErrGone }
func (g *gone) Start(context.Context, target.Target) error               { return target.ErrGone }
func (g *gone) Pause(context.Context, target.Target) error               { return target.ErrGone }

func (g *gone) Restore(context.Context, target.Link, string) error { return target.ErrGone }
func (g *gone) Impaired(context.Context, target.Link) ([]string, error) {
	return nil, target.ErrGone
}

func (g *gone) Host(context.Context, target.Target, string, any) (target.Helper, error) {
	return nil, target.ErrGone
}
func (g *gone) Placement(context.Context, target.Target) (target.Placement, error) {
	return target.Placement{}, target.ErrGone
}
func (g *gone) Usage(context.Context, target.Target) (target.Usage, error) {
	return target.Usage{}, target.ErrGone
}
func (g *gone) Database(target.Target, string) (target.Database, error) {
	return target.Database{}, target.ErrGone
}

func (g *gone) MayHitDatabase(context.Context, target.Target, string) error { return target.ErrGone }

// FindServer implements target.ServerFinder: a service has died with its runner, any other server has not.
func (g *gone) FindServer(_ context.Context, s target.Server) (string, error) {
	if s.On != nil {
		return "", target.ErrGone
	}
	return addressOf(s)
}

func (g *gone) OOMScore(context.Context, target.Target) (int, error)  { return 0, target.ErrGone }
func (g *gone) SetOOMScore(context.Context, target.Target, int) error { return target.ErrGone }
