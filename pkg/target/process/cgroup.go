package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"chaosgate/pkg/proc"
	"chaosgate/pkg/target"
)

// hierarchy is where this program can make cgroups: the folders under which a service's cgroup is made.
//
// With version 1 there is one for memory, one for CPU accounting and one for sharing the CPUs out, which may be the same as that for accounting. With version 2
// there is one for all; that code is tested on folders that look like it and, where it was written, could not be run on a kernel that has it.
type hierarchy struct {
	v2     bool
	memory string
	cpu    string
	share  string // each service gets an equal part of the CPUs when all are busy, as a container does; empty where that cannot be had
}

// findHierarchy looks under root (/sys/fs/cgroup) for a place where cgroups can be made, beside or below the cgroup of this program, whose own says (the text of
// /proc/self/cgroup). The error is the reason why there is none.
func findHierarchy(root, own string) (hierarchy, error) {
	paths := ownPaths(own)
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return findV2(filepath.Join(root, paths[""]))
	}
	memory, err := findV1(filepath.Join(root, "memory"), paths["memory"])
	if err != nil {
		return hierarchy{}, err
	}
	cpu, err := findV1(filepath.Join(root, "cpuacct"), paths["cpuacct"])
	if err != nil {
		return hierarchy{}, err
	}
	share, _ := findV1(filepath.Join(root, "cpu"), paths["cpu"]) // without it services compete process by process
	return hierarchy{memory: memory, cpu: cpu, share: share}, nil
}

// ownPaths reads lines as "4:memory:/a", "3:cpu,cpuacct:/" and "0::/b" into controller -> path; version 2 has the controller "".
func ownPaths(text string) map[string]string {
	paths := map[string]string{}
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			paths[controller] = parts[2]
		}
	}
	return paths
}

// findV1 prefers this program's own cgroup as the parent, so that its limits hold for the services too; in a container its path may not be visible. Several
// controllers may have one root under several names, so links are followed.
func findV1(root, own string) (string, error) {
	root, last := filepath.EvalSymlinks(root)
	if last != nil {
		return "", last
	}
	for _, dir := range []string{filepath.Join(root, own), root} {
		if last = writable(dir); last == nil {
			return dir, nil
		}
	}
	return "", last
}

// findV2 takes this program's own cgroup or the one above it, whichever hands the memory controller on: a cgroup with processes of its own cannot.
func findV2(own string) (hierarchy, error) {
	var last error
	for _, dir := range []string{own, filepath.Dir(own)} {
		if last = writable(dir); last != nil {
			continue
		}
		control := filepath.Join(dir, "cgroup.subtree_control")
		for _, controller := range []string{"+cpu", "+memory"} {
			_ = os.WriteFile(control, []byte(controller), 0o644) // what came of it is read next; without cpu services compete process by process
		}
		handed, err := os.ReadFile(control)
		if err == nil && strings.Contains(string(handed), "memory") {
			return hierarchy{v2: true, memory: dir, cpu: dir, share: dir}, nil
		}
		last = fmt.Errorf("%s does not hand the memory controller on", dir)
	}
	return hierarchy{}, last
}

// tryPrefix begins the name of a cgroup that is made to see whether one can be; the number of the process that does follows.
const tryPrefix = ownPrefix + "try-"

// writable tries to make a cgroup and removes it. Nothing can be recorded before that, so what a process that was killed in between has left is removed here.
func writable(parent string) error {
	removeDeadTries(parent)
	dir, err := os.MkdirTemp(parent, tryPrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			return fmt.Errorf("%s: %w", parent, path.Err)
		}
		return err
	}
	return os.Remove(dir)
}

func removeDeadTries(parent string) {
	left, _ := proc.LeftByDead(parent, tryPrefix) // a folder that cannot be read cannot be written either, which is said next
	for _, dir := range left {
		_ = os.Remove(dir) // it is empty, or not what it seems to be
	}
}

// paths are the folders of a cgroup with this name, without repetition.
func (h hierarchy) paths(name string) []string {
	var dirs []string
	for _, parent := range []string{h.memory, h.cpu, h.share} {
		if dir := filepath.Join(parent, name); parent != "" && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// cgroup is what a service and its helpers are charged to.
type cgroup struct {
	v2          bool
	memory, cpu string
	dirs        []string // all its folders
	limit       int64    // bytes; 0 is none
}

// create makes a cgroup with a memory limit in bytes, or none if that is 0. Swap is kept out of the limit where the kernel counts it.
func (h hierarchy) create(name string, limit int64) (*cgroup, error) {
	c := &cgroup{v2: h.v2, memory: filepath.Join(h.memory, name), cpu: filepath.Join(h.cpu, name), dirs: h.paths(name), limit: limit}
	for _, dir := range c.dirs {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make a cgroup: %w", err)
		}
	}
	if limit == 0 {
		return c, nil
	}
	file, swap, most := "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", strconv.FormatInt(limit, 10)
	swapMost := most // version 1 counts memory and swap together
	if h.v2 {
		file, swap, swapMost = "memory.max", "memory.swap.max", "0"
	}
	if err := os.WriteFile(filepath.Join(c.memory, file), []byte(most), 0o644); err != nil {
		return nil, fmt.Errorf("limit a cgroup's memory: %w", err)
	}
	_ = os.WriteFile(filepath.Join(c.memory, swap), []byte(swapMost), 0o644) // not every kernel counts swap
	return c, nil
}

// add moves a process, with all its threads, into the cgroup. Its children will be born there.
func (c *cgroup) add(pid int) error {
	for _, dir := range c.dirs {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
			return fmt.Errorf("move process %d into its cgroup: %w", pid, err)
		}
	}
	return nil
}

// members answers the live processes of a cgroup; none if there is no such cgroup.
func members(dir string) ([]proc.ID, error) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the processes of cgroup %s: %w", dir, err)
	}
	var found []proc.ID
	for field := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("read the processes of cgroup %s: %w", dir, err)
		}
		if s, err := proc.ReadStat(pid); err == nil && !s.Dead() {
			found = append(found, s.ID)
		}
	}
	return found, nil
}

// oomKills is how many of its processes the kernel has killed for memory.
func (c *cgroup) oomKills() (int64, error) {
	file := "memory.oom_control"
	if c.v2 {
		file = "memory.events"
	}
	return keyed(filepath.Join(c.memory, file), "oom_kill")
}

// usage reads the CPU time used so far, also by processes that have ended, and the resident memory of the processes that live. The cgroup's own count of
// memory is not used: pages that a process had before it was moved in are charged elsewhere.
func (c *cgroup) usage() (target.Usage, error) {
	cpu, err := c.cpuTime()
	if err != nil {
		return target.Usage{}, err
	}
	text, err := os.ReadFile(filepath.Join(c.memory, "cgroup.procs"))
	if err != nil {
		return target.Usage{}, err
	}
	u := target.Usage{CPU: target.Duration(cpu)}
	for field := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return u, fmt.Errorf("read the processes of cgroup %s: %w", c.memory, err)
		}
		if s, err := proc.ReadStat(pid); err == nil {
			u.Memory += s.RSS
		}
	}
	return u, nil
}

func (c *cgroup) cpuTime() (time.Duration, error) {
	if c.v2 {
		n, err := keyed(filepath.Join(c.cpu, "cpu.stat"), "usage_usec")
		return time.Duration(n) * time.Microsecond, err
	}
	text, err := os.ReadFile(filepath.Join(c.cpu, "cpuacct.usage"))
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return time.Duration(n), err
}

// keyed reads the number after a key in a file of lines "key number".
func keyed(file, key string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == key {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, key)
}

// removeCgroup removes a cgroup's folder. The kernel lets go of one some time after its last process has ended, so it tries until ctx ends.
func removeCgroup(ctx context.Context, dir string) error {
	for {
		err := syscall.Rmdir(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
