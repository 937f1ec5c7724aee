package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/verdict"
)

// smallDisk runs a command with ./reports on a disk of its own that holds some KiB and is filled when the run's journal has some lines, and afterwards `chaos rollback` with room enough. It needs a mount namespace of its
// own. What was on the disk is kept in ./kept, and the exit codes are printed at the end.
func smallDisk() {
	size, args := os.Args[1], os.Args[3:]
	lines, _ := strconv.Atoi(os.Args[2])
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "smalldisk:", err)
			os.Exit(99)
		}
	}
	check(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	check(os.Mkdir("reports", 0o755))
	check(unix.Mount("tmpfs", "reports", "tmpfs", 0, "size="+size+"k"))
	go fillAt(lines)
	code := exitCode(args...)
	check(unix.Mount("", "reports", "", unix.MS_REMOUNT, "size=16m"))
	check(os.CopyFS("kept", os.DirFS("reports")))
	fmt.Printf("exit=%d rollback=%d\n", code, exitCode("chaos", "rollback"))
}

// fillAt fills the disk when the journal has some lines.
func fillAt(lines int) {
	for bytes.Count(journalBytes("reports"), []byte("\n")) < lines {
		time.Sleep(time.Millisecond)
	}
	f, err := os.Create(filepath.Join("reports", "filler"))
	for err == nil {
		_, err = f.Write(make([]byte, 1<<12))
	}
}

func journalBytes(reports string) []byte {
	found, _ := filepath.Glob(filepath.Join(reports, "*", journalFile))
	text, _ := os.ReadFile(strings.Join(found, ""))
	return text
}

func exitCode(args ...string) int {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err := cmd.Run()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		return 99
	}
	return cmd.ProcessState.ExitCode()
}

// ownMounts asks for a mount namespace, and where that takes it for a user namespace too.
func ownMounts() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	if os.Getuid() != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

const stopExperiment = `apiVersion: chaos/v1
name: stop
recovery: {within: 5s, for: 200ms}
traffic:
  - {service: front, path: /work, rate: 50/s}
steadyState:
  - id: front-up
    http: {service: front, path: /health}
    expect: {status: "200"}
steps:
  - id: stopped
    fault: service.stop
    target: {service: back}
    duration: 200ms
`

const noSpace = "no space left on device"

// onDisk is what a run on a small disk came to.
type onDisk struct {
	projectCopy
	exit, rollback int
	said           string
}

func runOnDisk(t *testing.T, kib, lines int) onDisk {
	t.Helper()
	d := onDisk{projectCopy: newProject(t)}
	for name, text := range map[string]string{"stop.yaml": stopExperiment, "chaos.yaml": ""} {
		if text == "" {
			plain, err := os.ReadFile(filepath.Join(d.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			text = strings.Replace(string(plain), `env: {PORT: "${port.http}"}`, `env: {PORT: "${port.http}", BORN: "`+filepath.Join(d.dir, "born")+`"}`, 1)
		}
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := d.command()
	cmd.Path, cmd.Args = mustLook(t, "smalldisk"), []string{"smalldisk", fmt.Sprint(kib), fmt.Sprint(lines), "chaos", "run", "stop.yaml"}
	cmd.SysProcAttr = ownMounts()
	out, err := cmd.CombinedOutput()
	d.said = string(out)
	if errors.Is(err, syscall.EPERM) || strings.Contains(d.said, "smalldisk: operation not permitted") {
		t.Skip("no disk can be mounted here, not even in a namespace: ", err)
	}
	last := bytes.LastIndex(out, []byte("exit="))
	if _, scanned := fmt.Sscanf(string(out[max(0, last):]), "exit=%d rollback=%d", &d.exit, &d.rollback); err != nil || scanned != nil {
		t.Fatalf("%v, %v:\n%s", err, scanned, out)
	}
	return d
}

func mustLook(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// kept is the journal as it was on the full disk; nothing if there is none.
func (d onDisk) kept() []journal.Event {
	d.t.Helper()
	events, err := journal.Read(bytes.NewReader(journalBytes(filepath.Join(d.dir, "kept"))))
	if err != nil {
		d.t.Fatal(err)
	}
	return events
}

// check wants the right state, whatever the moment at which the disk was full.
func (d onDisk) check() {
	d.t.Helper()
	events := d.kept()
	undos := map[string]int{}
	for _, e := range events {
		if u, err := journal.Decode[struct{ Kind string }](e); err == nil && e.Type == journal.UndoRecorded {
			undos[u.Kind]++
		}
	}
	born, _ := os.ReadFile(filepath.Join(d.dir, "born"))
	if starts := strings.Count(string(born), "\n"); starts > 0 && undos["process.environment"] == 0 || starts > 1 && undos["service.stop"] == 0 {
		d.t.Errorf("the service was started %d times, and on disk are the undos %v", starts, undos)
	}
	pending, err := journal.Pending(events)
	switch {
	case err != nil:
		d.t.Error(err)
	case d.exit == 0 && (len(pending) > 0 || len(events) == 0 || events[len(events)-1].Type != journal.RunEnded):
		d.t.Errorf("the gate is open, and its journal is not whole: %v pending", pending)
	case d.exit != 0 && !strings.Contains(d.said, noSpace):
		d.t.Errorf("nobody says that the disk is full:\n%s", d.said)
	case d.exit == 5 && len(pending) > 0, d.exit == 6 && len(pending) == 0, d.exit != 0 && d.exit != 5 && d.exit != 6:
		d.t.Errorf("exit code %d with %v pending:\n%s", d.exit, pending, d.said)
	case d.rollback != 0:
		d.t.Errorf("with room on the disk again, a rollback ends with %d:\n%s", d.rollback, d.said)
	}
	d.nothingIsLeft()
	for _, e := range events {
		u, err := journal.Decode[struct {
			Data struct {
				WorkDir string `json:"work_dir"`
			}
		}](e)
		if err != nil || e.Type != journal.UndoRecorded || u.Data.WorkDir == "" {
			continue
		}
		if _, err := os.Stat(u.Data.WorkDir); !errors.Is(err, os.ErrNotExist) {
			d.t.Errorf("%s is left: %v", u.Data.WorkDir, err)
		}
	}
}

// The disk is full at another moment each time: before the run exists, at the undo of the environment, while it starts, at the undo of the fault, while the fault is
// active, at its revert, at the end. A disk is full by whole pages, so the journal has room for a few more lines each time.
func TestAFullDisk(t *testing.T) {
	notUnderRace(t)
	ended := map[int]int{}
	var mu sync.Mutex
	try := func(t *testing.T, name string, kib, lines int) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d onDisk
			untilDecided(t, func() (string, bool) {
				d = runOnDisk(t, kib, lines)
				return d.said, d.exit != verdict.ExitInconclusive || strings.Contains(d.said, noSpace)
			})
			d.check()
			mu.Lock()
			defer mu.Unlock()
			ended[d.exit]++
		})
	}
	t.Run("at", func(t *testing.T) {
		const page, large, never = 4, 1024, 1 << 20
		for kib := page; kib <= 6*page; kib += page {
			try(t, fmt.Sprint(kib, "KiB"), kib, never)
		}
		for lines := 1; lines <= 40; lines += 3 {
			try(t, fmt.Sprint("line ", lines), large, lines)
		}
		try(t, "never", large, never)
	})
	t.Logf("exit code -> runs: %v", ended)
	if len(ended) > 0 && (ended[5] < 4 || ended[6] < 4 || ended[0] < 1) {
		t.Errorf("exit code -> runs: %v; want some of each kind", ended)
	}
}
