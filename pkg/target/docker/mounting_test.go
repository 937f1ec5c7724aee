package docker

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/target"
)

const notWritable = "read-only file system"

// mounts is the mount table of a container.
func (p *project) mounts(id string) string {
	p.t.Helper()
	info, err := p.engine.ContainerInspect(soon(p.t), id)
	must(p.t, err)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", info.State.Pid))
	must(p.t, err)
	return string(text)
}

// killMounting kills the helpers that change what is mounted for a container.
func (p *project) killMounting(id string) {
	p.t.Helper()
	all, err := p.engine.ContainerList(soon(p.t), container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelMounts+"="+id))})
	must(p.t, err)
	if len(all) != 1 {
		p.t.Fatalf("%d helpers change what is mounted for it, want 1", len(all))
	}
	must(p.t, p.engine.ContainerKill(soon(p.t), all[0].ID, "SIGKILL"))
}

// A directory that is read-only is met by the service itself and by nobody else, whatever it lies on, and is as it was afterwards.
func TestADirectoryOfAContainerIsReadOnly(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	for name, c := range map[string]struct {
		path    string
		changes func(*project) []change
	}{
		"of a hardened container": {"/data", func(p *project) []change {
			return []change{hardened(p), tmpfs("/data", "size=1m,mode=1777,noexec")}
		}},
		"of a volume": {"/data", func(p *project) []change { return []change{binds(p.volume("shared", nil) + ":/data")} }},
		"of the root": {"/etc", func(*project) []change { return nil }},
		"of another's own": {"/data", func(*project) []change {
			return []change{tmpfs("/data", "size=1m,mode=700,uid=1234"), asUser("1234:1234")}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			t.Cleanup(func() {
				p.remove()
				_ = p.engine.VolumeRemove(soonAfter(t), p.name+"-shared", true)
			})
			changes := append(c.changes(p), published)
			id := p.add("web", 1, changes...)
			p.add("back", 1, changes...)
			w := p.world("web", "back")
			of, before := w.one("web"), p.mounts(id)
			f := w.fault("disk.readonly", map[string]string{"path": c.path})
			undos, err := f.Prepare(soon(t))
			must(t, err)
			proven(t, "not proven", f.Check, "web-1: "+c.path+" can be written to") // as the negative control does
			w.wantWrites(c.path, "ok")
			proven(t, "proven", f.Inject, "web-1: "+c.path+" is read-only: a write of its own user meets EROFS")
			w.wantWrites(c.path, notWritable)
			if said, err := w.get("back", "/write?in="+c.path); err != nil || said != "ok" {
				t.Errorf("another container's write: %q, %v", said, err)
			}
			proven(t, "proven", f.Check, "meets EROFS")
			proven(t, "proven", f.Revert, "web-1: "+c.path+" can be written to again")
			proven(t, "proven", f.Revert)
			w.wantWrites(c.path, "ok")
			if now := p.mounts(id); now != before {
				t.Errorf("its mount table was\n%s\nand is\n%s", before, now)
			}
			k, _ := fault.Find("disk.readonly")
			for range 2 {
				must(t, k.Revert(soon(t), Attach(of.Ref, helpers()), undos[0].Data, undos[0].Target))
			}
			if n := p.atWork(id); n != 0 || p.mounts(id) != before {
				t.Errorf("%d helpers are left, and the mount table is\n%s", n, p.mounts(id))
			}
		})
	}
}

// Two that were prepared for one directory: the second is refused, and leaves the first one's alone.
func TestOneDirectoryIsReadOnlyOnce(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published, tmpfs("/data", "size=1m,mode=1777"))
	w := p.world("web")
	before := p.mounts(id)
	first, second := w.fault("disk.readonly", map[string]string{"path": "/data"}), w.fault("disk.readonly", map[string]string{"path": "/data"})
	for _, f := range []fault.Fault{first, second} {
		_, err := f.Prepare(soon(t))
		must(t, err)
	}
	proven(t, "proven", first.Inject)
	_, err := second.Inject(soon(t))
	wantError(t, err, "something else has been mounted at /data meanwhile")
	proven(t, "proven", second.Revert, "web-1: nothing was done")
	w.wantWrites("/data", notWritable)
	proven(t, "proven", first.Check)
	proven(t, "proven", first.Revert, "can be written to again")
	if now := p.mounts(id); now != before || p.atWork(id) != 0 {
		t.Errorf("its mount table was\n%s\nand is\n%s", before, now)
	}
}

// What is open for writing in the directory, and who is there, does not meet the fault: then it is proven only if that was said to be no matter. Who has come there meanwhile is named in the end.
func TestWhatDoesNotMeetAReadOnlyDirectory(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published, tmpfs("/data", "size=1m,mode=1777"))
	w := p.world("web")
	asked := func(path string) {
		t.Helper()
		if said, err := w.get("web", path); err != nil || said != "ok <nil>" {
			t.Fatalf("%s: %q, %v", path, said, err)
		}
	}
	const suspect = ". So the service may not meet it: if it opens or makes other files there by their names, say `open: any`"
	comm := filepath.Base(testProgram)[:min(15, len(filepath.Base(testProgram)))]
	held := "; open there for writing from before, and not met, 1 file (/data/held)"
	there := "; with their working directory there from before, and not met by what they open by a relative name, 1 process (" + comm + " (pid 1))"
	for _, c := range []struct {
		name, open, proven       string
		before, meanwhile, after string
		says, reverted           string
	}{
		{"a file", "none", "not proven", "/hold?in=/data", "/hold", "/hold?close=1", held + suspect, "can be written to again"},
		{"a file that is no matter", "any", "proven", "/hold?in=/data", "/hold", "/hold?close=1", held, "can be written to again"},
		{"a folder", "none", "not proven", "/go?to=/data", "/go?to=/data", "/go?to=/", there + suspect, "; come there meanwhile, and able to write, but without a name of their working directory until they leave it, 1 process (" + comm + " (pid 1))"},
		{"nothing", "none", "proven", "/go?to=/", "/go?to=/", "/go?to=/", "meets EROFS", "can be written to again"},
	} {
		f := w.fault("disk.readonly", map[string]string{"path": "/data", "open": c.open})
		asked(c.before)
		_, err := f.Prepare(soon(t))
		must(t, err)
		e := proven(t, c.proven, f.Inject, c.says)
		if files := e.Readings["files_open_before"]; (files == 1) != strings.Contains(c.says, held) {
			t.Errorf("%s: readings: %v", c.name, e.Readings)
		}
		asked(c.meanwhile)
		proven(t, "proven", f.Revert, c.reverted)
		asked(c.after)
		w.wantWrites("/data", "ok")
	}
}

func asUser(user string) change {
	return func(c *container.Config, _ *container.HostConfig) { c.User = user }
}

// A container that is started again, or removed, has lost what was mounted for it. A helper that is killed leaves it, and another one takes it off.
func TestAReadOnlyDirectoryOutlivesItsHelper(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	for name, c := range map[string]struct {
		end               func(*project, string)
		proven            string
		checked, reverted string
	}{
		"the container is started again": {
			func(p *project, id string) {
				must(p.t, p.engine.ContainerRestart(soon(p.t), id, container.StopOptions{}))
			},
			"not proven", "can be written to all the same; it was started again meanwhile", "it has ended or was started again meanwhile",
		},
		"the helper is killed":         {func(p *project, id string) { p.killMounting(id) }, "proven", "is read-only", "can be written to again"},
		"who tries to write is killed": {func(p *project, id string) { p.killHelpers(id) }, "proven", "is read-only", "can be written to again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			id := p.add("web", 1, published, tmpfs("/data", "size=1m,mode=1777"))
			w := p.world("web")
			of := w.one("web")
			f := w.fault("disk.readonly", map[string]string{"path": "/data"})
			_, err := f.Prepare(soon(t))
			must(t, err)
			proven(t, "proven", f.Inject)
			c.end(p, id)
			eventually(t, "it is ready", func() bool { return w.status(of).Ready })
			proven(t, c.proven, f.Check, c.checked)
			proven(t, "proven", f.Revert, c.reverted)
			w.wantWrites("/data", "ok")
			if strings.Count(p.mounts(id), " /data ") != 1 {
				t.Errorf("its mount table is\n%s", p.mounts(id))
			}
		})
	}
}

// A runner that is killed leaves no directory read-only, nor one that is killed with its helper once its undo is done, which can be done by anybody.
func TestAKilledRunnerLeavesNothingReadOnly(t *testing.T) {
	t.Parallel()
	for _, both := range []string{"the runner", "the helper as well"} {
		t.Run(both, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			id := p.add("web", 1, published, tmpfs("/data", "size=1m,mode=1777"))
			before := p.mounts(id)
			cmd, undo, data, ref := p.runner("READONLY=/data")
			if p.mounts(id) == before {
				t.Fatal("nothing is mounted")
			}
			if both != "the runner" {
				p.killMounting(id)
			}
			must(t, cmd.Process.Kill())
			if both == "the runner" {
				eventually(t, "its helper takes it off", func() bool { return p.mounts(id) == before })
			} else if p.mounts(id) == before {
				t.Fatal("it went with its helper")
			}
			k, _ := fault.Find("disk.readonly")
			for range 2 {
				must(t, k.Revert(soon(t), Attach(target.Ref{ID: ref}, helpers()), []byte(data), target.Ref{ID: ref}))
			}
			if now := p.mounts(id); now != before {
				t.Errorf("its mount table was\n%s\nand is\n%s", before, now)
			}
			must(t, RevertEnvironment(soon(t), undo.Data))
			p.remove()
			must(t, k.Revert(soon(t), Attach(target.Ref{ID: ref}, helpers()), []byte(data), target.Ref{ID: ref}))
		})
	}
}

// What cannot be made read-only, or would be no fault, is refused before anything is mounted.
func TestDirectoriesThatAreNotMadeReadOnly(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	id := p.add("web", 1, published, tmpfs("/fixed", "size=1m,mode=1777,ro"), tmpfs("/roots", "size=1m,mode=700"), asUser("1234:1234"), tmpfs("/data", "size=1m,mode=1777"))
	p.add("root", 1, published)
	p.add("machine", 1, published, tmpfs("/data", "size=1m,mode=1777"), func(_ *container.Config, h *container.HostConfig) { h.PidMode = "host" })
	p.add("vault", 1, published, label(labelProtected, "true"))
	w := p.world("web", "root", "machine", "vault")
	before := p.mounts(id)
	for _, c := range []struct{ service, path, want string }{
		{"web", "/fixed", "web-1: /fixed is read-only already"},
		{"web", "/roots", "its own user cannot write at /roots, so it would not feel the fault: "},
		{"web", "/none", "there is no directory /none"},
		{"web", testProgram, testProgram + " is no directory"},
		{"root", "/", "/ cannot be made read-only: name a directory below it"},
		{"machine", "/data", `its processes are those of others as well (pid: "host" in the Compose file)`},
		{"vault", "/etc", "vault-1 is protected"},
	} {
		k, _ := fault.Find("disk.readonly")
		f, err := k.New(fault.Request{ID: "the-step", Runtime: w.Environment, Targets: []target.Target{w.one(c.service)}, Params: fault.Params{"path": c.path, "open": "none"}})
		must(t, err)
		_, err = f.Prepare(soon(t))
		wantError(t, err, c.want)
		proven(t, "proven", f.Revert, "nothing was done")
	}
	if p.mounts(id) != before || p.atWork(id) != 0 {
		t.Errorf("the mount table was\n%s\nand is\n%s", before, p.mounts(id))
	}
	k, _ := fault.Find("disk.readonly")
	for _, data := range []any{map[string]any{}, map[string]any{"at": "/data"}} {
		text, err := json.Marshal(data)
		must(t, err)
		wantError(t, k.Revert(soon(t), w, text, w.one("web").Ref), "the undo names nothing that is mounted")
	}
}
