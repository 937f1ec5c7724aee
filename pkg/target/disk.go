package target

import (
	"context"
	"strings"
)

// Tmpfs is the type of a file system that is memory.
const Tmpfs = "tmpfs"

// Mount is what is mounted somewhere, as it is seen inside an instance.
type Mount struct {
	At    string `json:"at"`    // where it is mounted
	Type  string `json:"type"`  // of its file system
	Sized bool   `json:"sized"` // it was given a size of its own
}

// DiskOwner tells the disks that are an instance's own from those that others use as well.
type DiskOwner interface {
	// OwnDisk is an error, with what to do about it, unless it is certain that nobody but the instance feels it when a file system is full. It answers how many bytes of
	// memory the file system can still take before the kernel kills for it; math.MaxInt64 if the instance has no limit.
	OwnDisk(context.Context, Target, Mount) (int64, error)
}

// Mounter runs a helper that can change what is mounted for an instance, and for nobody else; also from a fresh process, which ends such helpers of a dead runner first.
type Mounter interface {
	// Mounting starts and arms a helper to which the instance's first process is number 1. An instance whose mounts cannot be told from others' is an error.
	Mounting(ctx context.Context, t Target, job string, config any) (Helper, error)
}

// IsIn says whether a path is that of a directory, or of something in it. Both are absolute and clean; no link is followed.
func IsIn(path, directory string) bool {
	return path == directory || strings.HasPrefix(path, strings.TrimSuffix(directory, "/")+"/")
}
