package fault_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
	"chaosgate/pkg/target/process"
)

// ownDisk is an environment in which every disk is the instance's own, as memory of a container is.
type ownDisk struct{ insideOnly }

func (ownDisk) OwnDisk(context.Context, target.Target, target.Mount) (int64, error) {
	return math.MaxInt64, nil
}

// inMemory starts each helper where a folder is memory that nobody else sees, with a copy of b's database in it.
const inMemory = `#!/bin/sh
as=--map-root-user
[ "$(id -u)" -ne 0 ] || as=--mount
exec unshare --mount $as sh -c 'mount -t tmpfs -o size=8m tmpfs "$DISK" && cp "$DISK".db "$DISK/orders.db" && exec "$TESTS" agent'
`

// upFull is a world with such helpers, and the folder. Its database is said to be at a link's name there.
func upFull(t *testing.T, database string) (w *world, disk string) {
	t.Helper()
	dir := t.TempDir()
	disk = filepath.Join(dir, "disk")
	self := filepath.Join(dir, "helper")
	must(t, os.Mkdir(disk, 0o700))
	must(t, os.WriteFile(self, []byte(inMemory), 0o700))
	must(t, os.Symlink(filepath.Join(disk, "orders.db"), filepath.Join(dir, "link.db")))
	t.Setenv("DISK", disk)
	t.Setenv("TESTS", os.Args[0])
	w = upWith(t, func(b *spec.Service) {
		b.Env["DB"], b.Databases = disk+".db", map[string]string{"orders": filepath.Join(dir, database)}
	}, func(o *process.Options) { o.Self = self })
	return w, disk
}

func (w *world) fullDatabase(t *testing.T) fault.Fault {
	t.Helper()
	f, err := request{fault: "db.full"}.kind(t).New(fault.Request{ID: "x", Runtime: ownDisk{insideOnly{w.Environment}}, Targets: []target.Target{w.target(t, "b")}})
	must(t, err)
	return f
}

// The disk is filled that the database is on, and that is proven for as long as the database is there.
func TestTheDiskOfADatabaseIsFull(t *testing.T) {
	w, disk := upFull(t, "link.db")
	f := w.fullDatabase(t)
	undos, err := f.Prepare(soon(t))
	must(t, err)
	if len(undos) != 1 || undos[0].Kind != "db.full" {
		t.Errorf("undos: %+v", undos)
	}
	e, err := f.Check(soon(t))
	wantEffect(t, "check", e, err, false, "b-1: "+disk+" has 7.992MiB free of 8MiB")
	e, err = f.Inject(soon(t))
	wantEffect(t, "inject", e, err, true, "b-1: "+disk+" has 0B free of 8MiB", "a write meets ENOSPC")
	file := fmt.Sprintf("/proc/%d/root%s/orders.db", w.helpers(t)[0].PID, disk)
	must(t, os.Rename(file, file+".old"))
	e, err = f.Check(soon(t))
	wantEffect(t, "check", e, err, false, "a write meets ENOSPC; there is no database file ", "link.db")
	must(t, os.Rename(file+".old", file))
	e, err = f.Check(soon(t))
	wantEffect(t, "check", e, err, true)
	wantReverted(t, f)
	if ids := w.helpers(t); len(ids) > 0 {
		t.Errorf("helpers are left: %v", ids)
	}
}

// A database that is not at the path that was said is refused in the words of the other faults, however much room there is beside it.
func TestAFullDatabaseThatIsNotThere(t *testing.T) {
	w, _ := upFull(t, "disk/order.db")
	_, err := w.fullDatabase(t).Prepare(soon(t))
	wantError(t, err, "b-1: ", "there is no database file ", "disk/order.db")
	if ids := w.helpers(t); len(ids) > 0 {
		t.Errorf("helpers are left: %v", ids)
	}
}
