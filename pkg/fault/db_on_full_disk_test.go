package fault_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target/process"
)

// oneDisk starts each helper where HOLDER has a folder that is memory.
const oneDisk = `#!/bin/sh
user=
[ "$(id -u)" -eq 0 ] || user='--user --preserve-credentials'
exec nsenter --target "$HOLDER" $user --mount "$TESTS" agent
`

// holdDisk mounts memory on a folder that only it and who goes to it sees, with a copy of a database in it, and holds that until its input ends.
const holdDisk = `mount -t tmpfs -o size=8m tmpfs "$DISK" && cp "$DISK.db" "$DISK/orders.db" && echo held && exec cat`

// upOnOneDisk is a world whose helpers all reach the database of b on one disk, which is nobody else's.
func upOnOneDisk(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	disk, self := filepath.Join(dir, "disk"), filepath.Join(dir, "helper")
	must(t, os.Mkdir(disk, 0o700))
	must(t, os.WriteFile(self, []byte(oneDisk), 0o700))
	t.Setenv("DISK", disk)
	t.Setenv("TESTS", os.Args[0])
	w := upWith(t, func(b *spec.Service) {
		b.Env["DB"], b.Databases = disk+".db", map[string]string{"orders": filepath.Join(disk, "orders.db")}
	}, func(o *process.Options) { o.Self = self })
	t.Setenv("HOLDER", strconv.Itoa(diskHolder(t)))
	return w
}

// diskHolder starts who holds the disk, and answers its pid.
func diskHolder(t *testing.T) int {
	t.Helper()
	as := []string{"--mount"}
	if os.Getuid() != 0 {
		as = append(as, "--map-root-user")
	}
	cmd := exec.Command("unshare", append(as, "sh", "-c", holdDisk)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { must(t, in.Close()); must(t, cmd.Wait()) })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the disk is not held: %q, %v", line, err)
	}
	return cmd.Process.Pid
}

// A disk that is full keeps everybody from writing to a database, and is no reason to take another fault on it for one that is not undone.
func TestAFaultOnADatabaseEndsWhileItsDiskIsFull(t *testing.T) {
	notUnderRace(t)
	for name, r := range map[string]request{
		"read-only":             {fault: "db.readonly"},
		"locked for writing":    {fault: "db.lock", with: map[string]string{"mode": "write"}},
		"locked for everything": {fault: "db.lock", with: map[string]string{"mode": "exclusive"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := upOnOneDisk(t)
			r.service, r.inside = "b", true
			f, undos := r.injected(t, w)
			full := w.fill(t)
			e, err := f.Check(soon(t))
			wantEffect(t, "check", e, err, true)
			for range 2 {
				must(t, r.kind(t).Revert(soon(t), r.runtime(w), undos[0].Data, undos[0].Target))
			}
			e, err = f.Revert(soon(t))
			wantEffect(t, "revert", e, err, true, "its disk is full")
			f, _ = r.injected(t, w) // and it begins on one
			e, err = f.Revert(soon(t))
			wantEffect(t, "revert", e, err, true, "its disk is full")
			wantReverted(t, full)
			f, _ = r.injected(t, w)
			wantReverted(t, f)
		})
	}
}

// Damage is taken off by a transaction, which needs room: why a plan lets a full disk be during it only.
func TestDamageIsTakenOffWhenThereIsRoomAgain(t *testing.T) {
	notUnderRace(t)
	w := upOnOneDisk(t)
	r := request{fault: "db.corrupt", service: "b", inside: true}
	f, _ := r.injected(t, w)
	full := w.fill(t)
	if e, err := f.Revert(soon(t)); err == nil && e.Proven {
		t.Errorf("it was taken off without room: %s", e.Summary)
	}
	wantReverted(t, full)
	wantReverted(t, f)
}

// fill is db.full, injected.
func (w *world) fill(t *testing.T) fault.Fault {
	t.Helper()
	f := w.fullDatabase(t)
	_, err := f.Prepare(soon(t))
	must(t, err)
	e, err := f.Inject(soon(t))
	wantEffect(t, "fill", e, err, true, "a write meets ENOSPC")
	return f
}
