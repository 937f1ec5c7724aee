package agent_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/internal/testkit"
	"chaosgate/pkg/proc"
)

var (
	soon       = testkit.Soon
	eventually = testkit.Eventually
	must       = testkit.Must
	wantError  = testkit.WantError
)

// The test binary is also the helper, and a runner that has one: ROLE says which.
func TestMain(m *testing.M) {
	roles := map[string]func() error{"helper": helper, "runner": runner}
	role, ok := roles[os.Getenv("ROLE")]
	if !ok {
		os.Exit(m.Run())
	}
	if err := role(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// helper serves. With TMPFS it has that much memory mounted at DIR first, in a mount namespace that it was started in, SHARED or not. With BELOW there is a shared mount at sub
// below it, which has another one at usb; with KIND there is a file system of that kind below it, at its name; BOUND is who has mounted DIR on itself and was killed right then.
// With OTHERS it has a file of theirs mounted as orders.db in that.
func helper() error {
	if size := os.Getenv("TMPFS"); size != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", os.Getenv("DIR"), "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "size="+size+",mode=1777"); err != nil {
			return err
		}
		if file := os.Getenv("OTHERS"); file != "" {
			name := filepath.Join(os.Getenv("DIR"), "orders.db")
			if err := errors.Join(os.WriteFile(name, nil, 0o600), unix.Mount(file, name, "", unix.MS_BIND, "")); err != nil {
				return err
			}
		}
		if os.Getenv("SHARED") != "" {
			if err := unix.Mount("", os.Getenv("DIR"), "", unix.MS_SHARED, ""); err != nil {
				return err
			}
		}
		if kind := os.Getenv("KIND"); kind != "" {
			at := filepath.Join(os.Getenv("DIR"), kind)
			if err := os.Mkdir(at, 0o777); err != nil {
				return err
			}
			if err := unix.Mount(kind, at, kind, unix.MS_NOSUID|unix.MS_NOEXEC, ""); err != nil {
				return err
			}
		}
		if os.Getenv("BELOW") != "" {
			if err := mountBelow(os.Getenv("DIR")); err != nil {
				return err
			}
		}
	}
	return agent.Serve(context.Background(), os.Stdin, os.Stdout)
}

func mountBelow(dir string) error {
	for _, at := range []string{dir + "/sub", dir + "/sub/usb"} {
		if err := os.Mkdir(at, 0o777); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", at, "tmpfs", 0, "size=1m,mode=1777"); err != nil {
			return err
		}
		if err := unix.Mount("", at, "", unix.MS_SHARED, ""); err != nil {
			return err
		}
	}
	if os.Getenv("BOUND") == "" {
		return nil
	}
	return unix.Mount(dir, dir, "", unix.MS_BIND|unix.MS_REC, "")
}

// runner has a helper at work, says its pid and waits to be killed.
func runner() error {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ROLE=helper")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c := agent.NewClient(in, out)
	if err := c.Arm(context.Background(), os.Getenv("JOB"), json.RawMessage(os.Getenv("CONFIG"))); err != nil {
		return err
	}
	if _, err := c.Call(context.Background(), agent.Inject); err != nil {
		return err
	}
	fmt.Println(cmd.Process.Pid)
	select {}
}

// child is a helper in a process of its own. said is what it wrote to its standard error, once it has ended.
type child struct {
	*agent.Client
	id   proc.ID
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader // nil if Client has it
	said strings.Builder
}

func start(t *testing.T) *child {
	t.Helper()
	return startWith(t, nil)
}

func startWith(t *testing.T, attr *syscall.SysProcAttr, env ...string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0])}
	c.cmd.SysProcAttr = attr
	c.cmd.Env = append(append(os.Environ(), "ROLE=helper"), env...)
	c.cmd.Stderr = &c.said
	var err error
	c.in, err = c.cmd.StdinPipe()
	must(t, err)
	r, w, err := os.Pipe() // package exec's own is closed by Wait, be it read to its end or not
	must(t, err)
	c.cmd.Stdout = w
	must(t, c.cmd.Start())
	must(t, w.Close())
	c.id, err = proc.Identify(c.cmd.Process.Pid)
	must(t, err)
	c.out = bufio.NewReader(r)
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		_ = r.Close()
	})
	return c
}

// armed is a helper with a job.
func armed(t *testing.T, job string, config any) *child {
	t.Helper()
	c := start(t)
	c.Client = agent.NewClient(c.in, c.out)
	must(t, c.Arm(soon(t), job, config))
	return c
}

// end closes its input and answers how it ended.
func (c *child) end(t *testing.T) error {
	t.Helper()
	must(t, c.in.Close())
	return c.wait(t)
}

func (c *child) wait(t *testing.T) error {
	t.Helper()
	late := time.AfterFunc(20*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer late.Stop()
	return c.cmd.Wait()
}

func (c *child) stat(t *testing.T) proc.Stat {
	t.Helper()
	s, err := proc.ReadStat(c.id.PID)
	must(t, err)
	return s
}

// stop returns when all its threads are seen to be stopped.
func (c *child) stop(t *testing.T) {
	t.Helper()
	must(t, c.cmd.Process.Signal(syscall.SIGSTOP))
	eventually(t, "stopped", func() bool {
		threads, err := proc.Threads(c.id.PID)
		must(t, err)
		return !slices.ContainsFunc(threads, func(s proc.Stat) bool { return !s.Stopped() })
	})
}

func (c *child) resume(t *testing.T) {
	t.Helper()
	must(t, c.cmd.Process.Signal(syscall.SIGCONT))
}

// call reads an answer into T.
func call[T any](t *testing.T, c *child, command string) (answer T) {
	t.Helper()
	text, err := c.Call(soon(t), command)
	must(t, err)
	must(t, json.Unmarshal(text, &answer))
	return answer
}

func revert(t *testing.T, c *child) {
	t.Helper()
	_, err := c.Call(soon(t), agent.Revert)
	must(t, err)
}

// database makes one, and answers its path and a connection that waits for no lock.
func database(t *testing.T) (string, *sql.DB) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "orders.db")
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath())
	must(t, err)
	t.Cleanup(func() { db.Close() })
	_, err = db.Exec("CREATE TABLE a (v)")
	must(t, err)
	return file, db
}
