package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ReadOnlyJob makes a directory read-only for whoever opens something in it from then on, in the mount namespace of another process: the directory is mounted on itself,
// read-only. What is open already is not met, nor what is mounted below it.
const ReadOnlyJob = "read-only"

// ReadOnlyConfig says which directory, and for whom.
type ReadOnlyConfig struct {
	Process int    `json:"process"` // whose mounts, as the helper sees it
	Path    string `json:"path"`
	// Clear is the mark of one whose helper is gone: inject takes that off, and nothing else is done.
	Clear *ReadOnlyMark `json:"clear,omitempty"`
}

// ReadOnlyMark is enough to find what is mounted for this job, for as long as the process of the configuration lives: the directory mounted on itself, right upon what it
// lies on.
type ReadOnlyMark struct {
	At    string `json:"at"`    // the directory, without symbolic links
	Under int    `json:"under"` // the mount that it lies on, by the kernel's number
}

// ReadOnlyStatus is what inject and status answer.
type ReadOnlyStatus struct {
	Mark ReadOnlyMark `json:"mark"`
	On   bool         `json:"on"`
	// Touched says that this helper has mounted something, or may have: another one's has the same mark.
	Touched bool `json:"touched"`
	// Writing are the files in the directory that are open for writing by another way than what is mounted, and Working the processes whose working directory is there: neither is met.
	Writing Uses `json:"writing"`
	Working Uses `json:"working"`
	Hidden  Uses `json:"hidden"` // processes of which that cannot be seen
	// Left are the processes that had their working directory on what was mounted when it was taken off: they can write there, but the kernel knows no name of it any more.
	Left Uses `json:"left"`
}

type readOnly struct {
	config  ReadOnlyConfig
	space   *mountSpace
	mark    ReadOnlyMark
	touched bool
	left    Uses
}

func newReadOnly(config json.RawMessage) (job, error) {
	r := &readOnly{}
	if err := decode(config, &r.config); err != nil {
		return nil, err
	}
	if err := checkPath(r.config.Path); err != nil {
		return nil, err
	}
	var err error
	if r.space, err = enterMounts(r.config.Process); err != nil {
		return nil, err
	}
	if r.config.Clear != nil {
		r.mark = *r.config.Clear
		return r, nil
	}
	return r, r.space.do(r.look)
}

// look finds the directory and what it lies on.
func (r *readOnly) look() error {
	dir, err := openDirectory(r.config.Path)
	if err != nil {
		return err
	}
	defer dir.Close()
	at, err := r.nameOf(dir)
	if err != nil {
		return err
	}
	m, err := mountIn(r.space.proc, dir)
	switch {
	case err != nil:
		return err
	case at == "/":
		return errors.New("/ cannot be made read-only: name a directory below it")
	case m.shared:
		return fmt.Errorf("what is mounted at %s is shared with others, who would see what is mounted below it: mount it without shared propagation", m.at)
	}
	r.mark = ReadOnlyMark{At: at, Under: m.id}
	return nil
}

// nameOf is the path of an open directory, without symbolic links.
func (r *readOnly) nameOf(dir *os.File) (string, error) {
	name := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(r.space.proc.Fd()), "thread-self/fd/"+strconv.Itoa(int(dir.Fd())), name)
	if err != nil {
		return "", fmt.Errorf("see where %s is: %w", r.config.Path, err)
	}
	return string(name[:n]), nil
}

func (r *readOnly) inject(ctx context.Context) (any, error) {
	act := r.put
	if r.config.Clear != nil {
		act = r.takeOff
	}
	if err := r.space.do(act); err != nil {
		return nil, err
	}
	return r.status(ctx)
}

func (r *readOnly) status(context.Context) (any, error) {
	s := ReadOnlyStatus{Mark: r.mark, Touched: r.touched}
	err := r.space.do(func() error {
		_, on, err := r.find()
		if err != nil || !on {
			return err
		}
		u := mountUsers{proc: r.space.proc, id: r.mark.Under, below: r.mark.At}
		err = u.look()
		s.On, s.Writing, s.Working, s.Hidden = on, u.writing, u.working, u.hidden
		return err
	})
	s.Left = r.left
	return s, err
}

// find looks for what was mounted for this job in the mount table.
func (r *readOnly) find() (mount, bool, error) {
	all, err := mountTable(r.space.proc)
	if err != nil {
		return mount{}, false, err
	}
	i := slices.IndexFunc(all, func(m mount) bool { return m.id == r.mark.Under })
	if i < 0 {
		return mount{}, false, nil // with what it was put upon
	}
	under := all[i]
	i = slices.IndexFunc(all, func(m mount) bool {
		return m.parent == under.id && m.at == r.mark.At && m.device == under.device && m.root == path.Join(under.root, strings.TrimPrefix(r.mark.At, under.at))
	})
	if i < 0 {
		return mount{}, false, nil
	}
	return all[i], true, nil
}

// open opens the directory, which must lie on a mount.
func (r *readOnly) open(on int) (*os.File, error) {
	dir, err := openDirectory(r.mark.At)
	if err != nil {
		return nil, err
	}
	m, err := mountIn(r.space.proc, dir)
	if err == nil && m.id != on {
		err = fmt.Errorf("something else has been mounted at %s meanwhile, or upon it", r.mark.At)
	}
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}

// put mounts the directory on itself, read-only.
func (r *readOnly) put() error {
	if _, on, err := r.find(); err != nil || on && r.touched {
		return err
	}
	dir, err := r.open(r.mark.Under)
	if err != nil {
		return err
	}
	defer dir.Close()
	r.touched = true
	if err := r.space.in(dir, func() error { return unix.Mount(".", ".", "", unix.MS_BIND|unix.MS_REC, "") }); err != nil {
		return fmt.Errorf("mount %s on itself: %w", r.mark.At, err)
	}
	err = r.onOwn(sever)
	if err == nil {
		err = r.onOwn(remount(unix.MS_RDONLY))
	}
	if err != nil {
		return errors.Join(err, r.takeOff())
	}
	return nil
}

// onOwn does something to what is mounted for this job, as the thread's folder.
func (r *readOnly) onOwn(act func(mount) error) error {
	m, on, err := r.find()
	if err == nil && !on {
		err = fmt.Errorf("%s is not mounted on itself", r.mark.At)
	}
	if err != nil {
		return err
	}
	dir, err := r.open(m.id)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := r.space.in(dir, func() error { return act(m) }); err != nil {
		return fmt.Errorf("what is mounted at %s: %w", r.mark.At, err)
	}
	return nil
}

// sever lets what happens to a mount, and to the copies of those below it, happen to no other. A copy of one that is shared is its peer: what were taken off the copy would be
// taken off the other, and wherever else that is seen, on the engine's machine as well.
func sever(mount) error {
	if err := unix.Mount("", ".", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("part it from those that are shared: %w", err)
	}
	return nil
}

// kept are the options of a mount that changing another one would lose.
var kept = map[string]uintptr{"nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC}

// remount makes what is mounted read-only, or writable with 0.
func remount(how uintptr) func(mount) error {
	return func(m mount) error {
		flags := unix.MS_REMOUNT | unix.MS_BIND | how
		for option, flag := range kept {
			if slices.Contains(m.options, option) {
				flags |= flag
			}
		}
		if err := unix.Mount("", ".", "", flags, ""); err != nil {
			return fmt.Errorf("change whether it is read-only: %w", err)
		}
		return nil
	}
}

func detach(mount) error {
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("take it off: %w", err)
	}
	return nil
}

// takeOff takes off what is mounted and nothing else, and verifies that it is gone. Before that it is severed, whoever has mounted it: one that was killed may not have come to that.
// And it is made writable: who has its working directory there, or a directory open, keeps it for as long.
func (r *readOnly) takeOff() error {
	m, on, err := r.find()
	if err != nil || !on {
		return err
	}
	for _, act := range []func(mount) error{sever, remount(0), detach} {
		if err := r.onOwn(act); err != nil {
			return err
		}
	}
	if _, on, err = r.find(); err == nil && on {
		err = fmt.Errorf("what was mounted at %s is still there after it was taken off", r.mark.At)
	}
	if err == nil {
		u := mountUsers{proc: r.space.proc, id: m.id} // the number is taken for as long as somebody is there
		_ = u.look()                                  // it is off, whoever is there
		r.left = u.working
	}
	return err
}

func (r *readOnly) revert(context.Context) error {
	if !r.touched {
		return nil
	}
	return r.space.do(r.takeOff)
}
