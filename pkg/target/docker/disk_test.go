package docker

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/target"
)

func tmpfs(at, options string) change {
	return func(_ *container.Config, h *container.HostConfig) {
		if h.Tmpfs == nil {
			h.Tmpfs = map[string]string{}
		}
		h.Tmpfs[at] = options
	}
}

func binds(all ...string) change {
	return func(_ *container.Config, h *container.HostConfig) { h.Binds = append(h.Binds, all...) }
}

// volume is one in memory that the engine makes; the test removes it.
func (p *project) volume(name string, options map[string]string) string {
	p.t.Helper()
	v, err := p.engine.VolumeCreate(soon(p.t), volume.CreateOptions{Name: p.name + "-" + name, DriverOpts: options})
	must(p.t, err)
	return v.Name
}

// writes is what the service says of a write in one of its folders.
func (w *world) writes(folder string) string {
	w.t.Helper()
	said, err := w.get("web", "/write?in="+url.QueryEscape(folder))
	must(w.t, err)
	return said
}

func (w *world) wantWrites(folder, want string) {
	w.t.Helper()
	if said := w.writes(folder); !strings.Contains(said, want) {
		w.t.Errorf("a write of the service in %s: %q, want %q", folder, said, want)
	}
}

const noSpace = "no space left on device"

// killHelpers ends the helpers in a container as nobody would.
func (p *project) killHelpers(id string) {
	p.t.Helper()
	top, err := p.engine.ContainerTop(soon(p.t), id, []string{"-eo", "pid,args"})
	must(p.t, err)
	for _, process := range top.Processes {
		if !strings.HasSuffix(strings.Join(process, " "), " "+guestArg) {
			continue
		}
		pid, err := strconv.Atoi(process[0])
		must(p.t, err)
		must(p.t, syscall.Kill(pid, syscall.SIGKILL))
	}
}

// A disk that is full is met by the service itself, also where there is nothing but the disk to write to, and by nobody afterwards.
func TestADiskOfAContainerIsFilled(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published, hardened(p), tmpfs("/data", "size=16m,mode=1777"), limited(256<<20, 0))
	w := p.world("web")
	of := w.one("web")
	f := w.fault("disk.fill", map[string]string{"path": "/data"})
	undos, err := f.Prepare(soon(t))
	must(t, err)
	proven(t, "not proven", f.Check, "web-1: /data has 16MiB free of 16MiB") // as the negative control does
	w.wantWrites("/data", "ok")
	proven(t, "proven", f.Inject, "web-1: /data has 0B free of 16MiB instead of 16MiB, with 16MiB taken, and a write meets ENOSPC")
	w.wantWrites("/data", noSpace)
	e := proven(t, "proven", f.Check, "a write meets ENOSPC")
	if e.Readings["taken_bytes"] != 16<<20 || e.Readings["free_bytes"] != 0 || e.Readings["free_before_bytes"] != 16<<20 {
		t.Errorf("readings: %v", e.Readings)
	}
	proven(t, "proven", f.Revert, "web-1: /data has 16MiB free again")
	proven(t, "proven", f.Revert)
	w.wantWrites("/data", "ok")
	if n := p.atWork(id); n != 0 {
		t.Errorf("%d helpers are left", n)
	}
	k, _ := fault.Find("disk.fill")
	for range 2 {
		must(t, k.Revert(soon(t), Attach(of.Ref, helpers()), undos[0].Data, undos[0].Target))
	}
}

// A volume in memory is the service's own if nobody else has it; a part of it can be taken.
func TestAPartOfAVolumeIsTaken(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	name := p.volume("own", map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "size=16m,mode=1777"})
	t.Cleanup(func() {
		p.remove()
		must(t, p.engine.VolumeRemove(soonAfter(t), name, true))
	})
	p.add("web", 1, published, binds(name+":/data"))
	w := p.world("web")
	for _, c := range []struct{ parameter, value, want string }{
		{"size", "12MiB", "web-1: /data has 4MiB free of 16MiB instead of 16MiB, with 12MiB taken"},
		{"leave", "1MiB", "web-1: /data has 1MiB free of 16MiB instead of 16MiB, with 15MiB taken"},
		{"leave", "0B", "and a write meets ENOSPC"},
	} {
		f := w.fault("disk.fill", map[string]string{"path": "/data", c.parameter: c.value})
		_, err := f.Prepare(soon(t))
		must(t, err)
		proven(t, "proven", f.Inject, c.want)
		if c.value != "0B" {
			w.wantWrites("/data", "ok")
		}
		proven(t, "proven", f.Check, c.want)
		proven(t, "proven", f.Revert, "web-1: /data has 16MiB free again")
	}
}

// What the service uses of the room in the end is its own matter, as long as somebody can write; where nobody can, it is the end of who had taken it that tells that it is free.
func TestWhatIsGivenBackOfADisk(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published, tmpfs("/data", "size=16m,mode=1777"), asUser("1234:1234"))
	info, err := p.engine.ContainerInspect(soon(t), id)
	must(t, err)
	data := fmt.Sprintf("/proc/%d/root/data", info.State.Pid)
	w := p.world("web")
	for _, c := range []struct {
		mode os.FileMode
		says string
	}{
		{0o777, "web-1: /data has 15MiB free again"},
		{0o755, "web-1: the process that had taken the room at /data is gone, and the room is free with it; 15MiB of 16MiB are free now, and a write meets: make a file in /data: permission denied"},
	} {
		f := w.fault("disk.fill", map[string]string{"path": "/data", "size": "8MiB"})
		_, err := f.Prepare(soon(t))
		must(t, err)
		proven(t, "proven", f.Inject, "with 8MiB taken")
		must(t, os.WriteFile(data+"/file", make([]byte, 1<<20), 0o600))
		must(t, os.Chmod(data, c.mode))
		proven(t, "proven", f.Revert, c.says)
		must(t, os.Remove(data+"/file"))
	}
}

// What may be another's, or would be no fault, is refused before anything is taken.
func TestDisksThatAreNotFilled(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	shared := p.volume("shared", map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "size=16m,mode=1777"})
	plain := p.volume("plain", nil)
	memory, err := os.MkdirTemp("/dev/shm", "") // the machine's own, with a size
	must(t, err)
	bound := p.volume("bound", map[string]string{"type": "tmpfs", "device": memory, "o": "mode=1777,bind"})
	t.Cleanup(func() {
		p.remove()
		must(t, os.RemoveAll(memory))
		for _, name := range []string{shared, plain, bound} {
			must(t, p.engine.VolumeRemove(soonAfter(t), name, true))
		}
	})
	host := t.TempDir()
	id := p.add("web", 1, published, func(c *container.Config, _ *container.HostConfig) { c.User = "1234:1234" }, limited(64<<20, 0),
		tmpfs("/sizeless", "mode=1777"), tmpfs("/small", "size=16m,mode=1777"), tmpfs("/large", "size=256m,mode=1777"), tmpfs("/roots", "size=16m,mode=755"),
		tmpfs("/fixed", "size=16m,mode=1777,ro"), binds(shared+":/shared", plain+":/plain", bound+":/bound", host+":/host", "/dev/shm:/machine"))
	p.add("other", 1, published, binds(shared+":/shared"))
	w := p.world("web")
	for _, c := range []struct{ path, size, want string }{
		{"/", "", "what is mounted at / ("},
		{"/etc", "", ") may be on a disk of the engine's machine"},
		{"/plain", "", "what is mounted at /plain ("},
		{"/host", "", "what is mounted at /host ("},
		{"/machine", "", "what is mounted at /machine (tmpfs) may be on a disk of the engine's machine, or another's as well, and is not filled: give the service a file system of its own"},
		{"/dev", "", "what is mounted at /dev (tmpfs)"},
		{"/shared", "", "the volume " + shared + " is that of "},
		{"/bound", "", "the volume " + bound + " is what is mounted elsewhere already (o: mode=1777,bind), and is not filled: give the service"},
		{"/sizeless", "", "the tmpfs at /sizeless has no size"},
		{"/large", "", "the file system at /large is memory, of which the instance has "},
		{"/etc/hosts", "", "/etc/hosts is no directory"},
		{"/small", "32MiB", "/small has 16MiB free, and 32MiB are to be taken"},
		{"/roots", "", "its own user cannot write at /roots, so it would not feel the fault: make a file in /roots: permission denied"},
		{"/fixed", "", "its own user cannot write at /fixed, so it would not feel the fault: make a file in /fixed: read-only file system"},
		{"/none", "", "there is no directory /none"},
		{testProgram, "", testProgram + " is no directory"},
	} {
		with := map[string]string{"path": c.path}
		if c.size != "" {
			with["size"] = c.size
		}
		f := w.fault("disk.fill", with)
		_, err := f.Prepare(soon(t))
		wantError(t, err, "web-1: ", c.want)
		proven(t, "proven", f.Revert, "nothing was done")
	}
	if n := p.atWork(id); n != 0 {
		t.Errorf("%d helpers are left", n)
	}
	if _, err := w.OwnDisk(soon(t), w.one("web"), target.Mount{At: "/dev/shm", Type: target.Tmpfs, Sized: true}); err != nil {
		t.Errorf("its own shared memory: %v", err)
	}
	now := 0
	must(t, p.engine.ContainerStop(soon(t), id, container.StopOptions{Timeout: &now}))
	_, err = w.fault("disk.fill", map[string]string{"path": "/small"}).Prepare(soon(t))
	wantError(t, err, "web-1: it is not running")
}

// What has become another's as well, or full, since the fault was prepared is not filled either.
func TestADiskIsLookedAtAgain(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	name := p.volume("own", map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "size=16m,mode=1777"})
	t.Cleanup(func() {
		p.remove()
		must(t, p.engine.VolumeRemove(soonAfter(t), name, true))
	})
	id := p.add("web", 1, published, binds(name+":/data"), tmpfs("/small", "size=16m,mode=1777"))
	info, err := p.engine.ContainerInspect(soon(t), id)
	must(t, err)
	inside := fmt.Sprintf("/proc/%d/root", info.State.Pid)
	w := p.world("web")
	for path, c := range map[string]struct {
		meanwhile func()
		want      string
	}{
		"/data":  {func() { p.add("other", 1, binds(name+":/data")) }, "web-1: the volume " + name + " is that of "},
		"/small": {func() { must(t, os.WriteFile(inside+"/small/file", make([]byte, 16<<20), 0o600)) }, "web-1: /small is full already"},
	} {
		f := w.fault("disk.fill", map[string]string{"path": path})
		_, err := f.Prepare(soon(t))
		must(t, err)
		c.meanwhile()
		_, err = f.Inject(soon(t))
		wantError(t, err, c.want)
		proven(t, "proven", f.Revert, "nothing was done")
	}
}

// Which mounts are a container's own is the engine's word.
func TestOwnTmpfs(t *testing.T) {
	host := &container.HostConfig{Tmpfs: map[string]string{"/a": ""}, Mounts: []mount.Mount{{Type: mount.TypeTmpfs, Target: "/b"}, {Type: mount.TypeBind, Target: "/c"}}, IpcMode: "private"}
	info := container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{HostConfig: host}}
	for at, want := range map[string]bool{"/a": true, "/b": true, "/c": false, "/": false, "/dev/shm": true} {
		if got := ownTmpfs(info, at); got != want {
			t.Errorf("%s: %v", at, got)
		}
	}
	for _, mode := range []container.IpcMode{"host", "shareable", "container:abc", ""} {
		host.IpcMode = mode
		if ownTmpfs(info, "/dev/shm") {
			t.Errorf("/dev/shm with ipc %q", mode)
		}
	}
}

// Who fills can end before its time: the container is started again, or somebody kills it. The room is free then, and the fault is not proven.
func TestAFillThatEndsBeforeItsTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(*project, string)
		says string
	}{
		"the container is started again": {func(p *project, id string) {
			must(p.t, p.engine.ContainerRestart(soon(p.t), id, container.StopOptions{}))
		}, "it was started again meanwhile"},
		"the helper is killed": {func(p *project, id string) { p.killHelpers(id) }, "the process that had taken the room at /data has ended before its time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			id := p.add("web", 1, published, tmpfs("/data", "size=16m,mode=1777"))
			w := p.world("web")
			of := w.one("web")
			f := w.fault("disk.fill", map[string]string{"path": "/data"})
			undos, err := f.Prepare(soon(t))
			must(t, err)
			proven(t, "proven", f.Inject)
			c.end(p, id)
			eventually(t, "it is ready", func() bool { return w.status(of).Ready })
			eventually(t, "the end is seen", func() bool { e, err := f.Check(soon(t)); return err == nil && !e.Proven })
			proven(t, "not proven", f.Check, c.says, "and the room is free again")
			w.wantWrites("/data", "ok")
			proven(t, "proven", f.Revert, "the process that had taken the room at /data is gone, and the room is free with it")
			k, _ := fault.Find("disk.fill")
			must(t, k.Revert(soon(t), Attach(of.Ref, helpers()), undos[0].Data, undos[0].Target))
		})
	}
}

// A runner that is killed leaves a disk with room.
func TestAKilledRunnerLeavesNoFullDisk(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published, tmpfs("/data", "size=16m,mode=1777"))
	cmd, undo, helper, ref := p.runner("FILL=/data")
	info, err := p.engine.ContainerInspect(soon(t), id)
	must(t, err)
	base := "http://127.0.0.1:" + info.NetworkSettings.Ports["8080/tcp"][0].HostPort
	writes := func() string {
		said, err := fetch(t, base+"/write?in=/data")
		must(t, err)
		return said
	}
	eventually(t, "it is full", func() bool { return strings.Contains(writes(), noSpace) })
	must(t, cmd.Process.Kill())
	k, _ := fault.Find("disk.fill")
	must(t, k.Revert(soon(t), Attach(target.Ref{ID: ref}, helpers()), []byte(fmt.Sprintf(`{"process":{},"helper":%q}`, helper)), target.Ref{ID: ref}))
	if said := writes(); said != "ok" {
		t.Errorf("a write: %q", said)
	}
	if n := p.atWork(id); n != 0 {
		t.Errorf("%d helpers are left", n)
	}
	must(t, RevertEnvironment(soon(t), undo.Data))
}
