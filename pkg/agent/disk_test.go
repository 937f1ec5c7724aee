package agent_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/target"
)

// disk is a file system in memory that only a helper has mounted, and the directory at which the test reaches it.
type disk struct {
	*child
	t    *testing.T
	at   string   // for the helper
	here string   // for the test, as long as the helper lives
	root *os.File // keeps it there after the helper
}

func withDisk(t *testing.T, size string, env ...string) *disk {
	t.Helper()
	dir := t.TempDir()
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	d := &disk{child: startWith(t, attr, append(env, "TMPFS="+size, "DIR="+dir)...), t: t, at: dir}
	d.Client = agent.NewClient(d.in, d.out)
	d.here = fmt.Sprintf("/proc/%d/root%s", d.id.PID, dir)
	var st unix.Statfs_t
	eventually(t, "it is mounted", func() bool { return unix.Statfs(d.here, &st) == nil && st.Type == unix.TMPFS_MAGIC })
	var err error
	d.root, err = os.Open(d.here)
	must(t, err)
	t.Cleanup(func() { d.root.Close() })
	return d
}

// free is how many bytes of it are.
func (d *disk) free() int64 {
	d.t.Helper()
	var st unix.Statfs_t
	must(d.t, unix.Fstatfs(int(d.root.Fd()), &st))
	return int64(st.Bavail) * st.Bsize
}

// write makes a file of so many bytes.
func (d *disk) write(name string, bytes int) error {
	return os.WriteFile(filepath.Join(d.here, name), make([]byte, bytes), 0o600)
}

func (d *disk) status() agent.DiskFillStatus {
	d.t.Helper()
	return call[agent.DiskFillStatus](d.t, d.child, agent.Status)
}

func (d *disk) filled() agent.DiskFillStatus {
	d.t.Helper()
	for range 2 {
		call[agent.DiskFillStatus](d.t, d.child, agent.Inject)
	}
	eventually(d.t, "all is taken that was asked for", func() bool { return d.status().Done })
	return d.status()
}

// entries are the names in it.
func (d *disk) entries() int {
	d.t.Helper()
	all, err := os.ReadDir(d.here)
	must(d.t, err)
	return len(all)
}

// A full disk is met as one by whoever writes, has no file of the helper's in it, and is as it was afterwards.
func TestADiskIsFilled(t *testing.T) {
	d := withDisk(t, "8m")
	must(t, d.Arm(soon(t), agent.DiskFillJob, agent.DiskFillConfig{Path: d.at}))
	want := agent.DirectoryStatus{Mount: target.Mount{At: d.at, Type: target.Tmpfs, Sized: true}, Total: 8 << 20, Free: 8 << 20, Write: agent.Succeeded}
	if s := d.status(); s.DirectoryStatus != want || s.Held != 0 || s.Done || s.Spare < 1<<20 {
		t.Errorf("before: %+v", s)
	}
	for range 2 {
		if s := d.filled(); s.Free != 0 || s.Held != 8<<20 || s.Write != agent.Full || s.Mount != want.Mount {
			t.Errorf("filled: %+v", s)
		}
		if err := d.write("a", 1); !errors.Is(err, unix.ENOSPC) || d.free() != 0 {
			t.Errorf("a write met %v with %d bytes free", err, d.free())
		}
		if n := d.entries(); n > 1 { // the test's own
			t.Errorf("%d files are seen", n)
		}
		for range 2 {
			revert(t, d.child)
		}
		if s := d.status(); s.Held != 0 || s.Write != agent.Succeeded || d.free() != 8<<20 {
			t.Errorf("after: %+v with %d bytes free", s, d.free())
		}
		must(t, d.write("a", 1<<20))
		must(t, os.Remove(filepath.Join(d.here, "a")))
	}
	if score(t, fmt.Sprint(d.id.PID)) != "1000" {
		t.Error("another would be killed if memory ran out")
	}
}

// What is free again beyond what is to be left is taken as well; a size is taken once.
func TestWhatIsFreedUnderAFill(t *testing.T) {
	for name, c := range map[string]struct {
		config     agent.DiskFillConfig
		free, then int64
	}{
		"nothing is left":     {agent.DiskFillConfig{}, 0, 0},
		"something is left":   {agent.DiskFillConfig{Leave: 1 << 20}, 1 << 20, 1 << 20},
		"so much was to take": {agent.DiskFillConfig{Size: 3 << 20}, 3 << 20, 5 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			d := withDisk(t, "8m")
			c.config.Path = d.at
			must(t, d.Arm(soon(t), agent.DiskFillJob, c.config))
			must(t, d.write("a", 2<<20))
			if s := d.filled(); s.Free != c.free || d.free() != c.free {
				t.Errorf("%d bytes are free, and it says %d, want %d", d.free(), s.Free, c.free)
			}
			must(t, os.Remove(filepath.Join(d.here, "a")))
			eventually(t, fmt.Sprintf("%d bytes are free", c.then), func() bool { return d.free() == c.then })
			if s := d.status(); s.Held != 8<<20-c.then {
				t.Errorf("it holds %d bytes", s.Held)
			}
			must(t, d.end(t))
			if d.free() != 8<<20 {
				t.Errorf("after its end %d bytes are free", d.free())
			}
		})
	}
}

// What asks for more than there is takes what there is, and says so.
func TestMoreThanThereIs(t *testing.T) {
	d := withDisk(t, "8m")
	must(t, d.Arm(soon(t), agent.DiskFillJob, agent.DiskFillConfig{Path: d.at, Size: 16 << 20}))
	if s := d.filled(); s.Held != 8<<20 || s.Write != agent.Full {
		t.Errorf("got %+v", s)
	}
	must(t, d.end(t))
}

// However a helper ends, the kernel frees what it had taken.
func TestAKilledHelperHoldsNoRoom(t *testing.T) {
	d := withDisk(t, "64m")
	must(t, d.Arm(soon(t), agent.DiskFillJob, agent.DiskFillConfig{Path: d.at}))
	d.filled()
	must(t, d.cmd.Process.Kill())
	_ = d.wait(t)
	if d.free() != 64<<20 {
		t.Errorf("%d bytes are free", d.free())
	}
}

func TestFillsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for want, config := range map[string]agent.DiskFillConfig{
		`path is "data", expected that of a directory`:      {Path: "data"},
		"there is no directory " + dir + "/none":            {Path: dir + "/none"},
		file + " is no directory":                           {Path: file},
		file + "/below is no directory":                     {Path: file + "/below"},
		"size is 1 bytes and leave is 1":                    {Path: dir, Size: 1, Leave: 1},
		"size is -1 bytes and leave is 0, expected one of ": {Path: dir, Size: -1},
	} {
		c := start(t)
		c.Client = agent.NewClient(c.in, c.out)
		wantError(t, c.Arm(soon(t), agent.DiskFillJob, config), "job disk-fill: "+want)
		must(t, c.end(t))
	}
}

// Looking at a directory leaves nothing in it.
func TestADirectoryIsLookedAt(t *testing.T) {
	d := withDisk(t, "1m")
	must(t, d.Arm(soon(t), agent.DirectoryJob, agent.DirectoryConfig{Path: d.at}))
	before, err := os.Stat(d.here)
	must(t, err)
	look := func() agent.DirectoryStatus { return call[agent.DirectoryStatus](t, d.child, agent.Status) }
	if s := look(); s.Write != agent.Succeeded || s.Free != 1<<20 || s.Mount.At != d.at {
		t.Errorf("got %+v", s)
	}
	after, err := os.Stat(d.here)
	must(t, err)
	if !after.ModTime().Equal(before.ModTime()) || d.entries() != 0 {
		t.Error("the directory was changed")
	}
	must(t, d.write("a", 1<<20))
	if s := look(); s.Write != agent.Full || s.Free != 0 {
		t.Errorf("full: %+v", s)
	}
	must(t, d.end(t))
}
