package proc_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/proc"
)

// reuse makes the kernel give a pid out again, in a pid namespace of its own, and says what became of the process that has it now.
func reuse([]string) int {
	if err := giveOutAgain(); err != nil {
		fmt.Println("reuse:", err)
		return 1
	}
	fmt.Println("spared")
	return 0
}

func giveOutAgain() error {
	if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("proc", "/proc", "proc", 0, "")); err != nil {
		return err
	}
	first := self("sleep")
	if err := first.Start(); err != nil {
		return err
	}
	old, err := proc.Identify(first.Process.Pid)
	if err != nil {
		return err
	}
	if err := errors.Join(first.Process.Kill(), ignoreExit(first.Wait())); err != nil {
		return err
	}
	for {
		second, now, err := startAs(old.PID)
		if err != nil {
			return err
		}
		if now.PID == old.PID && now.Start != old.Start {
			return spared(old, now)
		}
		// Another one was faster, or it is still the same hundredth of a second.
		if err := errors.Join(second.Process.Kill(), ignoreExit(second.Wait())); err != nil {
			return err
		}
	}
}

// startAs starts a process that is likely to get a pid.
func startAs(pid int) (*exec.Cmd, proc.ID, error) {
	if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(fmt.Sprint(pid-1)), 0o600); err != nil {
		return nil, proc.ID{}, err
	}
	cmd := self("sleep")
	if err := cmd.Start(); err != nil {
		return nil, proc.ID{}, err
	}
	id, err := proc.Identify(cmd.Process.Pid)
	return cmd, id, err
}

func ignoreExit(err error) error {
	if errors.As(err, new(*exec.ExitError)) {
		return nil
	}
	return err
}

func spared(old, now proc.ID) error {
	if err := old.Signal(syscall.SIGKILL); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("a signal to the first one: %v", err)
	}
	if old.Alive() || !now.Alive() {
		return fmt.Errorf("the first one is alive: %v, the second one: %v", old.Alive(), now.Alive())
	}
	return now.Signal(syscall.SIGKILL)
}

func TestAReusedPIDIsAnotherProcess(t *testing.T) {
	cmd := self("reuse")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || strings.Contains(string(out), "operation not permitted") || strings.Contains(string(out), "permission denied") {
		t.Skip("there can be no pid namespace here: ", err, string(out))
	}
	if err != nil || string(out) != "spared\n" {
		t.Errorf("%v: %s", err, out)
	}
}
