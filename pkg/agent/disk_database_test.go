package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/fault/sqlitefile"
)

// withDatabase is a disk that a database is on, and a link to it from elsewhere.
func withDatabase(t *testing.T) (d *disk, link string) {
	t.Helper()
	d = withDisk(t, "8m")
	made, _ := database(t)
	text, err := os.ReadFile(made)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(d.here, "orders.db"), text, 0o600))
	link = filepath.Join(t.TempDir(), "link.db")
	must(t, os.Symlink(filepath.Join(d.at, "orders.db"), link))
	return d, link
}

// The disk is filled that a database is on, whatever its path leads through: SQLite has its journal there.
func TestTheDiskOfADatabaseIsFilled(t *testing.T) {
	d, link := withDatabase(t)
	must(t, d.Arm(soon(t), agent.DiskFillJob, agent.DiskFillConfig{Database: link}))
	if s := d.status(); s.Path != d.at || s.Mount.At != d.at || s.Astray != "" || s.Held != 0 {
		t.Errorf("before: %+v", s)
	}
	if s := d.filled(); s.Path != d.at || s.Free != 0 || s.Write != agent.Full || s.Astray != "" {
		t.Errorf("filled: %+v", s)
	}
	if err := d.write("orders.db-journal", 1); !errors.Is(err, unix.ENOSPC) || d.free() != 0 {
		t.Errorf("a write met %v with %d bytes free", err, d.free())
	}
	revert(t, d.child)
	must(t, d.write("orders.db-journal", 1))
	must(t, d.end(t))
}

// A database that is no longer where room is taken is told of, for as long as it is not; another file in its place meets the same.
func TestADatabaseThatGoesAstray(t *testing.T) {
	d, link := withDatabase(t)
	must(t, d.Arm(soon(t), agent.DiskFillJob, agent.DiskFillConfig{Database: link}))
	d.filled()
	astray := func(parts ...string) {
		t.Helper()
		s := d.status()
		if s.Free != 0 || s.Path != d.at {
			t.Errorf("got %+v", s)
		}
		if len(parts) > 0 {
			wantError(t, errors.New(s.Astray), parts...)
		} else if s.Astray != "" {
			t.Errorf("it is astray: %s", s.Astray)
		}
	}
	real := filepath.Join(d.here, "orders.db")
	must(t, os.Rename(real, real+".old"))
	astray("there is no database file " + link)
	must(t, os.WriteFile(real, nil, 0o600))
	astray()
	elsewhere, _ := database(t)
	must(t, os.Remove(link))
	astray("there is no database file " + link)
	must(t, os.Symlink(elsewhere, link))
	astray("the database "+link+" is in "+filepath.Dir(elsewhere)+" now", "was in "+d.at)
	revert(t, d.child)
	_, err := d.Call(soon(t), agent.Inject)
	wantError(t, err, "inject: the database "+link+" is in "+filepath.Dir(elsewhere)+" now")
	if d.free() < 7<<20 {
		t.Errorf("%d bytes are free", d.free())
	}
	must(t, d.end(t))
}

// A file that is mounted by itself does not lie on the disk of its folder.
func TestADatabaseThatIsMountedByItself(t *testing.T) {
	file, _ := database(t)
	d := withDisk(t, "8m", "OTHERS="+file)
	wantError(t, d.Arm(soon(t), agent.DiskFillJob, agent.DiskFillConfig{Database: d.at + "/orders.db"}),
		"job disk-fill: the database "+d.at+"/orders.db is on ", " at "+d.at+"/orders.db, and "+d.at+" is on tmpfs at "+d.at)
	must(t, d.end(t))
}

func TestDatabasesWhoseDiskIsNotFilled(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(at("empty.db"), nil, 0o600))
	must(t, os.WriteFile(at("text.db"), make([]byte, 200), 0o600))
	must(t, os.Symlink(at("none.db"), at("link.db")))
	for want, config := range map[string]agent.DiskFillConfig{
		"there is no database file " + at("none.db"):                         {Database: at("none.db")},
		"there is no database file " + at("link.db"):                         {Database: at("link.db")},
		"the database " + dir + " is not a regular file":                     {Database: dir},
		"the database " + at("text.db") + ": it is no SQLite database":       {Database: at("text.db")},
		"the database " + at("empty.db") + ": it is no SQLite database, or ": {Database: at("empty.db")},
		`database is "orders.db", expected that of a file`:                   {Database: "orders.db"},
		`path is "/a" and database is "/b", expected one of them`:            {Path: "/a", Database: "/b"},
	} {
		c := start(t)
		c.Client = agent.NewClient(c.in, c.out)
		wantError(t, c.Arm(soon(t), agent.DiskFillJob, config), "job disk-fill: "+want)
		must(t, c.end(t))
	}
}

// On a disk that is full a database is not taken for one that is read-only, locked or no database, nor one of these for a full disk: each is told of, and room is what is looked for last.
func TestWhatADatabaseMeetsOnAFullDisk(t *testing.T) {
	d := withDisk(t, "8m")
	made, _ := database(t)
	text, err := os.ReadFile(made)
	must(t, err)
	here := filepath.Join(d.here, "orders.db")
	must(t, os.WriteFile(here, text, 0o600))
	must(t, d.Arm(soon(t), agent.SQLiteJob, agent.SQLiteConfig{Path: filepath.Join(d.at, "orders.db"), Mode: sqlitefile.Write, Edit: sqlitefile.EditReadOnly, Undo: true}))
	meets := func(want agent.Outcome, locked bool) {
		t.Helper()
		if s := call[agent.SQLiteStatus](t, d.child, agent.Status); s.Met != want || s.Locked != locked {
			t.Errorf("%+v, want that it meets %q, and locked %v", s, want, locked)
		}
	}
	meets(agent.Succeeded, false)
	if err := d.write("filler", 16<<20); !errors.Is(err, unix.ENOSPC) || d.free() != 0 {
		t.Fatalf("the disk is not full: %v, %d bytes free", err, d.free())
	}
	meets(agent.Full, false)
	must(t, sqlitefile.MarkReadOnly(soon(t), here))
	meets(agent.ReadOnly, false)
	if s := call[agent.SQLiteStatus](t, d.child, agent.Inject); s.Met != agent.Full {
		t.Errorf("undone: %+v", s)
	}
	file, err := os.OpenFile(here, os.O_RDWR, 0)
	must(t, err)
	defer file.Close()
	const reserved = 0x40000001 // the byte that SQLite's writers lock
	must(t, unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: reserved, Len: 1}))
	meets(agent.Busy, true)
	must(t, unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK, Start: reserved, Len: 1}))
	meets(agent.Full, false)
	_, err = file.WriteAt([]byte{0}, 0)
	must(t, err)
	_, err = d.Call(soon(t), agent.Status)
	wantError(t, err, "file is not a database")
	_, err = file.WriteAt([]byte("S"), 0)
	must(t, err)
	must(t, os.Remove(filepath.Join(d.here, "filler")))
	meets(agent.Succeeded, false)
	must(t, d.end(t))
}
