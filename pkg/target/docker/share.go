package docker

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"chaosgate/pkg/target"
)

// MayHitDatabase implements target.Databaser: a file is hit for all who mount what it lies on. Those of the project are within the blast radius, others and the protected are not.
func (e *Environment) MayHitDatabase(ctx context.Context, t target.Target, file string) error {
	i, err := e.mayHit(t)
	if err != nil {
		return err
	}
	info, err := i.inspect(ctx)
	if err != nil {
		return err
	}
	on := mountUnder(info, file)
	if on.Destination == "" || on.Type == mount.TypeTmpfs {
		return nil // the container's own root, or its own memory
	}
	others, err := e.sharers(ctx, i, on, file)
	if err != nil {
		return fmt.Errorf("whose the database %s is: %w", file, err)
	}
	for _, c := range others {
		if why := e.beyond(c); why != "" {
			return fmt.Errorf("the database %s is on %s, which the container %s%s mounts as well, and that one %s, so nothing may hit it: %s", file, called(on), nameOf(c), idle(c), why, giveVolume)
		}
	}
	return nil
}

const giveVolume = "give the service a volume of its own for its database in the Compose file"

// beyond says why nothing may hit a container; empty if it may be hit.
func (e *Environment) beyond(c container.Summary) string {
	switch {
	case protects(c.Labels[labelProtected]):
		return "is protected by its label " + labelProtected
	case c.Labels[labelProject] != e.opts.Project:
		return fmt.Sprintf("is not of the Compose project %q", e.opts.Project)
	}
	return ""
}

// called names what is mounted.
func called(m container.MountPoint) string {
	if m.Type == mount.TypeVolume {
		return "the volume " + m.Name
	}
	return "the path " + m.Source + " of the engine's machine"
}

// idle says of a container that does not run how it is instead.
func idle(c container.Summary) string {
	if c.State == container.StateRunning {
		return ""
	}
	return " (" + c.State + ")"
}

// nameOf is what the engine shows of a container.
func nameOf(c container.Summary) string { return strings.TrimPrefix(strings.Join(c.Names, " "), "/") }

// mountUnder is what a path in a container lies on, of what the engine has mounted there: what is mounted upon that later, as by disk.readonly, is made of it. Without a Destination it is the container's
// root. Without a Type it is not known whose it is.
func mountUnder(info container.InspectResponse, file string) (on container.MountPoint) {
	all := slices.Clone(info.Mounts)
	for at := range info.HostConfig.Tmpfs {
		all = append(all, container.MountPoint{Type: mount.TypeTmpfs, Destination: path.Clean(at)})
	}
	if !ownTmpfs(info, "/dev/shm") {
		all = append(all, container.MountPoint{Destination: "/dev/shm"}) // of all who share its `ipc`
	}
	for _, m := range all {
		if target.IsIn(file, m.Destination) && len(m.Destination) > len(on.Destination) {
			on = m
		}
	}
	return on
}

// places are where on the engine's machine lies what containers mount. One that is on no disk of it has a name that is no path.
type places struct {
	volumes  map[string]string   // by name
	everyone string              // what holds all volumes that the engine keeps
	follow   func(string) string // links, where that can be done
}

func (e *Environment) places(ctx context.Context) (places, error) {
	all, err := e.engine.VolumeList(ctx, volume.ListOptions{})
	if err != nil {
		return places{}, fmt.Errorf("see where volumes are: %w", err)
	}
	p := places{volumes: map[string]string{}, follow: filepath.Clean}
	if e.opts.Endpoint.Local() {
		p.follow = followed
	}
	for _, v := range all.Volumes {
		p.volumes[v.Name] = p.follow(origin(*v))
	}
	p.everyone = p.follow(e.volumes)
	return p, nil
}

// origin is where a volume lies: what it mounts itself, which another volume may as well, or where the engine keeps it.
func origin(v volume.Volume) string {
	device := v.Options["device"]
	if v.Driver == "local" && strings.Contains(device, "/") && (v.Options["type"] != target.Tmpfs || notNew(v)) {
		return device
	}
	return cmp.Or(v.Mountpoint, v.Name)
}

// notNew says whether a volume's options have the kernel mount what there is already, whatever the type says.
func notNew(v volume.Volume) bool {
	return slices.ContainsFunc(strings.Split(v.Options["o"], ","), func(o string) bool { return slices.Contains([]string{"bind", "rbind", "remount"}, o) })
}

// of is where the origin of a mount is; empty if it is none that another could have as well, or none that is known.
func (p places) of(m container.MountPoint) string {
	switch m.Type {
	case mount.TypeVolume:
		return cmp.Or(p.volumes[m.Name], m.Name)
	case mount.TypeBind:
		return p.follow(m.Source)
	}
	return ""
}

// reaches says whether who mounts this has what lies somewhere. Who mounts all that the engine keeps, or the whole machine, looks after that, and is no user of what is in it.
func (p places) reaches(m container.MountPoint, at string) bool {
	from := p.of(m)
	return from != "" && target.IsIn(at, from) && !target.IsIn(p.everyone, from)
}

// sharers are all containers but one that have a file of a mount of that one's, also those that do not run now: they may be started meanwhile.
func (e *Environment) sharers(ctx context.Context, i *instance, on container.MountPoint, file string) ([]container.Summary, error) {
	p, err := e.places(ctx)
	if err != nil {
		return nil, err
	}
	from := p.of(on)
	if from == "" {
		return nil, fmt.Errorf("what is mounted at %s may be another's as well: %s", on.Destination, giveVolume)
	}
	at := path.Join(from, strings.TrimPrefix(file, on.Destination))
	all, err := e.engine.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, fmt.Errorf("see who else has %s of the engine's machine: %w", at, err)
	}
	return slices.DeleteFunc(all, func(c container.Summary) bool {
		return c.ID == i.id || !slices.ContainsFunc(c.Mounts, func(m container.MountPoint) bool { return p.reaches(m, at) })
	}), nil
}
