package fault_test

import (
	"errors"
	"os"
	"testing"
)

// byFileAndInside is for what holds wherever a database is reached from.
func byFileAndInside(t *testing.T, test func(t *testing.T, w *world, inside bool)) {
	for name, inside := range map[string]bool{"by its file": false, "by helpers only": true} {
		t.Run(name, func(t *testing.T) {
			if inside {
				notUnderRace(t)
			}
			test(t, up(t, nil), inside)
		})
	}
}

// exec is what b's database is told by somebody else.
func (w *world) exec(t *testing.T, statements string) {
	t.Helper()
	db, err := connect(w.file(t), "rwc")
	must(t, err)
	defer db.Close()
	_, err = db.Exec(statements)
	must(t, err)
}

// A service that begins a new file has taken the damage with the old one: it lacks the tables that were damaged, or has none yet, and there is nothing left to revert.
func TestCorruptDatabaseThatIsBegunAnew(t *testing.T) {
	byFileAndInside(t, func(t *testing.T, w *world, inside bool) {
		for name, c := range map[string]struct {
			with       map[string]string
			statements string
		}{
			"with nothing in it":    {nil, ""},
			"of a table, with none": {map[string]string{"table": "a"}, ""},
			"without the table":     {map[string]string{"table": "a"}, "CREATE TABLE b (v)"},
		} {
			t.Run(name, func(t *testing.T) {
				r := request{fault: "db.corrupt", service: "b", with: c.with, inside: inside}
				anew := func(t *testing.T) {
					t.Helper()
					must(t, os.Remove(w.file(t)))
					must(t, os.WriteFile(w.file(t), nil, 0o600))
					w.exec(t, c.statements)
				}
				f, undos := r.injected(t, w)
				anew(t)
				e, err := f.Check(soon(t))
				wantEffect(t, "check", e, err, false, "should meet SQLITE_CORRUPT, but met: it has no table")
				for range 2 {
					must(t, r.kind(t).Revert(soon(t), r.runtime(w), undos[0].Data, undos[0].Target))
				}
				wantReverted(t, f)
				w.exec(t, "CREATE TABLE a (v)")
				f, _ = r.injected(t, w)
				anew(t)
				wantReverted(t, f)
				w.exec(t, "CREATE TABLE a (v)")
			})
		}
	})
}

// A file that a service begins anew was never made read-only, whatever it is like, and there is nothing left to revert.
func TestReadOnlyDatabaseThatIsBegunAnew(t *testing.T) {
	byFileAndInside(t, func(t *testing.T, w *world, inside bool) {
		for name, statements := range map[string]string{"with nothing in it": "", "in WAL mode": "PRAGMA journal_mode = WAL; CREATE TABLE a (v)"} {
			t.Run(name, func(t *testing.T) {
				r := request{fault: "db.readonly", service: "b", inside: inside}
				f, undos := r.injected(t, w)
				must(t, os.Remove(w.file(t)))
				must(t, os.WriteFile(w.file(t), nil, 0o600))
				db, err := connect(w.file(t), "rwc") // as long as it is open, nobody else has a file in WAL mode for himself
				must(t, err)
				defer func() {
					_, err := db.Exec("PRAGMA journal_mode = DELETE; CREATE TABLE IF NOT EXISTS a (v)") // for the next
					must(t, errors.Join(err, db.Close()))
				}()
				_, err = db.Exec(statements)
				must(t, err)
				for range 2 {
					must(t, r.kind(t).Revert(soon(t), r.runtime(w), undos[0].Data, undos[0].Target))
				}
				wantReverted(t, f)
			})
		}
	})
}

// What takes back the damage of one table leaves that of another, which is another step's.
func TestTwoTablesAreDamagedByTwo(t *testing.T) {
	byFileAndInside(t, func(t *testing.T, w *world, inside bool) {
		w.exec(t, "CREATE TABLE c (v); CREATE INDEX cv ON c (v)")
		of := func(table string) request {
			return request{fault: "db.corrupt", service: "b", with: map[string]string{"table": table}, inside: inside}
		}
		first, _ := of("a").injected(t, w)
		second, undos := of("c").injected(t, w)
		wantReverted(t, second)
		e, err := first.Check(soon(t))
		wantEffect(t, "check", e, err, true)
		must(t, of("c").kind(t).Revert(soon(t), of("c").runtime(w), undos[0].Data, undos[0].Target))
		e, err = first.Check(soon(t))
		wantEffect(t, "check", e, err, true)
		if err := w.insert(t); !isCorrupt(err) {
			t.Errorf("an insert into the first table met %v", err)
		}
		wantReverted(t, first)
		must(t, w.insert(t))
	})
}
