package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/journal"
)

// info says what is run, by what, on what.
func (r running) info(ctx context.Context, id string) journal.RunInfo {
	head, changed := commit(ctx, r.input.dir)
	return journal.RunInfo{
		FormatVersion: journal.FormatVersion, RunID: id, Seed: r.flags.seed, Commit: head, Dirty: changed,
		Environment: r.input.environment, Target: r.input.kind.name, Version: version(), GoVersion: runtime.Version(), Host: host(),
		Jobs: r.flags.jobs, DryRun: r.flags.dryRun, Weakened: r.flags.weakened, Control: r.control, Files: r.input.files,
	}
}

// host is the kernel and the number of cores: what a measurement depends on, and nothing that names the machine.
func host() string {
	var u unix.Utsname
	kernel := runtime.GOOS
	if unix.Uname(&u) == nil {
		kernel += " " + unix.ByteSliceToString(u.Release[:])
	}
	return fmt.Sprintf("%s %s, %s", kernel, runtime.GOARCH, plural(runtime.NumCPU(), "core"))
}

// commit answers the commit of the checkout that a folder belongs to, and whether it has changes. Without git, or outside a checkout, it is "".
func commit(ctx context.Context, dir string) (id string, changed bool) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	head, err := git(ctx, dir, "rev-parse", "HEAD")
	if err != nil {
		return "", false
	}
	status, err := git(ctx, dir, "status", "--porcelain")
	return head, err != nil || status != ""
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
