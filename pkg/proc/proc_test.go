package proc_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/internal/testkit"
	"chaosgate/pkg/proc"
)

var (
	soon       = testkit.Soon
	eventually = testkit.Eventually
)

// The test binary is its own child: ROLE says what it does instead of testing.
func TestMain(m *testing.M) {
	role, ok := os.LookupEnv("ROLE")
	if !ok {
		os.Exit(m.Run())
	}
	os.Exit(roles[role](os.Args[1:]))
}

var roles = map[string]func(args []string) int{
	"sleep":     func([]string) int { time.Sleep(time.Minute); return 0 },
	"exit":      func(args []string) int { n, _ := strconv.Atoi(args[0]); return n },
	"print":     func(args []string) int { fmt.Print(args[0]); fmt.Fprint(os.Stderr, args[1]); return 0 },
	"family":    family,
	"leave":     leave,
	"daemonise": daemonise,
	"forker":    forker,
	"parent":    parent,
	"reuse":     reuse,
}

// family starts a child in its own group and waits for it.
func family(args []string) int {
	child := self("sleep")
	if err := child.Start(); err != nil {
		return 1
	}
	_ = os.WriteFile(args[0], []byte(strconv.Itoa(child.Process.Pid)), 0o600)
	_ = child.Wait()
	return 0
}

// leave starts a child and exits; the child keeps its standard output.
func leave(args []string) int {
	child := self("sleep")
	child.Stdout = os.Stdout
	if err := child.Start(); err != nil {
		return 1
	}
	_ = os.WriteFile(args[0], []byte(strconv.Itoa(child.Process.Pid)), 0o600)
	return 0
}

// daemonise starts a child in a session of its own and exits.
func daemonise(args []string) int {
	child := self("sleep")
	child.Stdout = os.Stdout
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		return 1
	}
	_ = os.WriteFile(args[0], []byte(strconv.Itoa(child.Process.Pid)), 0o600)
	return 0
}

// forker runs from its killer: each generation starts the next in a new session and exits.
func forker(args []string) int {
	signal.Ignore(syscall.SIGTERM)
	child := self("forker", args...)
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if child.Start() != nil {
		return 1
	}
	time.Sleep(20 * time.Millisecond)
	return 0
}

// parent starts three children through package proc, the last one after its threads have come and gone, and waits to be killed.
func parent(args []string) int {
	var pids []string
	for range 3 {
		p, err := proc.Start(self("sleep"))
		if err != nil {
			return 1
		}
		pids = append(pids, strconv.Itoa(p.PID()))
	}
	_ = os.WriteFile(args[0]+".new", []byte(strings.Join(pids, " ")), 0o600)
	_ = os.Rename(args[0]+".new", args[0])
	time.Sleep(time.Minute)
	return 0
}

func self(role string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "ROLE="+role)
	return cmd
}

func start(t *testing.T, cmd *exec.Cmd) *proc.Process {
	t.Helper()
	p, err := proc.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		<-p.Done()
	})
	return p
}

// readPIDs waits for a file of pids that a child writes.
func readPIDs(t *testing.T, file string) []proc.ID {
	t.Helper()
	var ids []proc.ID
	eventually(t, "the child says its pids in "+file, func() bool {
		text, err := os.ReadFile(file)
		ids = nil
		for _, f := range strings.Fields(string(text)) {
			pid, _ := strconv.Atoi(f)
			if id, err := proc.Identify(pid); err == nil {
				ids = append(ids, id)
			}
		}
		return err == nil && len(ids) > 0
	})
	return ids
}

func TestExitIsReported(t *testing.T) {
	for _, want := range []int{0, 3} {
		exit, err := start(t, self("exit", strconv.Itoa(want))).Wait(soon(t))
		if err != nil || exit.Code != want || exit.Signal != 0 || exit.Err != nil {
			t.Errorf("exit %d: got %+v, %v", want, exit, err)
		}
	}
	p := start(t, self("sleep"))
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	exit, err := p.Wait(soon(t))
	if err != nil || exit.Code != 143 || exit.Signal != syscall.SIGTERM || exit.String() != "signal 15 (terminated)" {
		t.Errorf("after SIGTERM: got %v, %v", exit, err)
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, proc.ErrExited) {
		t.Errorf("a signal after the exit: got %v, want ErrExited", err)
	}
}

func TestStartOfNothingIsAnError(t *testing.T) {
	_, err := proc.Start(exec.Command(filepath.Join(t.TempDir(), "nothing")))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "start nothing") {
		t.Errorf("got %v", err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	p := start(t, self("sleep"))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := p.Wait(ctx); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Errorf("got %v", err)
	}
}

func TestKillTakesTheGroup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	p := start(t, self("family", file))
	child := readPIDs(t, file)[0]
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	eventually(t, "the grandchild is dead", func() bool { return !child.Alive() })
	if err := p.Kill(); err != nil {
		t.Errorf("Kill again: %v", err)
	}
}

func TestGroupEndsWithItsLeader(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	p := start(t, self("leave", file))
	if _, err := p.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(string(text))
	eventually(t, "what the leader left is dead", func() bool {
		s, err := proc.ReadStat(pid)
		return err != nil || s.Dead()
	})
}

func TestStoppedGroupCanBeKilled(t *testing.T) {
	p := start(t, self("sleep"))
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "stopped", func() bool { s, err := proc.ReadStat(p.PID()); return err == nil && s.State == 'T' })
	if !p.ID().Alive() {
		t.Error("a stopped process is alive")
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if exit, err := p.Wait(soon(t)); err != nil || exit.Signal != syscall.SIGKILL {
		t.Errorf("got %v, %v", exit, err)
	}
}

func TestChildrenDieWithTheirParent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pids")
	cmd := self("parent", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ids := readPIDs(t, file)
	if len(ids) != 3 {
		t.Fatalf("got children %v, want 3", ids)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "all children are dead", func() bool { return !ids[0].Alive() && !ids[1].Alive() && !ids[2].Alive() })
}

// Threads of this program end while children run: a child forked by such a thread would die with it.
func TestChildrenOutliveThreads(t *testing.T) {
	p := start(t, self("sleep"))
	var threads sync.WaitGroup
	for range 50 {
		threads.Add(1)
		go func() {
			defer threads.Done()
			lockThreadForGood()
		}()
	}
	threads.Wait()
	select {
	case <-p.Done():
		t.Fatalf("the child died: %v", p.Exit())
	case <-time.After(50 * time.Millisecond):
	}
}

func TestIdentity(t *testing.T) {
	p := start(t, self("sleep"))
	id, err := proc.Identify(p.PID())
	if err != nil || id != p.ID() || !id.Alive() {
		t.Fatalf("got %v, %v, want %v alive", id, err, p.ID())
	}
	if again := (proc.ID{PID: id.PID, Start: id.Start + 1}); again.Alive() {
		t.Error("the same pid with another start time is another process")
	}
	if (proc.ID{}).Alive() {
		t.Error("no process is alive")
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if id.Alive() {
		t.Error("alive after its end")
	}
	if _, err := proc.Identify(p.PID()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
}

func TestZombieIsNotAlive(t *testing.T) {
	cmd := self("sleep")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := proc.Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Kill()
	eventually(t, "a zombie", func() bool { s, err := proc.ReadStat(id.PID); return err == nil && s.Dead() })
	if id.Alive() {
		t.Error("a zombie is not alive")
	}
	_ = cmd.Wait()
}

func TestStartManyAtOnce(t *testing.T) {
	const n = 1000
	began := time.Now()
	var all sync.WaitGroup
	errs := make(chan error, n)
	for range n {
		all.Add(1)
		go func() {
			defer all.Done()
			_, err := proc.Run(context.Background(), exec.Command("true"), 100)
			errs <- err
		}()
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d commands in %v", n, time.Since(began))
}

func BenchmarkThousandSleeps(b *testing.B) {
	for b.Loop() {
		var all sync.WaitGroup
		for range 1000 {
			all.Add(1)
			go func() {
				defer all.Done()
				if r, err := proc.Run(context.Background(), exec.Command("sleep", "1"), 100); err != nil || r.ExitCode != 0 {
					b.Error(r, err)
				}
			}()
		}
		all.Wait()
	}
}
