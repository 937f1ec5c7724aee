package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/proc"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target/process"
)

// Programs are built into .chaos/bin of the project, where the next run finds what has not changed, and copied from there for this run alone: another run
// that builds changed sources beside it must not change what this one restarts.
const (
	workFolder   = ".chaos"
	binFolder    = "bin"
	runBinPrefix = "run-"
)

// built are the programs of a run: service -> path. They are in a folder of their own, which remove takes away.
type built struct {
	programs map[string]string
	dir      string
}

func (b built) remove() error {
	if b.dir == "" {
		return nil
	}
	if err := os.RemoveAll(b.dir); err != nil {
		return fmt.Errorf(textProgramsLeft, err)
	}
	return nil
}

// buildServices builds what the environment's services name. After an error nothing is left but the cache.
func buildServices(ctx context.Context, root string, env spec.Environment) (built, error) {
	var b built
	if !builds(env) {
		return b, nil
	}
	work := filepath.Join(root, workFolder)
	bin := filepath.Join(work, binFolder)
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return b, err
	}
	unlock, err := lock(ctx, filepath.Join(bin, ".lock"))
	if err != nil {
		return b, err
	}
	defer unlock()
	if err := removeDeadBuilds(work); err != nil {
		return b, err
	}
	programs, err := process.Build(ctx, root, env, bin)
	if err != nil {
		return b, err
	}
	if b.dir, err = os.MkdirTemp(work, runBinPrefix+fmt.Sprint(os.Getpid())+"-"); err != nil {
		return b, err
	}
	if b.programs, err = copyPrograms(programs, b.dir); err != nil {
		return built{}, errors.Join(err, b.remove())
	}
	return b, nil
}

func builds(env spec.Environment) bool {
	for _, s := range env.Services {
		if s.Build != "" {
			return true
		}
	}
	return false
}

// removeDeadBuilds removes the programs of runs that were killed.
func removeDeadBuilds(work string) error {
	left, err := proc.LeftByDead(work, runBinPrefix)
	if err != nil {
		return err
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// removePrograms removes the programs of a run that has died. Their folder is named by a file that anybody may have written, so it must look like one of ours.
func removePrograms(dir string) error {
	if dir == "" {
		return nil
	}
	if !filepath.IsAbs(dir) || filepath.Base(filepath.Dir(dir)) != workFolder || !strings.HasPrefix(filepath.Base(dir), runBinPrefix) {
		return fmt.Errorf("%q is not removed: it cannot be the folder of a run's programs", dir)
	}
	return os.RemoveAll(dir)
}

func copyPrograms(programs map[string]string, dir string) (map[string]string, error) {
	copies := map[string]string{}
	for service, program := range programs {
		to := filepath.Join(dir, filepath.Base(program))
		if err := copyProgram(program, to); err != nil {
			return nil, err
		}
		copies[service] = to
	}
	return copies, nil
}

func copyProgram(from, to string) error {
	if _, err := os.Stat(to); err == nil {
		return nil // of another service, too
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// lock waits for a lock on a file, or for ctx. It ends with the process, however that ends.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != unix.EWOULDBLOCK {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), f.Close())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// build says what it does: it may take a while the first time.
func (r running) build(ctx context.Context, out *feed) (built, error) {
	if !builds(r.input.env) {
		return built{}, nil
	}
	r.tell(out, fmt.Sprintf(textBuilding, strings.Join(packages(r.input.env), ", ")))
	began := time.Now()
	b, err := buildServices(ctx, r.input.dir, r.input.env)
	if err != nil {
		return b, cannot(textBuildHint, "%w", err)
	}
	r.tell(out, fmt.Sprintf(textBuilt, short(time.Since(began))))
	return b, nil
}

func packages(env spec.Environment) []string {
	var all []string
	for _, s := range env.Services {
		if s.Build != "" && !slices.Contains(all, s.Build) {
			all = append(all, s.Build)
		}
	}
	slices.Sort(all)
	return all
}
