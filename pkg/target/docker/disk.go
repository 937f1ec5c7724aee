package docker

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"chaosgate/pkg/target"
)

// OwnDisk implements target.DiskOwner. Only a file system in memory is certain to be on no disk of the engine's machine, and only one with a size of its own takes no more
// of its memory than the author of the Compose file has allowed. What is mounted from the machine may look like one, so it counts what the engine says of the mount.
func (e *Environment) OwnDisk(ctx context.Context, t target.Target, m target.Mount) (int64, error) {
	i, err := e.mayHit(t)
	if err != nil {
		return 0, err
	}
	info, err := i.inspect(ctx)
	if err != nil {
		return 0, err
	}
	if err := e.owns(ctx, i, info, m); err != nil {
		return 0, err
	}
	return i.spareMemory(ctx, info)
}

// owns is an error unless the engine says that a mount is the container's own, and in memory.
func (e *Environment) owns(ctx context.Context, i *instance, info container.InspectResponse, m target.Mount) error {
	volume := volumeAt(info, m.At)
	switch {
	case m.Type != target.Tmpfs || volume == "" && !ownTmpfs(info, m.At):
		return fmt.Errorf("what is mounted at %s (%s) may be on a disk of the engine's machine, or another's as well, and is not filled: %s", m.At, m.Type, giveTmpfs)
	case !m.Sized:
		return fmt.Errorf("the tmpfs at %s has no size, so it can take half of the memory of the engine's machine, and is not filled: %s", m.At, giveTmpfs)
	case volume == "":
		return nil
	}
	return e.nobodyElses(ctx, i, volume)
}

const giveTmpfs = "give the service a file system of its own there in the Compose file, such as `tmpfs: [\"/data:size=64m\"]`"

// ownTmpfs says whether the engine mounts memory at a place for this container only.
func ownTmpfs(info container.InspectResponse, at string) bool {
	if _, ok := info.HostConfig.Tmpfs[at]; ok {
		return true
	}
	if at == "/dev/shm" {
		return info.HostConfig.IpcMode.IsPrivate()
	}
	return slices.ContainsFunc(info.HostConfig.Mounts, func(m mount.Mount) bool { return m.Type == mount.TypeTmpfs && m.Target == at })
}

// volumeAt is the name of the volume that is mounted at a place; empty if none is.
func volumeAt(info container.InspectResponse, at string) string {
	for _, m := range info.Mounts {
		if m.Type == mount.TypeVolume && m.Destination == at {
			return m.Name
		}
	}
	return ""
}

// nobodyElses is an error unless a volume is one in memory that the engine has made, and no other container's.
func (e *Environment) nobodyElses(ctx context.Context, i *instance, volume string) error {
	v, err := e.engine.VolumeInspect(ctx, volume)
	if err != nil {
		return fmt.Errorf("look at the volume %s: %w", volume, err)
	}
	if v.Driver != "local" || v.Options["type"] != target.Tmpfs {
		return fmt.Errorf("the volume %s may be on a disk of the engine's machine, and is not filled: %s", volume, giveTmpfs)
	}
	if notNew(v) {
		return fmt.Errorf("the volume %s is what is mounted elsewhere already (o: %s), and is not filled: %s", volume, v.Options["o"], giveTmpfs)
	}
	users, err := e.sharers(ctx, i, container.MountPoint{Type: mount.TypeVolume, Name: volume}, "")
	if err != nil {
		return err
	}
	var others []string
	for _, c := range users {
		others = append(others, nameOf(c))
	}
	if len(others) > 0 {
		return fmt.Errorf("the volume %s is that of %s as well, and is not filled: %s", volume, strings.Join(others, ", "), giveTmpfs)
	}
	return nil
}

// spareMemory is how much memory a container can still take before the kernel kills for it: files that the kernel can let go of at once are not counted as taken.
func (i *instance) spareMemory(ctx context.Context, info container.InspectResponse) (int64, error) {
	limit := info.HostConfig.Memory
	if limit == 0 {
		return math.MaxInt64, nil
	}
	s, err := stats(ctx, i.engine, i.id)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", i.name, err)
	}
	return limit - needed(s.MemoryStats), nil
}

// needed is what a container has of memory that the kernel cannot let go of at once.
func needed(m container.MemoryStats) int64 {
	idle, ok := m.Stats["total_inactive_file"] // cgroup v1
	if !ok {
		idle = m.Stats["inactive_file"]
	}
	return int64(m.Usage) - int64(idle)
}
