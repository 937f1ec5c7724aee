package experiments

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What the campaign would not see it could not miss: each kind of leftover is made on purpose, and must be told.
func TestWhatIsLeftIsSeen(t *testing.T) {
	v, err := newVictim(t, "true", order{experiment: "experiments/none.yaml"})
	must(t, err)
	defer v.forget()
	pids := v.leaveChildren()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	for inode, address := range listeners() {
		if _, port, _ := strings.Cut(address, ":"); port == hexPort(l) {
			v.seen.listening[inode] = address
		}
	}
	folder := filepath.Join(v.tmp(), "chaos-run")
	must(t, os.Mkdir(folder, 0o755))
	db, err := os.Create(filepath.Join(folder, "orders.db"))
	must(t, err)
	defer db.Close()
	must(t, unix.FcntlFlock(db.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: 1 << 30, Len: 1}))
	for _, want := range []string{
		"process " + pids[0] + " (T) sleep 60", "process " + pids[1] + " (S) sleep 60", "processes with the mark " + v.mark,
		"a socket that listens on 0100007F:" + hexPort(l), folder, "a lock on " + db.Name(),
	} {
		seen := func() bool {
			return slices.ContainsFunc(v.left(), func(left string) bool { return strings.HasPrefix(left, want) })
		}
		for deadline := time.Now().Add(patience); !seen(); time.Sleep(10 * time.Millisecond) { // a signal takes a moment
			if time.Now().After(deadline) {
				t.Fatalf("%q is not seen in %q", want, v.left())
			}
		}
	}
}

// leaveChildren is a runner, a shell, that dies and leaves two children: one in its group that is stopped and has lost the mark, and one in a session of its own
// that has lost its parent.
func (v *victim) leaveChildren() (pids []string) {
	v.t.Helper()
	v.program = "sh"
	v.cmd = v.command("-c", `env -i sleep 60 & echo $!; (setsid sleep 60 & echo $!); read wait`)
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := v.cmd.StdinPipe()
	must(v.t, err)
	children, err := v.cmd.StdoutPipe()
	must(v.t, err)
	must(v.t, v.cmd.Start())
	v.t.Cleanup(func() { _ = syscall.Kill(-v.cmd.Process.Pid, syscall.SIGKILL) })
	for lines := bufio.NewScanner(children); len(pids) < 2 && lines.Scan(); {
		pids = append(pids, lines.Text())
	}
	for deadline := time.Now().Add(patience); !runs(pids, "sleep 60"); time.Sleep(time.Millisecond) { // one that is being replaced by its program shows no mark
		if time.Now().After(deadline) {
			v.t.Fatalf("%v do not sleep", pids)
		}
	}
	v.seen.look(v.marks())
	must(v.t, stdin.Close())
	_ = v.cmd.Wait() // its exit code is that of read
	must(v.t, exec.Command("kill", "-STOP", pids[0]).Run())
	v.t.Cleanup(func() { _ = exec.Command("kill", "-KILL", pids[1]).Run() })
	return pids
}

// runs says whether each process is one of this command line.
func runs(pids []string, command string) bool {
	n := 0
	for _, p := range processes() {
		if p.name == command && slices.Contains(pids, strconv.Itoa(p.PID)) {
			n++
		}
	}
	return n == len(pids)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hexPort is a listener's port as the kernel's tables have it.
func hexPort(l net.Listener) string { return fmt.Sprintf("%04X", l.Addr().(*net.TCPAddr).Port) }
