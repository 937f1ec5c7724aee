package docker

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// stranger adds a container that is of another Compose project; the test removes it.
func (p *project) stranger(changes ...change) string {
	p.t.Helper()
	id := p.add("stranger", 1, append(changes, label(labelProject, p.name+"-another"))...)
	p.t.Cleanup(func() {
		must(p.t, p.engine.ContainerRemove(soonAfter(p.t), id, container.RemoveOptions{Force: true}))
	})
	return id
}

// database puts a SQLite file at a path in a container.
func (p *project) database(id, path string) {
	p.t.Helper()
	info, err := p.engine.ContainerInspect(soon(p.t), id)
	must(p.t, err)
	file := filepath.Join(p.t.TempDir(), "made.db") // by the way into a container SQLite finds the machine's own files
	db, err := sql.Open("sqlite", "file:"+file)
	must(p.t, err)
	_, err = db.Exec("CREATE TABLE a (v); CREATE INDEX av ON a (v)")
	must(p.t, err)
	must(p.t, db.Close())
	text, err := os.ReadFile(file)
	must(p.t, err)
	must(p.t, os.WriteFile(fmt.Sprintf("/proc/%d/root%s", info.State.Pid, path), text, 0o600))
}

// volumesOf are volumes by their options, which the test removes.
func (p *project) volumesOf(all map[string]map[string]string) map[string]string {
	names := map[string]string{}
	for name, o := range all {
		names[name] = p.volume(name, o)
	}
	p.t.Cleanup(func() {
		p.remove()
		for _, name := range names {
			must(p.t, p.engine.VolumeRemove(soonAfter(p.t), name, true))
		}
	})
	return names
}

// worldWith is a world whose web has databases.
func (p *project) worldWith(databases map[string]string) *world {
	p.t.Helper()
	s := service()
	s.Databases = databases
	o := options(p.name, map[string]spec.Service{"web": s})
	o.LogDir = p.t.TempDir()
	return p.worldOf(o)
}

// faultOn is one on a database of web's.
func (w *world) faultOn(database, kind string) fault.Fault {
	w.t.Helper()
	k, _ := fault.Find(kind)
	params, problems := k.CheckParams(nil)
	if len(problems) > 0 {
		w.t.Fatal(problems)
	}
	params["database"] = database
	f, err := k.New(fault.Request{ID: "the-step", Runtime: w.Environment, Targets: []target.Target{w.one("web")}, Params: params})
	must(w.t, err)
	return f
}

// A database in a file that a protected container or one of another project has as well is not hit, by whatever way either of them has it; one that others of the project have is.
func TestADatabaseThatOthersHave(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	folder, device := t.TempDir(), t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(folder, link))
	must(t, os.Mkdir(filepath.Join(folder, "sub"), 0o755))
	bound := map[string]string{"type": "none", "device": device, "o": "bind"}
	v := p.volumesOf(map[string]map[string]string{"own": nil, "mates": nil, "safe": nil, "others": nil, "bound": bound, "again": bound})
	p.stranger(binds("/:/machine:ro"))
	p.stranger(binds(v["others"]+":/elsewhere:ro", v["again"]+":/again"))
	must(t, p.engine.ContainerKill(soon(t), p.stranger(binds(link+":/folder")), "SIGKILL")) // it may be started again
	p.add("safe", 1, label(labelProtected, "true"), binds(v["safe"]+":/safe"))
	p.add("mate", 1, binds(v["mates"]+":/mates"))
	id := p.add("web", 1, published, tmpfs("/memory", "mode=1777"),
		binds(v["own"]+":/own", v["mates"]+":/mates", v["safe"]+":/safe", v["others"]+":/others", v["bound"]+":/bound", filepath.Join(folder, "sub")+":/sub"))
	databases := map[string]string{"root": "/root.db", "linked": "/own/linked.db"}
	for _, at := range []string{"own", "mates", "safe", "others", "bound", "sub", "memory"} {
		databases[at] = "/" + at + "/orders.db"
	}
	for name, path := range databases {
		if name != "linked" {
			p.database(id, path)
		}
	}
	info, err := p.engine.ContainerInspect(soon(t), id)
	must(t, err)
	must(t, os.Symlink("/others/orders.db", fmt.Sprintf("/proc/%d/root/own/linked.db", info.State.Pid)))
	w := p.worldWith(databases)
	const foreign = `, and that one is not of the Compose project "`
	all := []string{"db.lock", "db.readonly", "db.corrupt"}
	for name, c := range map[string]struct {
		faults []string
		want   []string
	}{
		"safe":   {all, []string{"web-1: the database /safe/orders.db is on the volume " + v["safe"] + ", which the container ", " mounts as well, and that one is protected by its label chaos.protected, so nothing may hit it: give the service a volume of its own"}},
		"others": {all, []string{"web-1: the database /others/orders.db is on the volume " + v["others"], foreign}},
		"bound":  {all[1:2], []string{"is on the volume " + v["bound"], foreign}},
		"sub":    {all[1:2], []string{"is on the path " + filepath.Join(folder, "sub") + " of the engine's machine, which the container ", " (exited) mounts as well", foreign}},
		"linked": {all[1:2], []string{"the database /others/orders.db is on the volume " + v["others"], foreign}},
	} {
		for _, kind := range c.faults {
			f := w.faultOn(name, kind)
			_, err := f.Prepare(soon(t))
			wantError(t, err, c.want...)
			proven(t, "proven", f.Revert, "nothing was done")
		}
	}
	for n, name := range []string{"own", "mates", "memory", "root"} {
		f := w.faultOn(name, all[n%len(all)])
		_, err := f.Prepare(soon(t))
		must(t, err)
		proven(t, "proven", f.Inject)
		proven(t, "proven", f.Revert)
	}
	if n := p.atWork(id); n != 0 {
		t.Errorf("%d helpers are left", n)
	}
}

// Who has come by the file of a database since the fault was prepared is not hit either.
func TestWhoHasADatabaseIsLookedAtAgain(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	v := p.volumesOf(map[string]map[string]string{"own": nil})
	id := p.add("web", 1, published, binds(v["own"]+":/own"))
	p.database(id, "/own/orders.db")
	w := p.worldWith(map[string]string{"orders": "/own/orders.db"})
	var faults []fault.Fault
	for _, kind := range []string{"db.lock", "db.readonly"} {
		f := w.faultOn("", kind)
		_, err := f.Prepare(soon(t))
		must(t, err)
		faults = append(faults, f)
	}
	p.stranger(binds(v["own"] + ":/elsewhere"))
	for _, f := range faults {
		_, err := f.Inject(soon(t))
		wantError(t, err, "web-1: the database /own/orders.db is on the volume "+v["own"])
		proven(t, "proven", f.Revert, "nothing was done")
	}
}

// What a path in a container lies on is the engine's word: the deepest of its mounts.
func TestMountUnder(t *testing.T) {
	t.Parallel()
	info := container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{HostConfig: &container.HostConfig{Tmpfs: map[string]string{"/data/memory/": ""}, IpcMode: "shareable"}},
		Mounts:            []container.MountPoint{{Type: mount.TypeVolume, Name: "v", Destination: "/data"}, {Type: mount.TypeBind, Source: "/x", Destination: "/data/deep/er"}},
	}
	for file, want := range map[string]string{
		"/data/a": "/data", "/data": "/data", "/database": "", "/data/deep/a": "/data", "/data/deep/er/a": "/data/deep/er", "/data/memory/a": "/data/memory", "/dev/shm/a": "/dev/shm", "/a": "",
	} {
		if got := mountUnder(info, file).Destination; got != want {
			t.Errorf("%s: got %q, want %q", file, got, want)
		}
	}
	info.HostConfig.IpcMode = "private"
	if got := mountUnder(info, "/dev/shm/a").Destination; got != "" {
		t.Errorf("its own shared memory lies on %q", got)
	}
}

// Two volumes are one where they mount the same, and two in memory never are.
func TestOrigin(t *testing.T) {
	t.Parallel()
	at := func(driver, kind, device, o string) string {
		return origin(volume.Volume{Name: "v", Driver: driver, Mountpoint: "/volumes/v", Options: map[string]string{"type": kind, "device": device, "o": o}})
	}
	for want, got := range map[string][]string{
		"/volumes/v": {at("local", "", "", ""), at("local", "tmpfs", "tmpfs", "size=1m"), at("local", "tmpfs", "/memory", "size=1m"), at("local", "overlay", "overlay", "lowerdir=/a"), at("far", "nfs", ":/x", "")},
		"/x":         {at("local", "none", "/x", "bind"), at("local", "tmpfs", "/x", "rw,bind"), at("local", "ext4", "/x", "")},
		":/x":        {at("local", "nfs", ":/x", "addr=192.0.2.1,rw")},
		"v":          {origin(volume.Volume{Name: "v", Driver: "far"})},
	} {
		if !slices.Equal(slices.Compact(got), []string{want}) {
			t.Errorf("got %q, want %s for all", got, want)
		}
	}
}
