package agent_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/agent"
)

// watched is a process with a disk of its own that looks at it.
func watched(t *testing.T, env ...string) *disk {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("it takes root to enter what is mounted for another process")
	}
	d := withDisk(t, "4m", env...)
	must(t, d.Arm(soon(t), agent.DirectoryJob, agent.DirectoryConfig{Path: d.at}))
	return d
}

// look is what comes of a write of the process's own.
func (d *disk) look() agent.Outcome {
	d.t.Helper()
	return call[agent.DirectoryStatus](d.t, d.child, agent.Status).Write
}

// mounts is what its mount table holds of the disk and below; the rest is a copy of the machine's, from which the kernel takes what others remove.
func (d *disk) mounts() string {
	d.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", d.id.PID))
	must(d.t, err)
	var own strings.Builder
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, " "+d.at) {
			own.WriteString(line)
		}
	}
	return own.String()
}

// readOnly is a helper that makes a directory of the process read-only.
func (d *disk) readOnly(path string) *child {
	d.t.Helper()
	return armed(d.t, agent.ReadOnlyJob, agent.ReadOnlyConfig{Process: d.id.PID, Path: path})
}

func on(t *testing.T, c *child, command string) agent.ReadOnlyStatus {
	t.Helper()
	return call[agent.ReadOnlyStatus](t, c, command)
}

// A directory is read-only for who opens something in it, be it a mount or a part of one, and its mount table is as it was afterwards.
func TestADirectoryIsReadOnly(t *testing.T) {
	d := watched(t)
	must(t, os.Mkdir(filepath.Join(d.here, "part"), 0o777))
	must(t, os.Symlink("part", filepath.Join(d.here, "link")))
	before := d.mounts()
	open, err := os.Create(filepath.Join(d.here, "part", "open"))
	must(t, err)
	defer open.Close()
	for path, at := range map[string]string{d.at: d.at, d.at + "/part": d.at + "/part", d.at + "/link": d.at + "/part"} {
		file := filepath.Join(d.here, strings.TrimPrefix(at, d.at), "file")
		write := func() error { return os.WriteFile(file, []byte("x"), 0o600) }
		h := d.readOnly(path)
		if s := on(t, h, agent.Status); s.On || s.Mark.At != at {
			t.Errorf("%s: before: %+v", path, s)
		}
		must(t, write())
		for range 2 {
			for range 2 {
				if s := on(t, h, agent.Inject); !s.On {
					t.Errorf("%s: got %+v", path, s)
				}
			}
			if err := write(); !errors.Is(err, unix.EROFS) {
				t.Errorf("%s: a write met %v", path, err)
			}
			if got := d.look(); (got == agent.ReadOnly) != (at == d.at) {
				t.Errorf("%s: it meets %s itself", path, got)
			}
			if _, err := open.WriteString("x"); err != nil {
				t.Errorf("%s: what was open is met: %v", path, err)
			}
			if added := strings.TrimPrefix(d.mounts(), before); !strings.Contains(added, " "+at+" ro,nosuid,noexec,") || strings.Count(added, "\n") != 1 {
				t.Errorf("%s: added to the mount table: %s", path, added)
			}
			for range 2 {
				revert(t, h)
			}
			must(t, write())
			if d.mounts() != before || on(t, h, agent.Status).On {
				t.Errorf("%s: the mount table was\n%s\nand is\n%s", path, before, d.mounts())
			}
		}
		on(t, h, agent.Inject)
		must(t, h.end(t)) // the lease
		must(t, write())
		if d.mounts() != before || d.look() != agent.Succeeded {
			t.Errorf("%s: after the end of the helper the mount table is\n%s", path, d.mounts())
		}
	}
}

// Looking at a directory makes nothing in it either where files cannot be without a name, as in a queue of messages.
func TestADirectoryWithoutNamelessFiles(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("it takes root to enter what is mounted for another process")
	}
	d := withDisk(t, "1m", "KIND=mqueue")
	at := d.at + "/mqueue"
	must(t, d.Arm(soon(t), agent.DirectoryJob, agent.DirectoryConfig{Path: at}))
	looked := func(want agent.Outcome) {
		t.Helper()
		before, err := os.Stat(d.here + "/mqueue")
		must(t, err)
		if got := d.look(); got != want {
			t.Errorf("it meets %s, want %s", got, want)
		}
		after, err := os.Stat(d.here + "/mqueue")
		must(t, err)
		if !after.ModTime().Equal(before.ModTime()) {
			t.Error("the directory was changed")
		}
	}
	looked(agent.Succeeded)
	h := d.readOnly(at)
	on(t, h, agent.Inject)
	looked(agent.ReadOnly)
	revert(t, h)
	looked(agent.Succeeded)
	must(t, h.end(t))
}

// Who has had a directory open since before the fault does not meet it; who has opened it meanwhile can write there again afterwards.
func TestADirectoryThatIsOpen(t *testing.T) {
	d := watched(t)
	h := d.readOnly(d.at)
	open := func() (write func() error) {
		dir, err := os.Open(d.here)
		must(t, err)
		t.Cleanup(func() { dir.Close() })
		return func() error {
			fd, err := unix.Openat(int(dir.Fd()), "file", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
			if err == nil {
				err = unix.Close(fd)
			}
			return err
		}
	}
	before := open()
	on(t, h, agent.Inject)
	must(t, before())
	meanwhile := open()
	if err := meanwhile(); !errors.Is(err, unix.EROFS) {
		t.Errorf("a write met %v", err)
	}
	revert(t, h)
	must(t, meanwhile())
	must(t, h.end(t))
}

// A helper that is killed leaves the directory read-only; by its mark another one takes that off, and nothing else.
func TestWhatAKilledHelperLeavesIsTakenOff(t *testing.T) {
	d := watched(t)
	before := d.mounts()
	h := d.readOnly(d.at)
	mark := on(t, h, agent.Inject).Mark
	must(t, h.cmd.Process.Kill())
	_ = h.wait(t)
	if d.look() != agent.ReadOnly {
		t.Fatal("it went with its helper")
	}
	other := mark
	other.Under++
	for _, c := range []struct {
		mark agent.ReadOnlyMark
		gone bool
	}{{other, false}, {agent.ReadOnlyMark{At: d.at + "/part", Under: mark.Under}, false}, {mark, true}, {mark, true}} {
		clears := armed(t, agent.ReadOnlyJob, agent.ReadOnlyConfig{Process: d.id.PID, Path: c.mark.At, Clear: &c.mark})
		if s := on(t, clears, agent.Inject); s.On {
			t.Errorf("%+v: got %+v", c.mark, s)
		}
		if gone := d.look() == agent.Succeeded; gone != c.gone {
			t.Errorf("%+v: gone: %v", c.mark, gone)
		}
		must(t, clears.end(t))
	}
	if d.mounts() != before {
		t.Errorf("the mount table was\n%s\nand is\n%s", before, d.mounts())
	}
}

// What somebody else has put at the same place is not taken for one's own.
func TestOneReadOnlyUponAnother(t *testing.T) {
	d := watched(t)
	before := d.mounts()
	first, second := d.readOnly(d.at), d.readOnly(d.at)
	on(t, first, agent.Inject)
	_, err := second.Call(soon(t), agent.Inject)
	wantError(t, err, "something else has been mounted at "+d.at)
	revert(t, second)
	if s := on(t, second, agent.Status); s.Touched || !s.On || !on(t, first, agent.Status).Touched {
		t.Errorf("who has mounted nothing says %+v", s)
	}
	must(t, second.end(t))
	third := d.readOnly(d.at) // upon the first
	on(t, third, agent.Inject)
	_, err = first.Call(soon(t), agent.Revert)
	wantError(t, err, "something else has been mounted at "+d.at)
	must(t, third.end(t))
	must(t, first.end(t))
	if d.mounts() != before {
		t.Errorf("the mount table was\n%s\nand is\n%s", before, d.mounts())
	}
}

func TestWhatCannotBeMadeReadOnly(t *testing.T) {
	d := watched(t)
	must(t, os.WriteFile(filepath.Join(d.here, "file"), nil, 0o600))
	common := withDisk(t, "1m", "SHARED=1")
	for _, c := range []struct {
		pid        int
		path, want string
	}{
		{d.id.PID, "/", "/ cannot be made read-only: name a directory below it"},
		{d.id.PID, "relative", `path is "relative"`},
		{d.id.PID, d.at + "/none", "there is no directory "},
		{d.id.PID, d.at + "/file", "/file is no directory"},
		{os.Getpid(), "/tmp", "it has no mounts of its own"},
		{common.id.PID, common.at, "is shared with others"},
		{1 << 30, "/tmp", "enter what is mounted for process 1073741824: "},
	} {
		h := start(t)
		h.Client = agent.NewClient(h.in, h.out)
		wantError(t, h.Arm(soon(t), agent.ReadOnlyJob, agent.ReadOnlyConfig{Process: c.pid, Path: c.path}), "job read-only: ", c.want)
		must(t, h.end(t))
	}
}

// What was open for writing before, and who was there, is not met, and is told; so is who is there when it is taken off.
func TestWhatIsInAReadOnlyDirectory(t *testing.T) {
	d := watched(t)
	for _, name := range []string{"part", "beside"} {
		must(t, os.Mkdir(filepath.Join(d.here, name), 0o777))
	}
	sleeper := func(in string) string {
		c := exec.Command("sleep", "60")
		c.Dir = filepath.Join(d.here, in)
		must(t, c.Start())
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		return fmt.Sprintf("sleep (pid %d)", c.Process.Pid)
	}
	for _, name := range []string{"part/written", "part/read", "beside/written"} {
		must(t, d.write(name, 1))
		flag := os.O_RDWR
		if name == "part/read" {
			flag = os.O_RDONLY
		}
		f, err := os.OpenFile(filepath.Join(d.here, name), flag, 0)
		must(t, err)
		defer f.Close()
	}
	before, beside := sleeper("part"), sleeper("beside")
	h := d.readOnly(d.at + "/part")
	is := func(what string, u agent.Uses, want ...string) {
		t.Helper()
		if u.Count != len(want) || strings.Join(u.Names, ", ") != strings.Join(want, ", ") {
			t.Errorf("%s: %+v, want %v and not %s", what, u, want, beside)
		}
	}
	for range 2 {
		s := on(t, h, agent.Inject)
		is("open", s.Writing, d.at+"/part/written")
		is("there", s.Working, before)
	}
	during := sleeper("part")
	is("there", on(t, h, agent.Status).Working, before)
	revert(t, h)
	s := on(t, h, agent.Status)
	is("left", s.Left, during)
	is("open", s.Writing)
	must(t, h.end(t))
}

// What is mounted below the directory, and seen by others, is as it was afterwards: nothing is taken off it with its copy.
func TestWhatIsSharedBelowStays(t *testing.T) {
	d := watched(t, "BELOW=1")
	before := d.mounts()
	if strings.Count(before, " shared:") != 2 {
		t.Fatalf("the mount table is\n%s", before)
	}
	h := d.readOnly(d.at)
	for range 2 {
		if s := on(t, h, agent.Inject); !s.On || d.look() != agent.ReadOnly || strings.Count(d.mounts(), "/sub/usb ") != 2 {
			t.Errorf("got %+v and\n%s", s, d.mounts())
		}
		revert(t, h)
		if d.mounts() != before {
			t.Fatalf("the mount table was\n%s\nand is\n%s", before, d.mounts())
		}
	}
	must(t, h.end(t))
}

// It stays as well if who had mounted the directory was killed before it could part the copies from what is shared.
func TestWhatIsSharedBelowAKilledHelperStays(t *testing.T) {
	d := watched(t, "BELOW=1", "BOUND=1")
	var own, added []string
	for line := range strings.Lines(d.mounts()) {
		if len(own) < 3 {
			own = append(own, line)
		} else {
			added = append(added, line)
		}
	}
	var under int
	_, err := fmt.Sscan(own[0], &under)
	must(t, err)
	if len(added) != 3 || strings.Count(strings.Join(added, ""), " shared:") != 2 {
		t.Fatalf("the mount table is\n%s", d.mounts())
	}
	h := armed(t, agent.ReadOnlyJob, agent.ReadOnlyConfig{Process: d.id.PID, Path: d.at, Clear: &agent.ReadOnlyMark{At: d.at, Under: under}})
	if s := on(t, h, agent.Inject); s.On || d.mounts() != strings.Join(own, "") {
		t.Errorf("the mount table was\n%s\nand is\n%s", strings.Join(own, ""), d.mounts())
	}
	must(t, h.end(t))
}
