package agent_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/fault/sqlitefile"
)

// What the kernel counts for the helper lies near what was asked. Tests of other packages may use the machine as well, so the upper bound is the strict one.
func TestCPUIsUsedAsAsked(t *testing.T) {
	for _, c := range []agent.CPUConfig{{Workers: 1, Load: 0.3}, {Workers: 1, Load: 1}, {Workers: 2, Load: 0.5}} {
		h := armed(t, agent.CPUJob, c)
		wanted := float64(min(c.Workers, runtime.NumCPU())) * c.Load
		if s := call[agent.CPUStatus](t, h, agent.Inject); s.Workers != c.Workers {
			t.Errorf("got %+v", s)
		}
		if idle := h.stat(t).CPU; idle > 500*time.Millisecond {
			t.Errorf("before its load it used %v", idle)
		}
		// The share evens out: the longer, the nearer.
		began, base := time.Now(), h.stat(t).CPU
		share := func() float64 { return (h.stat(t).CPU - base).Seconds() / time.Since(began).Seconds() / wanted }
		eventually(t, "near the share asked for", func() bool {
			return time.Since(began) > 500*time.Millisecond && share() > 0.5 && share() < 1.25
		})
		before := h.stat(t).CPU.Seconds()
		s := call[agent.CPUStatus](t, h, agent.Status)
		if after := h.stat(t).CPU.Seconds(); s.CPUSeconds < before-0.05 || s.CPUSeconds > after+0.05 {
			t.Errorf("it says it used %.2fs, the kernel says %.2fs before and %.2fs after", s.CPUSeconds, before, after)
		}
		revert(t, h)
		checkQuiet(t, h)
		must(t, h.end(t))
	}
}

// checkQuiet reads the CPU time until it stands still for a while.
func checkQuiet(t *testing.T, h *child) {
	t.Helper()
	if s := call[agent.CPUStatus](t, h, agent.Status); s.Workers != 0 {
		t.Errorf("after the revert: %+v", s)
	}
	last, since := h.stat(t).CPU, time.Now()
	eventually(t, "no CPU is used", func() bool {
		if now := h.stat(t).CPU; now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 100*time.Millisecond
	})
}

// By default there is a worker for each CPU, and the helper still hears what it is told.
func TestCPUSaturationDoesNotDeafen(t *testing.T) {
	h := armed(t, agent.CPUJob, agent.CPUConfig{Load: 1})
	for range 2 {
		if s := call[agent.CPUStatus](t, h, agent.Inject); s.Workers != runtime.NumCPU() {
			t.Errorf("%d workers on %d CPUs", s.Workers, runtime.NumCPU())
		}
	}
	must(t, h.end(t))
}

func TestMemoryIsResidentAndGivenBack(t *testing.T) {
	const size = 96 << 20
	for name, rate := range map[string]int64{"at once": 0, "at a rate": 400 << 20} {
		t.Run(name, func(t *testing.T) {
			h := armed(t, agent.MemoryJob, agent.MemoryConfig{Size: size, Rate: rate})
			before := h.stat(t).RSS
			if s := call[agent.MemoryStatus](t, h, agent.Status); s.Resident != 0 || s.Filled != 0 {
				t.Errorf("before: %+v", s)
			}
			for range 2 {
				call[agent.MemoryStatus](t, h, agent.Inject)
			}
			eventually(t, "all of it is filled", func() bool {
				s := call[agent.MemoryStatus](t, h, agent.Status)
				return s.Filled == size && s.Resident == size
			})
			if grown := h.stat(t).RSS - before; grown < size-(2<<20) || grown > size+(16<<20) {
				t.Errorf("it grew by %d MiB", grown>>20)
			}
			for range 2 {
				revert(t, h)
			}
			if s := call[agent.MemoryStatus](t, h, agent.Status); s.Resident != 0 || s.Filled != 0 {
				t.Errorf("after: %+v", s)
			}
			if left := h.stat(t).RSS - before; left > 16<<20 {
				t.Errorf("%d MiB are left", left>>20)
			}
			call[agent.MemoryStatus](t, h, agent.Inject) // in the middle of a fill
			must(t, h.end(t))
		})
	}
}

// A rate is kept: when a part is filled, the time for it has passed.
func TestMemoryRate(t *testing.T) {
	const size, rate = 32 << 20, 128 << 20
	h := armed(t, agent.MemoryJob, agent.MemoryConfig{Size: size, Rate: rate})
	began := time.Now()
	call[agent.MemoryStatus](t, h, agent.Inject)
	eventually(t, "all of it is filled", func() bool {
		s := call[agent.MemoryStatus](t, h, agent.Status)
		if most := int64(time.Since(began).Seconds()*rate) + 1<<16; s.Filled > most {
			t.Fatalf("%d bytes are filled, at most %d may be", s.Filled, most)
		}
		return s.Filled == size
	})
	must(t, h.end(t))
}

// More than there is of addresses is an error, and the helper lives on.
func TestMemoryThatCannotBeHad(t *testing.T) {
	h := armed(t, agent.MemoryJob, agent.MemoryConfig{Size: 1 << 60, Limit: 1 << 30})
	_, err := h.Call(soon(t), agent.Inject)
	wantError(t, err, "inject: take 1152921504606846976 bytes: ")
	revert(t, h)
	must(t, h.end(t))
}

// Where the service has no limit of its own, no more is taken than the machine can spare.
func TestMemoryThatTheMachineCannotSpare(t *testing.T) {
	c := start(t)
	c.Client = agent.NewClient(c.in, c.out)
	wantError(t, c.Arm(soon(t), agent.MemoryJob, agent.MemoryConfig{Size: 1 << 50}), "to spare")
	must(t, c.end(t))
}

// Whom the kernel kills is read back from it. Protecting itself takes a privilege; where it is missing the status tells the truth.
func TestVictim(t *testing.T) {
	own := score(t, "self")
	cases := []struct {
		victim string
		limit  int64
		want   []string // any of them
	}{
		{"", 0, []string{"1000"}}, // no limit: the whole machine would run out, so only the helper may be killed
		{agent.VictimService, 0, []string{"1000"}},
		{"", 1 << 30, []string{own}},
		{agent.VictimStressor, 1 << 30, []string{"1000"}},
		{agent.VictimService, 1 << 30, []string{"-1000", own}},
	}
	for _, c := range cases {
		h := armed(t, agent.MemoryJob, agent.MemoryConfig{Size: 1 << 20, Victim: c.victim, Limit: c.limit})
		got := score(t, strconv.Itoa(h.id.PID))
		if said := call[agent.MemoryStatus](t, h, agent.Status).OOMScoreAdj; !slices.Contains(c.want, got) || got != strconv.Itoa(said) {
			t.Errorf("victim %q with limit %d: the kernel has %s, want one of %v; it says %d", c.victim, c.limit, got, c.want, said)
		}
		must(t, h.end(t))
	}
}

// A load that is to outlive the service and may not protect itself fills memory that is not its own, by which it could be chosen. It is resident and is given back as any other.
func TestMemoryApart(t *testing.T) {
	const size = 64 << 20
	id := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	c := startWith(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: id}) // there it has no privilege outside
	c.Client = agent.NewClient(c.in, c.out)
	must(t, c.Arm(soon(t), agent.MemoryJob, agent.MemoryConfig{Size: size, Limit: 1 << 30, Victim: agent.VictimService}))
	if got := call[agent.MemoryStatus](t, c, agent.Status); strconv.Itoa(got.OOMScoreAdj) != score(t, "self") {
		t.Fatalf("it could protect itself: %+v", got)
	}
	for range 2 {
		before := c.stat(t).RSS
		call[agent.MemoryStatus](t, c, agent.Inject)
		eventually(t, "all of it is filled", func() bool {
			s := call[agent.MemoryStatus](t, c, agent.Status)
			return s.Filled == size && s.Resident == size
		})
		if grown := c.stat(t).RSS - before; grown > size/4 {
			t.Errorf("it holds %d MiB itself", grown>>20)
		}
		revert(t, c)
		if s := call[agent.MemoryStatus](t, c, agent.Status); s.Resident != 0 || s.Filled != 0 {
			t.Errorf("after: %+v", s)
		}
	}
	call[agent.MemoryStatus](t, c, agent.Inject)
	must(t, c.end(t))
}

func score(t *testing.T, pid string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/oom_score_adj")
	must(t, err)
	return strings.TrimSpace(string(text))
}

// A lock is held until it is reverted, by this process and not by a connection that went away; it is lost when the file is replaced.
func TestSQLiteLock(t *testing.T) {
	file, db := database(t)
	h := armed(t, agent.SQLiteLockJob, agent.SQLiteLockConfig{Path: file, Mode: sqlitefile.Write})
	if s := call[agent.SQLiteLockStatus](t, h, agent.Status); s.Held {
		t.Error("it is held before it is taken")
	}
	for range 2 {
		if s := call[agent.SQLiteLockStatus](t, h, agent.Inject); !s.Held {
			t.Error("it is not held")
		}
	}
	if _, err := db.Exec("INSERT INTO a VALUES (1)"); !sqlitefile.IsBusy(err) {
		t.Errorf("a write met %v", err)
	}
	for range 2 {
		revert(t, h)
	}
	_, err := db.Exec("INSERT INTO a VALUES (1)")
	must(t, err)
	call[agent.SQLiteLockStatus](t, h, agent.Inject)
	spare, _ := database(t)
	must(t, os.Rename(spare, file))
	if s := call[agent.SQLiteLockStatus](t, h, agent.Status); s.Held {
		t.Error("the file was replaced, but the lock is said to be held")
	}
	must(t, h.end(t))
}

func TestSQLiteLockThatCannotBeTaken(t *testing.T) {
	h := armed(t, agent.SQLiteLockJob, agent.SQLiteLockConfig{Path: filepath.Join(t.TempDir(), "none.db"), Mode: sqlitefile.Write})
	_, err := h.Call(soon(t), agent.Inject)
	wantError(t, err, "inject: there is no database file ", "none.db")
	if s := call[agent.SQLiteLockStatus](t, h, agent.Status); s.Held {
		t.Errorf("got %+v", s)
	}
	must(t, h.end(t))
}

// A database is looked at as one more process meets it. A mark is there until it is taken off, at the latest when the helper ends; taking off another's is a job of its own.
func TestSQLiteIsLookedAtAndMarked(t *testing.T) {
	file, db := database(t)
	write := func() error { _, err := db.Exec("INSERT INTO a VALUES (1)"); return err }
	marks := armed(t, agent.SQLiteJob, agent.SQLiteConfig{Path: file, Edit: sqlitefile.EditReadOnly})
	looks := armed(t, agent.SQLiteJob, agent.SQLiteConfig{Path: file, Mode: sqlitefile.Write})
	if s := call[agent.SQLiteStatus](t, looks, agent.Inject); s != (agent.SQLiteStatus{At: file, Met: agent.Succeeded}) {
		t.Errorf("before anything: %+v", s)
	}
	for range 2 {
		if s := call[agent.SQLiteStatus](t, marks, agent.Inject); s.Met != agent.ReadOnly {
			t.Errorf("marked: %+v", s)
		}
	}
	if s := call[agent.SQLiteStatus](t, looks, agent.Status); s.Met != agent.ReadOnly || s.Lockable == "" || s.Locked {
		t.Errorf("who looks sees %+v", s)
	}
	if err := write(); !sqlitefile.IsReadOnly(err) {
		t.Errorf("the service's own write met %v", err)
	}
	must(t, looks.end(t)) // what it did not mark stays
	if err := write(); !sqlitefile.IsReadOnly(err) {
		t.Errorf("after who looked has ended, a write met %v", err)
	}
	clears := armed(t, agent.SQLiteJob, agent.SQLiteConfig{Path: file, Edit: sqlitefile.EditReadOnly, Undo: true})
	if s := call[agent.SQLiteStatus](t, clears, agent.Inject); s.Met != agent.Succeeded {
		t.Errorf("cleared: %+v", s)
	}
	must(t, clears.end(t))
	must(t, marks.end(t))
	marks = armed(t, agent.SQLiteJob, agent.SQLiteConfig{Path: file, Edit: sqlitefile.EditReadOnly})
	call[agent.SQLiteStatus](t, marks, agent.Inject)
	must(t, marks.end(t))
	if s := call[agent.SQLiteStatus](t, armed(t, agent.SQLiteJob, agent.SQLiteConfig{Path: file}), agent.Status); s.Met != agent.Succeeded {
		t.Errorf("after who had marked it has ended: %+v", s)
	}
	lock := armed(t, agent.SQLiteLockJob, agent.SQLiteLockConfig{Path: file, Mode: sqlitefile.Write})
	call[agent.SQLiteLockStatus](t, lock, agent.Inject)
	if s := call[agent.SQLiteStatus](t, armed(t, agent.SQLiteJob, agent.SQLiteConfig{Path: file, Mode: sqlitefile.Write}), agent.Status); !s.Locked || s.Met != agent.Busy {
		t.Errorf("locked: %+v", s)
	}
	must(t, lock.end(t))
	must(t, os.Remove(file))
	if s := call[agent.SQLiteStatus](t, armed(t, agent.SQLiteJob, agent.SQLiteConfig{Path: file, Mode: sqlitefile.Write}), agent.Status); s.Met != agent.Gone {
		t.Errorf("gone: %+v", s)
	}
}

func TestScoreAndSelf(t *testing.T) {
	h := armed(t, agent.SelfJob, struct{}{})
	if s := call[agent.SelfStatus](t, h, agent.Status); s.PID != h.cmd.Process.Pid {
		t.Errorf("it says it is process %d and is %d", s.PID, h.cmd.Process.Pid)
	}
	must(t, h.end(t))
	s := armed(t, agent.ScoreJob, agent.ScoreConfig{})
	want := score(t, "1")
	if got := call[agent.ScoreStatus](t, s, agent.Inject); strconv.Itoa(got.Score) != want {
		t.Errorf("the score of the first process is %d, want %s", got.Score, want)
	}
	must(t, s.end(t))
}
